"""`stream-filter evaluate`: how good a pack is on labelled events, beside what is cheaper."""

import math
import os
from pathlib import Path

import click
import numpy as np

from stream_filter.app.evasion import dropped_by_attack
from stream_filter.app.figures import RECALLS, Figures
from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.pack_evaluation import PACK, Evaluation, evaluate_pack
from stream_filter.cli.evaluation_page import evaluation_page
from stream_filter.cli.labelled import labelled_events
from stream_filter.cli.options import json_option
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, printable, runs
from stream_filter.cli.quantities import Figure, OpenShare
from stream_filter.cli.topic_rules import topic_rules
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import TopicPolicy
from stream_filter.core.ranking import forwarded_share
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer
from stream_filter.training.extra import DEFAULT_ENCODER

_HEADER = ("auc", "95 % interval", *(f"fwd @ {recall:g}" for recall in RECALLS), "cal. error")


@click.command()
@click.argument("pack_path", metavar="PACK", type=click.Path(path_type=Path))
@click.argument("events_path", metavar="EVENTS", type=click.Path(path_type=Path))
@click.option("--policy", "policy_path", type=click.Path(path_type=Path), help="A policy file.")
@click.option("--topic", help="A topic of the policy: its fields, and its threshold.")
@click.option("--drop-below", type=Figure(0, 1), help="Instead of the policy's.")
@click.option("--slice", "slices", multiple=True, metavar="KEY", help="Show by this key, too.")
@click.option("--min-recall", type=OpenShare(), help="Exit 1 below this.")
@click.option("--max-forwarded", type=OpenShare(), help="Exit 1 if more is forwarded.")
@click.option("--evasion", is_flag=True, help="Show what each attack makes PACK drop.")
@click.option(
    "--html",
    "html_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Write a page with plots too: one file that needs nothing else.",
)
@click.option(
    "--trained-on",
    "training_path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Train what stands beside the pack on these labelled events, as the pack was.",
)
@click.option(
    "--encoder",
    default=DEFAULT_ENCODER,
    metavar="NAME",
    help=f"The frozen encoder beside the pack: a name or a folder.  [{DEFAULT_ENCODER}]",
)
@click.option(
    "--minutes",
    type=Figure(0, min_open=True),
    default=5.0,
    help="Bound for training what stands beside the pack.  [5]",
)
@click.option("--seed", type=click.IntRange(0), default=7, help="Of the split.  [7]")
@json_option
@runs
async def evaluate(
    *,
    pack_path: Path,
    events_path: Path,
    policy_path: Path | None,
    topic: str | None,
    drop_below: float | None,
    slices: tuple[str, ...],
    min_recall: float | None,
    max_forwarded: float | None,
    evasion: bool,
    html_path: Path | None,
    training_path: Path | None,
    encoder: str,
    minutes: float,
    seed: int,
    as_json: bool,
) -> None:
    """Measure PACK on labelled EVENTS it was not trained on, beside what is cheaper.

    "fwd @ 0.99": the share of all events that must be forwarded to keep 99 % of the important.
    Beside the pack: where it has two stages, each alone; a keyword rule; n-grams; and, with the
    train extra, TF-IDF and a frozen encoder with logistic regression. All but the rule and the
    stages are trained on these events, fold by fold, whole groups held out; or, with
    --trained-on, on those that the pack was trained on.

    --evasion dresses and hides the important events as an attacker would (padding, look-alike
    letters, instructions and others), and shows how many are then dropped.

    \b
    As a check in CI (exit code 1 if it fails):
    with --drop-below, or a policy's threshold: recall and forwarded share there;
    else --max-forwarded at the recall of --min-recall, which both must be given then.

    \b
    stream-filter evaluate models/own held-out.jsonl --slice service --html report.html
    stream-filter evaluate models/own held-out.jsonl --min-recall 0.99 --max-forwarded 0.3
    """
    rules = topic_rules(policy_path, topic)
    threshold = _threshold(rules, drop_below)
    if threshold is None and (min_recall is None) != (max_forwarded is None):
        raise click.UsageError("without a threshold, give --min-recall and --max-forwarded both")
    if threshold is None and evasion:
        raise click.UsageError("--evasion needs a threshold: --drop-below, or a policy's")
    pack = load_pack(pack_path)
    events = labelled_events(events_path, rules=rules, slices=slices)
    taught = None if training_path is None else labelled_events(training_path, rules=rules)
    scorer = StagedScorer(pack, threads=os.cpu_count() or 1)
    scores = scorer.score(events.texts)
    found = evaluate_pack(
        scores,
        events,
        stages=scorer.score_by_stage(events.texts),
        trained_on=taught,
        threshold=threshold,
        encoder=encoder,
        seed=seed,
        seconds=minutes * 60,
    )
    at_recall = None
    if found.at is None and min_recall is not None:
        at_recall = forwarded_share(
            scores.astype(float)[events.codes], events.important == 1, events.weights, min_recall
        )
    dropped = None
    if evasion and threshold is not None:
        dropped = _dropped(scorer, events, threshold, rules)
    failures = _failures(found, at_recall, min_recall, max_forwarded)
    if html_path is not None:
        page = evaluation_page(
            found, pack=pack.manifest.name, model_id=pack.model_id, data_sha256=events.sha256
        )
        _write(html_path, page)
    if as_json:
        print_json(
            {
                "ok": not failures,
                "model_id": pack.model_id,
                "failures": failures,
                **_as_document(found, events),
                "dropped_by_attack": dropped,
            }
        )
    else:
        _print(found, events)
        if dropped is not None:
            click.echo(f"\nshare of important events dropped at {threshold:g}, by attack")
            print_table(
                ("attack", "dropped"), [(name, f"{share:.1%}") for name, share in dropped.items()]
            )
        for failure in failures:
            click.echo(f"FAILED {failure}")
    if failures:
        raise SystemExit(EXIT_FAILED)


def _dropped(
    scorer: StagedScorer, events: LabelledEvents, threshold: float, rules: TopicPolicy | None
) -> dict[str, float]:
    important, routine = (
        np.bincount(events.codes, events.weights * (events.important == label), len(events.texts))
        for label in (1, 0)
    )
    return dropped_by_attack(
        scorer.score,
        events.texts,
        important.astype(np.float64),
        routine.astype(np.float64),
        threshold,
        long_texts=rules.long_texts if rules else "forward",
    )


def _write(path: Path, page: str) -> None:
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror}: check the path") from error


def _threshold(rules: TopicPolicy | None, drop_below: float | None) -> float | None:
    if drop_below is not None or rules is None or rules.is_uncalibrated:
        return drop_below
    return rules.thresholds.drop_below


def _failures(
    found: Evaluation,
    at_recall: float | None,
    min_recall: float | None,
    max_forwarded: float | None,
) -> list[str]:
    failures = []
    forwarded, where = at_recall, f"at recall {min_recall}"
    if found.at is not None:
        forwarded, where = found.at.forwarded, f"at threshold {found.at.threshold:g}"
        if min_recall is not None and found.at.recall < min_recall:
            failures.append(f"recall {where} is {found.at.recall:.4f}, below {min_recall:g}")
    if max_forwarded is not None and forwarded is not None and forwarded > max_forwarded:
        failures.append(f"forwarded share {where} is {forwarded:.4f}, above {max_forwarded:g}")
    return failures


def _print(found: Evaluation, events: LabelledEvents) -> None:
    whole = found.contenders[PACK]
    click.echo(
        f"{whole.events:,} events, {whole.important:,} important; {len(events.texts):,} distinct "
        f"texts, {events.contradicted:,} with both labels; {events.without_text:,} events had no "
        "text\n"
    )
    print_table(("", *_HEADER), [(name, *_cells(f)) for name, f in found.contenders.items()])
    if found.left_out:
        click.echo()
    for name, reason in found.left_out.items():
        click.echo(f"left out: {name}: {reason}")
    if found.at is not None:
        click.echo(
            f"\nat threshold {found.at.threshold:g}: recall {found.at.recall:.4f}, forwards "
            f"{found.at.forwarded:.1%}"
        )
    for key, by_value in found.slices.items():
        click.echo()
        print_table(
            (printable(key), "events", "important", *_HEADER),
            [
                (printable(value, width=40) or "(none)", f.events, f.important, *_cells(f))
                for value, f in by_value.items()
            ],
        )


def _cells(f: Figures) -> tuple[str, ...]:
    figures = (f.auc.value, *f.forwarded.values(), f.calibration_error)
    value, *others = ("–" if math.isnan(figure) else f"{figure:.4f}" for figure in figures)
    interval = "" if math.isnan(f.auc.low) else f"{f.auc.low:.4f} – {f.auc.high:.4f}"
    return (value, interval, *others)


def _as_document(found: Evaluation, events: LabelledEvents) -> dict[str, object]:
    return {
        "texts": len(events.texts),
        "contradicted_texts": events.contradicted,
        "events_without_text": events.without_text,
        "data_sha256": events.sha256,
        "contenders": {name: _figures(f) for name, f in found.contenders.items()},
        "slices": {
            key: {value: _figures(f) for value, f in by_value.items()}
            for key, by_value in found.slices.items()
        },
        "at_threshold": found.at
        and {
            "threshold": found.at.threshold,
            "recall": found.at.recall,
            "forwarded_share": found.at.forwarded,
        },
        "left_out": found.left_out,
    }


def _figures(f: Figures) -> dict[str, object]:
    return {
        "events": f.events,
        "important": f.important,
        "auc": {"value": f.auc.value, "low": f.auc.low, "high": f.auc.high},
        "forwarded_share": {f"{recall:g}": share for recall, share in f.forwarded.items()},
        "calibration_error": f.calibration_error,
    }
