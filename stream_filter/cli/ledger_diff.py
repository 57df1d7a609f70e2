"""`stream-filter ledger diff`: what a challenger would decide otherwise."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import click

from stream_filter.app.block_rows import shown_score
from stream_filter.app.ledger_diff import Comparison, Difference, compare, values_at
from stream_filter.cli.options import connection_options, json_option, settings_of
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, printable, runs
from stream_filter.cli.times import PointInTime
from stream_filter.core.decision import Verdict
from stream_filter.core.position import Position
from stream_filter.kafka.reader import TopicReader

_Values: TypeAlias = Mapping[Position, bytes | None]
_SHOWN_BYTES = 1_000


@click.command()
@click.option("--topic", required=True, help="The source topic.")
@connection_options
@click.option("--from", "from_ms", type=PointInTime(), help="Blocks with records from this time.")
@click.option("--to", "to_ms", type=PointInTime(), help="Blocks with records before this time.")
@click.option(
    "--examples",
    type=click.IntRange(0, 1000),
    default=3,
    show_default=True,
    help="How many of each pair of verdicts.",
)
@json_option
@runs
async def diff(
    topic: str,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    from_ms: int | None,
    to_ms: int | None,
    examples: int,
    as_json: bool,
) -> None:
    """Compare the verdicts of TOPIC's champion with those of its `challenger`, which decided beside
    it on the same records and never acted: how many it would newly drop and newly forward, with
    examples. For each policy in the time asked for. Exit code 1 where the ledger has none.

    Times choose whole blocks of the ledger, by the timestamps of their records. Examples show the
    record's value while the source still holds it.

    \b
    stream-filter ledger diff --topic payments.logs --from 24h
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    shows = not as_json and sys.stderr.isatty()

    def progress(name: str, records: int) -> None:
        if shows:
            click.echo(f"\rreading {name}: {records:,} ", nl=False, err=True)

    async with TopicReader(
        settings.connection(), isolation_level=settings.isolation_level
    ) as reader:
        reader.partitions(topic)  # is there, or the name is wrong
        found = await compare(
            reader,
            topic,
            ledger_topic=settings.ledger_topic,
            window_ms=(from_ms, to_ms),
            examples=examples,
            progress=progress,
        )
        values = await values_at(reader, _positions(found.values()))
    if shows:
        click.echo("", err=True)
    if as_json:
        print_json(
            {"topic": topic, "policies": {p: _document(c, values) for p, c in found.items()}}
        )
    else:
        for policy_id, comparison in found.items():
            _print(policy_id, comparison, values)
    if not found:
        if not as_json:
            click.echo(f"no block of {topic} has a challenger: put one into its policy")
        raise SystemExit(EXIT_FAILED)


def _positions(comparisons: Iterable[Comparison]) -> Iterator[Position]:
    for comparison in comparisons:
        for differences in comparison.examples.values():
            yield from (each.position for each in differences)


def _print(policy_id: str, comparison: Comparison, values: _Values) -> None:
    click.echo(
        f"policy {policy_id}: {comparison.records:,} records; the challenger would newly drop "
        f"{comparison.newly_dropped:,} and newly forward {comparison.newly_forwarded:,}"
    )
    if comparison.unread:
        click.echo(f"{comparison.unread:,} are not compared: its model gave no score")
    click.echo("")
    print_table(
        ("champion", *(f"challenger {new.label}" for new in Verdict)),
        [(old.label, *(comparison.verdicts[old, new] for new in Verdict)) for old in Verdict],
    )
    rows = [
        (
            *(old.label, new.label, each.position, *_reasons(each)),
            printable(_text(values, each) or "", width=60),
        )
        for (old, new), differences in sorted(comparison.examples.items())
        for each in differences
    ]
    if rows:
        click.echo("")
        header = ("champion", "challenger", "position", "champion because", "challenger", "value")
        print_table(header, rows)
    click.echo("")


def _reasons(each: Difference) -> tuple[str, str]:
    pairs = (
        (each.champion_reason, each.champion_score),
        (each.challenger_reason, each.challenger_score),
    )
    champion, challenger = (
        reason.label if math.isnan(score) else f"{reason.label} {score:.4f}"
        for reason, score in pairs
    )
    return champion, challenger


def _text(values: _Values, each: Difference) -> str | None:
    """The beginning of a record's value; None where there is none, or not any more."""
    value = values.get(each.position)
    return None if value is None else value[:_SHOWN_BYTES].decode("utf-8", "replace")


def _document(comparison: Comparison, values: _Values) -> dict[str, object]:
    return {
        "records": comparison.records,
        "unread": comparison.unread,
        "newly_dropped": comparison.newly_dropped,
        "newly_forwarded": comparison.newly_forwarded,
        "verdicts": [
            {"champion": old.label, "challenger": new.label, "records": count}
            for (old, new), count in sorted(comparison.verdicts.items())
        ],
        "examples": [
            {
                "position": str(each.position),
                "value": _text(values, each),
                "champion": {
                    "verdict": old.label,
                    "reason": each.champion_reason.label,
                    "score": shown_score(each.champion_score),
                },
                "challenger": {
                    "verdict": new.label,
                    "reason": each.challenger_reason.label,
                    "score": shown_score(each.challenger_score),
                },
            }
            for (old, new), differences in sorted(comparison.examples.items())
            for each in differences
        ],
    }
