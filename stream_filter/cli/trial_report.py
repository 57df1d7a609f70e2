"""What `stream-filter try` found, for people and for machines."""

from collections.abc import Callable
from typing import TypeAlias

import click

from stream_filter.app.trial import SCORE_BINS, Example, TrialReport
from stream_filter.cli.output import print_table, printable
from stream_filter.core.decision import Reason, Route
from stream_filter.core.tokens import BYTES_PER_TOKEN, cost_of

Place: TypeAlias = Callable[[Example], str]
_BAR = 40
_WIDTH = 100
_MANY = 0.01


def print_report(report: TrialReport, place: Place, price: float | None) -> None:
    """The report as a person reads it. `place` says where an example stands."""
    print_table(
        ("route", "reason", "events", "share"),
        [
            (route.label, reason.label, count, _share(count, report.events))
            for (route, reason), count in report.fates.items()
        ],
    )
    verdicts = ", ".join(f"{verdict.label} {n:,}" for verdict, n in report.verdicts.items())
    click.echo(
        f"\nverdicts: {verdicts}\n"
        f"forwarded: {report.forwarded:,}, {_share(report.forwarded, report.events).strip()}\n"
        f"distinct texts: {report.distinct_texts:,}"
    )
    if report.degraded_because is not None:
        click.echo(f"the model gave no score: {printable(report.degraded_because)}")
    too_long = report.fates.get((Route.FORWARD, Reason.TEXT_CUT), 0)
    if too_long >= _MANY * report.events:
        click.echo(
            f"{_share(too_long, report.events)} of the events are too long to be read whole and "
            "forwarded for it: name fewer fields in `text`, drop what is known by a rule, or let "
            "head and tail decide (long_texts: score)"
        )
    forwarded, everything = f"{report.forwarded_tokens:,}", f"{report.tokens:,}"
    if price is not None:
        forwarded += f" = {_cost(report.forwarded_tokens, price):,.4f}"
        everything += f" = {_cost(report.tokens, price):,.4f} at {price:g} a million"
    click.echo(
        f"tokens forwarded: {forwarded}; all events: {everything}\n"
        f"  (an estimate: {BYTES_PER_TOKEN} bytes of a value are taken for a token)\n\nscores"
    )
    most = max(1, int(report.score_counts.max()))
    for index, count in enumerate(report.score_counts.tolist()):
        bar = "█" * -(-count * _BAR // most)
        ends = f"{index / SCORE_BINS:.1f}–{(index + 1) / SCORE_BINS:.1f}"
        click.echo(f"  {ends} {count:>10,} {bar}".rstrip())
    if report.unscored:
        click.echo(f"  none    {report.unscored:>10,}")
    for fate in report.fates:
        if report.examples[fate]:
            click.echo("\n" + ", ".join(step.label for step in fate))
        for example in report.examples[fate]:
            score = "     -" if example.score is None else f"{example.score:.4f}"
            shown = printable(example.text or example.payload or "(no value)", width=_WIDTH)
            click.echo(f"  {score}  {place(example)}  {shown}")


def as_document(report: TrialReport, place: Place, price: float | None) -> dict[str, object]:
    """The report as plain values."""
    return {
        "events": report.events,
        "routes": [
            {
                "route": route.label,
                "reason": reason.label,
                "events": count,
                "share": count / report.events,
            }
            for (route, reason), count in report.fates.items()
        ],
        "verdicts": {verdict.label: count for verdict, count in report.verdicts.items()},
        "forwarded": report.forwarded,
        "forwarded_share": report.forwarded / report.events,
        "distinct_texts": report.distinct_texts,
        "degraded_because": report.degraded_because,
        "scores": {"bins": report.score_counts.tolist(), "none": report.unscored},
        "value_bytes": report.value_bytes,
        "tokens": {
            "all": report.tokens,
            "forwarded": report.forwarded_tokens,
            "bytes_per_token": BYTES_PER_TOKEN,
        },
        "cost": None
        if price is None
        else {
            "all": _cost(report.tokens, price),
            "forwarded": _cost(report.forwarded_tokens, price),
            "price_per_million_tokens": price,
        },
        "examples": [
            {
                "route": route.label,
                "reason": reason.label,
                "place": place(example),
                "score": example.score,
                "text": example.text,
                "payload": example.payload,
            }
            for route, reason in report.fates
            for example in report.examples[route, reason]
        ],
    }


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:5.1f} %"


def _cost(tokens: int, price: float) -> float:
    return cost_of(tokens, price_per_million_tokens=price)
