"""`stream-filter judges`: can the judges be trusted?"""

from collections import Counter
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import click
import numpy as np

from stream_filter.app.judged_events import JudgedEvents, read_judged
from stream_filter.app.policy_file import load_policy
from stream_filter.cli.options import (
    analysis_topics_option,
    connection_options,
    json_option,
    optional_policy,
    settings_of,
)
from stream_filter.cli.output import print_json, print_table, printable, runs
from stream_filter.core.agreement import Agreement
from stream_filter.core.errors import ConfigError
from stream_filter.core.judging import (
    PEOPLE,
    Recall,
    compare,
    gate_likeness,
    recall_by,
    self_agreement,
)
from stream_filter.core.oracle import Judge
from stream_filter.core.template import FieldPath, parse_path

_SEED = 1
_FEWEST = 20
"""Events of a slice, below which it is not shown."""


@click.command()
@analysis_topics_option
@optional_policy("The policy file: with which chance the holdout was shown, for the recall.")
@click.option(
    "--slice", "slices", multiple=True, metavar="FIELD", help="Compare by this field, too."
)
@connection_options
@json_option
@runs
async def judges(
    topics: tuple[str, ...],
    policy_path: Path | None,
    slices: tuple[str, ...],
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    as_json: bool,
) -> None:
    """Compare the judges: with people, with each other, with themselves, with the gate.

    Reads the analysis topics and the verdict topic. Says for each pair how often they differ and
    how far they agree beyond chance (Cohen's kappa), each with a 95 % interval; who says what the
    gate said; and the gate's recall as people see it beside how models do.

    \b
    stream-filter judges --policy policy.yaml
    stream-filter judges --topic llm.analysis --slice service --json
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    policy = load_policy(policy_path) if policy_path else None
    wanted = topics or tuple(sorted(policy.targets) if policy else ())
    if not wanted:
        raise click.UsageError("give --topic, or --policy to take those it forwards to")
    try:
        paths = [parse_path(each) for each in slices]
    except ValueError as error:
        raise ConfigError(f"--slice: {error}: write a field, dotted where it is nested") from None
    judged = await read_judged(settings, wanted, policy=policy, slice_by=paths)
    document = as_document(judged, paths)
    if as_json:
        print_json(document)
    else:
        _print(document)


def as_document(judged: JudgedEvents, slice_by: list[FieldPath]) -> dict[str, Any]:
    """All that can be said of the judges, for machines."""
    by_judge = judged.opinions.with_people()
    people = by_judge.get(PEOPLE, {})
    persons = [judge for judge in by_judge if judge.is_person and judge != PEOPLE]
    models = [judge for judge in by_judge if not judge.is_person]
    pairs = [(model, PEOPLE) for model in models if people]
    pairs += [*combinations(models, 2), *combinations(persons, 2)]
    dice = np.random.default_rng(_SEED)
    shared = [(judge, [e for e in by_judge[judge] if e in people]) for judge in models]
    recalls = [recall_by(PEOPLE, people, judged.seen, dice=dice)]
    recalls += [
        recall_by(judge, by_judge[judge], judged.seen, dice=dice, events=events)
        for judge, events in shared
        if people
    ]
    in_all = [recall_by(judge, by_judge[judge], judged.seen, dice=dice) for judge in models]
    likeness = [gate_likeness(j, by_judge[j], people, judged.seen) for j in models]
    return {
        "events": len(judged.seen),
        "no_verdicts": judged.no_verdicts,
        "judges": [
            {**_judge(judge), "events": len(said), "important": sum(said.values())}
            for judge, said in by_judge.items()
        ],
        "repeats": [_repeats(judge, answers) for judge, answers in judged.opinions.answers.items()],
        "pairs": [_pair(first, second, by_judge, judged, slice_by) for first, second in pairs],
        "gate": [
            {
                **_judge(each.judge),
                "with_gate": _agreement(each.with_gate),
                "people_with_gate": _agreement(each.people_with_gate),
                "says_what_the_gate_said": each.follows,
            }
            for each in likeness
            if each is not None
        ],
        "recall_on_events_judged_by_people": [_recall(r) for r in recalls if r is not None],
        "recall": [_recall(r) for r in in_all if r is not None],
        "holdout_without_chance": judged.without_chance,
    }


def _judge(judge: Judge) -> dict[str, Any]:
    return {"judge": judge.name, "kind": "person" if judge.is_person else "model"}


def _repeats(judge: Judge, answers: list[tuple[bool, ...]]) -> dict[str, Any]:
    events, unanimous, kappa = self_agreement(answers)
    return {**_judge(judge), "events": events, "unanimous": unanimous, "kappa": kappa}


def _pair(
    first: Judge,
    second: Judge,
    by_judge: Mapping[Judge, Mapping[str, bool]],
    judged: JudgedEvents,
    slice_by: list[FieldPath],
) -> dict[str, Any]:
    ours, theirs = by_judge[first], by_judge[second]
    whole = compare(ours, theirs)
    pair: dict[str, Any] = {"first": first.name, "second": second.name, **_agreement(whole)}
    if slice_by:
        shared = [e for e in ours if e in theirs and e in judged.seen]
        counts = Counter(judged.seen[e].slice for e in shared)
        pair["slices"] = [
            {
                "slice": name,
                **_agreement(
                    compare(ours, theirs, [e for e in shared if judged.seen[e].slice == name])
                ),
            }
            for name, count in counts.most_common()
            if count >= _FEWEST
        ]
    return pair


def _agreement(found: Agreement) -> dict[str, Any]:
    share, lower, upper = found.differs()
    return {
        "events": found.events,
        "only_first_important": found.only_first,
        "only_second_important": found.only_second,
        "differs": share,
        "differs_interval": [lower, upper],
        "kappa": found.kappa(),
        "kappa_interval": found.kappa_interval(),
    }


def _recall(found: Recall) -> dict[str, Any]:
    return {
        **_judge(found.judge),
        "recall": found.recall,
        "interval": [found.lower, found.upper],
        "important_kept": found.kept,
        "important_missed": found.missed,
        "missed_in_all": found.missed_in_all,
    }


def _print(document: dict[str, Any]) -> None:
    if not document["judges"]:
        without = document["no_verdicts"]
        click.echo(
            "no verdicts yet"
            + (f" (ended without one: {without:,})" if without else "")
            + ": `stream-filter analyst` and `stream-filter review` give them"
        )
        return
    print_table(
        ("judge", "kind", "events", "important"),
        [
            (printable(j["judge"]), j["kind"], j["events"], j["important"])
            for j in document["judges"]
        ],
    )
    if document["repeats"]:
        click.echo("\nAsked again, they say the same")
        print_table(
            ("judge", "events", "in", "kappa"),
            [
                (printable(r["judge"]), r["events"], _percent(r["unanimous"]), _number(r["kappa"]))
                for r in document["repeats"]
            ],
        )
    if document["pairs"]:
        click.echo("\nTwo judges on the same events (95 % intervals)")
        rows = []
        for pair in document["pairs"]:
            names = (printable(pair["first"]), printable(pair["second"]))
            rows.append((*names, "", *_cells(pair)))
            rows += [
                (*names, printable(each["slice"], width=30), *_cells(each))
                for each in pair.get("slices", ())
            ]
        print_table(("first", "second", "slice", "events", "differ in", "kappa"), rows)
    if document["gate"]:
        click.echo("\nBeside the gate")
        print_table(
            ("judge", "differs from the gate", "people do", ""),
            [
                (
                    printable(g["judge"]),
                    _interval(g["with_gate"]["differs"], g["with_gate"]["differs_interval"]),
                    _interval(
                        g["people_with_gate"]["differs"], g["people_with_gate"]["differs_interval"]
                    ),
                    "says what the gate said" if g["says_what_the_gate_said"] else "",
                )
                for g in document["gate"]
            ],
        )
    for key, title in (
        ("recall_on_events_judged_by_people", "The gate's recall, on what people have judged"),
        ("recall", "The gate's recall, on all that each model has judged"),
    ):
        if document[key]:
            click.echo(f"\n{title}")
            print_table(
                ("as seen by", "recall", "important kept", "missed", "which stand for"),
                [
                    (
                        printable(r["judge"]),
                        _interval(r["recall"], r["interval"]),
                        r["important_kept"],
                        r["important_missed"],
                        round(r["missed_in_all"]),
                    )
                    for r in document[key]
                ],
            )
    if document["holdout_without_chance"]:
        click.echo(
            f"\n{document['holdout_without_chance']:,} events of the holdout count once, since "
            "nobody says with which chance they were shown: give --policy",
            err=True,
        )


def _cells(found: dict[str, Any]) -> tuple[int, str, str]:
    kappa = _number(found["kappa"])
    if found["kappa_interval"]:
        lower, upper = found["kappa_interval"]
        kappa += f" ({lower:.2f} to {upper:.2f})"
    return found["events"], _interval(found["differs"], found["differs_interval"]), kappa


def _interval(value: float, interval: list[float]) -> str:
    return f"{_percent(value)} ({_percent(interval[0])} to {_percent(interval[1])})"


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"
