"""`stream-filter tap`: decisions as they fall."""

from pathlib import Path

import click
import orjson

from stream_filter.app.block_rows import rows_of
from stream_filter.cli.options import connection_options, settings_of
from stream_filter.cli.output import printable, runs
from stream_filter.cli.quantities import Figure
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.errors import StreamFilterError
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.arrow_block import ArrowLedgerCodec


@click.command()
@click.argument("topic")
@connection_options
@click.option("--ledger-topic", help="Where the ledger is.  [stream-filter.ledger]")
@click.option("--route", type=click.Choice([r.label for r in Route]), multiple=True)
@click.option("--reason", type=click.Choice([r.label for r in Reason]), multiple=True)
@click.option("--verdict", type=click.Choice([v.label for v in Verdict]), multiple=True)
@click.option("--rule", multiple=True, help="Decided by this rule: its name, or #1, #2, …")
@click.option("--min-score", type=Figure(), help="Only scores at or above.")
@click.option("--max-score", type=Figure(), help="Only scores at or below.")
@click.option("--from-beginning", is_flag=True, help="Also what the ledger already holds.")
@click.option("--limit", type=click.IntRange(1), help="Stop after so many decisions.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@runs
async def tap(
    topic: str,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    ledger_topic: str | None,
    route: tuple[str, ...],
    reason: tuple[str, ...],
    verdict: tuple[str, ...],
    rule: tuple[str, ...],
    min_score: float | None,
    max_score: float | None,
    from_beginning: bool,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print the decisions on TOPIC as they fall, from the ledger. Reads, never commits.

    \b
    stream-filter tap payments.logs --route forward
    stream-filter tap payments.logs --reason undecodable --from-beginning --json
    """
    settings = settings_of(
        settings_path, bootstrap=bootstrap, group=group, ledger_topic=ledger_topic
    )
    codec = ArrowLedgerCodec()
    printed = 0
    async with TopicReader(settings.connection()) as reader:
        bounds = await reader.bounds(reader.partitions(settings.ledger_topic))
        if not reader.has(topic):
            warning = f"there is no topic {printable(topic)!r}: waiting for decisions on it"
            click.echo(f"warning: {warning}", err=True)
        starts = {p: first if from_beginning else end for p, (first, end) in bounds.items()}
        async for _, records in reader.follow(starts):
            for record in records:
                try:
                    block = codec.decode(record.value or b"")
                except StreamFilterError as error:
                    click.echo(
                        f"skipped {record.topic}/{record.partition}/{record.offset}: {error}",
                        err=True,
                    )
                    continue
                if block.header.topic != topic:
                    continue
                for decision in rows_of(block):
                    if not _wanted(decision, route, reason, verdict, rule, min_score, max_score):
                        continue
                    click.echo(orjson.dumps(decision).decode() if as_json else _line(decision))
                    printed += 1
                    if printed == limit:
                        return


def _wanted(
    decision: dict[str, object],
    route: tuple[str, ...],
    reason: tuple[str, ...],
    verdict: tuple[str, ...],
    rule: tuple[str, ...],
    min_score: float | None,
    max_score: float | None,
) -> bool:
    score = decision["score"]
    return (
        (not route or decision["route"] in route)
        and (not reason or decision["reason"] in reason)
        and (not verdict or decision["verdict"] in verdict)
        and (not rule or decision["rule"] in rule)
        and (min_score is None or (isinstance(score, float) and score >= min_score))
        and (max_score is None or (isinstance(score, float) and score <= max_score))
    )


def _line(decision: dict[str, object]) -> str:
    score = "     -" if decision["score"] is None else f"{decision['score']:.4f}"
    return (
        f"{decision['route']:<11} {decision['reason']:<15} {decision['verdict']:<7} {score} "
        f"{decision['position']}" + (f"  rule {decision['rule']}" if decision["rule"] else "")
    )
