"""`stream-filter what-if`: what another policy would have made of recorded events."""

from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np

from stream_filter.app.policy_file import load_policy
from stream_filter.audit.account import WhatIf
from stream_filter.audit.summary import ROUTES
from stream_filter.audit.supposing import what_if
from stream_filter.cli.audit_options import asked_of, ledger_options, opened
from stream_filter.cli.audit_page import write_page
from stream_filter.cli.chart import chart
from stream_filter.cli.options import policy_option
from stream_filter.cli.output import print_json, print_table, runs
from stream_filter.cli.quantities import Figure
from stream_filter.cli.what_if_page import what_if_page
from stream_filter.core.decision import Route
from stream_filter.core.errors import ConfigError
from stream_filter.core.what_if import Fate, Supported

_BY_LABEL = {route.label: route for route in Route}
_SHOWN_EVERY = 5


@click.command(name="what-if")
@policy_option
@ledger_options()
@click.option("--price", type=Figure(min=0.0), help="Of reading one event.  [mean of the verdicts]")
@click.option(
    "--sweep", is_flag=True, help="Also what each drop_below from 0 to 1 would do, by 0.01."
)
@click.option(
    "--html", "html_path", type=click.Path(path_type=Path, dir_okay=False), help="Write a page."
)
@runs
async def suppose(
    policy_path: Path,
    price: float | None,
    sweep: bool,
    html_path: Path | None,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Decide recorded events again by another policy, from their recorded scores and in the
    ledger's order, and send nothing: how many it would forward and drop and for which reasons, what
    is newly forwarded and newly dropped, what reading it costs, and which recall the labels of the
    old policy support. No model is asked: texts without a recorded score are counted as unscored.

    Rules, folds, budgets and a ramp by key need the records themselves: they are read back from the
    source topic, by a consumer in no group.

    \b
    stream-filter what-if --policy new.yaml --topic payments.logs --from 24h
    stream-filter what-if --policy new.yaml --topic payments.logs --sweep --html sliders.html
    """
    policy = load_policy(policy_path)
    asked = asked_of(chosen)
    topic = asked.topic or policy.only_topic
    if topic is None:
        raise ConfigError("--topic: the policy has several: say which")
    with opened(asked) as ledger:
        found = what_if(
            ledger,
            policy,
            topic,
            asked.window_ms,
            settings=asked.settings,
            where=asked.where,
            price=price,
            sweep=sweep,
            asks_source=asked.newest,
        )
    if html_path is not None:
        write_page(html_path, what_if_page(found))
    if found.is_other_key:
        click.echo(
            "warning: the recorded holdout was drawn with another key: give the gate's settings",
            err=True,
        )
    if as_json:
        print_json(as_document(found))
    else:
        _print(found)


def as_document(found: WhatIf) -> dict[str, Any]:
    """The answer as plain values."""
    reasons = {
        name: [
            {"route": route.label, "reason": reason.label, "records": n}
            for (route, reason), n in _by_fate(found, place).most_common()
        ]
        for place, name in enumerate(("recorded", "supposed"))
    }
    return {
        "topic": found.topic,
        "policy_id": found.policy_id,
        "model_id": found.model_id,
        "records": found.records,
        "unscored": found.unscored,
        "gone": found.gone,
        "read_back_because_of": list(found.needed),
        "is_other_key": found.is_other_key,
        "is_text_checked": found.is_text_checked,
        "recorded": {name: found.recorded(_BY_LABEL[label]) for name, label in ROUTES.items()},
        "supposed": {name: found.supposed(_BY_LABEL[label]) for name, label in ROUTES.items()},
        "newly": {name: found.newly(_BY_LABEL[label]) for name, label in ROUTES.items()},
        "by_reason": reasons,
        "moves": [
            {
                "from": {"route": old[0].label, "reason": old[1].label},
                "to": None if new is None else {"route": new[0].label, "reason": new[1].label},
                "records": n,
            }
            for old, new, n in found.moves
        ],
        "examples": {
            f"newly_{name}": [
                {"position": str(each.position), "score": each.score}
                for each in found.examples[_BY_LABEL[ROUTES[name]]]
            ]
            for name in ("forwarded", "dropped")
        },
        "price": found.price,
        "cost": found.cost,
        "recorded_cost": _recorded_cost(found),
        "confidence": 1 - found.failure_probability,
        "recall": _recall(found.supported),
        "sweep": [
            {
                "drop_below": point.drop_below,
                "forwarded": point.forwarded,
                "cost": point.cost,
                "recall": _recall(point.supported),
            }
            for point in found.sweep
        ],
    }


def _by_fate(found: WhatIf, place: int) -> Counter[Fate]:
    counts: Counter[Fate] = Counter()
    for move in found.moves:
        fate = move[place]
        if isinstance(fate, tuple):
            counts[fate] += move[2]
    return counts


def _recorded_cost(found: WhatIf) -> float | None:
    return None if found.price is None else found.price * found.recorded(Route.FORWARD)


def _recall(supported: Supported) -> dict[str, Any]:
    finding = supported.finding
    return {
        "low": None if finding is None else finding.recall.lower,
        "high": None if finding is None else finding.recall.upper,
        "events": supported.events,
        "without_support": supported.unsupported,
        "judged": supported.judged,
        "important": supported.important,
    }


def _print(found: WhatIf) -> None:
    click.echo(
        f"{found.topic} under policy {found.policy_id}, scores of pack {found.model_id or 'none'}: "
        f"{found.records:,} records"
        + (f", read back for {' and '.join(found.needed)}" if found.needed else "")
    )
    if found.gone:
        click.echo(f"{found.gone:,} more are not counted: the source no longer holds them")
    if not (found.needed or found.is_text_checked):
        click.echo("that the policy reads the recorded texts was not checked: no source was asked")
    rows = [
        (
            name.replace("_", "-"),
            found.recorded(_BY_LABEL[label]),
            found.supposed(_BY_LABEL[label]),
            found.newly(_BY_LABEL[label]),
        )
        for name, label in ROUTES.items()
    ]
    if found.unscored:
        rows.append(("unscored", 0, found.unscored, found.unscored))
    print_table(("", "recorded", "what if", "newly"), rows)
    if found.price is not None:
        click.echo(
            f"at {found.price:g} an event: {_recorded_cost(found):,.2f} as recorded, "
            f"{found.cost:,.2f} if so"
        )
    click.echo(recall_line(found.supported, confidence=1 - found.failure_probability))
    click.echo("")
    print_table(
        ("recorded", "", "what if", "", "records"),
        [
            (old[0].label, old[1].label, *_names(new), n)
            for old, new, n in found.moves
            if new is None or new != old
        ],
    )
    for name in ("forwarded", "dropped"):
        examples = found.examples[_BY_LABEL[ROUTES[name]]]
        if examples:
            click.echo(f"\nnewly {name}, the first of their texts:")
            print_table(
                ("position", "score"),
                [
                    (each.position, "none" if each.score is None else f"{each.score:.3f}")
                    for each in examples
                ],
            )
    if found.sweep:
        click.echo("")
        _print_sweep(found)


def _names(fate: Fate | None) -> tuple[str, str]:
    return ("unscored", "") if fate is None else (fate[0].label, fate[1].label)


def recall_line(supported: Supported, *, confidence: float) -> str:
    """What is known of the recall, in one line."""
    finding = supported.finding
    without = (
        f"; no support for {supported.unsupported:,} events that were dropped outside any holdout"
        if supported.unsupported
        else ""
    )
    if finding is None:
        return f"recall: no support: there is no verdict on these events{without}"
    return (
        f"recall {finding.recall.lower:.1%} to {finding.recall.upper:.1%} at {confidence:.0%} "
        f"confidence, of {supported.events:,} events ({supported.judged:,} judged, "
        f"{supported.important:,} important){without}"
    )


def _print_sweep(found: WhatIf) -> None:
    x = np.array([point.drop_below for point in found.sweep])
    most = max(found.records, 1)
    curves = {"forwarded": (x, np.array([p.forwarded / most for p in found.sweep]))}
    low = [p.supported.finding.recall.lower if p.supported.finding else 0.0 for p in found.sweep]
    if found.supported.finding is not None:
        curves["least recall"] = (x, np.array(low))
    for line in chart(curves, x_name="drop_below", x_ticks=(0.0, 0.25, 0.5, 0.75, 1.0)):
        click.echo(line)
    click.echo("")
    rows = []
    for point in found.sweep[::_SHOWN_EVERY]:
        finding = point.supported.finding
        interval = (
            "no support"
            if finding is None
            else f"{finding.recall.lower:.1%} to {finding.recall.upper:.1%}"
        )
        cost = "" if point.cost is None else f"{point.cost:,.2f}"
        rows.append((f"{point.drop_below:.2f}", point.forwarded, cost, interval))
    print_table(("drop_below", "forwarded", "cost", "recall"), rows)
