"""`stream-filter ledger verify`: conservation, from outside."""

import sys
from pathlib import Path

import click

from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import Settings
from stream_filter.app.verify import Verification, verify_topic
from stream_filter.cli.ledger_diff import diff
from stream_filter.cli.options import connection_options, json_option, settings_of
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, runs
from stream_filter.cli.times import PointInTime
from stream_filter.kafka.reader import TopicReader


@click.group()
def ledger() -> None:
    """The account of every decision.

    \b
    stream-filter ledger verify --topic payments.logs
    stream-filter ledger diff --topic payments.logs
    """


ledger.add_command(diff)


@ledger.command()
@click.option("--topic", required=True, help="The source topic to verify.")
@connection_options
@click.option(
    "--policy",
    "policy_path",
    type=click.Path(path_type=Path),
    help="Take the analysis topics from this policy.",
)
@click.option("--forward-topic", multiple=True, help="An analysis topic.  [llm.analysis]")
@click.option("--from", "from_ms", type=PointInTime(), help="Records from this time, or age (15m).")
@click.option("--to", "to_ms", type=PointInTime(), help="Records before this time, or age.")
@json_option
@runs
async def verify(
    topic: str,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    policy_path: Path | None,
    forward_topic: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    as_json: bool,
) -> None:
    """Check that every offset of TOPIC is in exactly one effective block of the ledger, and that
    forwarded records and dead letters are those that the ledger names. Exit code 1 if not.

    Reads source, ledger, analysis and dead-letter topics; never touches the live group.

    \b
    stream-filter ledger verify --topic payments.logs --from 1h
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    targets = set(forward_topic)
    if policy_path is not None:
        targets |= load_policy(policy_path).targets
    finding = await verify_with(
        settings, topic, targets or {"llm.analysis"}, (from_ms, to_ms), quiet=as_json
    )
    if as_json:
        print_json(as_document(finding))
    else:
        print_finding(finding)
    if not finding.holds:
        raise SystemExit(EXIT_FAILED)


async def verify_with(
    settings: Settings,
    topic: str,
    forward_topics: set[str],
    window_ms: tuple[int | None, int | None] = (None, None),
    *,
    quiet: bool = True,
) -> Verification:
    """Connect and verify. Raises BrokerError or ConfigError."""

    def progress(name: str, records: int) -> None:
        if not quiet and sys.stderr.isatty():
            click.echo(f"\rreading {name}: {records:,} ", nl=False, err=True)

    connection = settings.connection()
    async with TopicReader(connection, isolation_level=settings.isolation_level) as reader:
        finding = await verify_topic(
            reader,
            topic,
            ledger_topic=settings.ledger_topic,
            forward_topics=forward_topics,
            dead_letter_topic=settings.dead_letter_topic,
            deferred_topic=settings.deferred_topic,
            replay_topic=settings.replay_topic,
            window_ms=window_ms,
            progress=progress,
        )
    if not quiet and sys.stderr.isatty():
        click.echo("", err=True)
    return finding


def as_document(finding: Verification) -> dict[str, object]:
    """The finding as plain values."""
    return {
        "ok": finding.holds,
        "topic": finding.topic,
        "damaged_blocks": list(finding.damaged_blocks),
        "partitions": {
            str(p): {
                "records": c.records,
                "blocks": c.blocks,
                "forwarded": c.forwarded,
                "dead_lettered": c.dead,
                "folded": c.folded,
                "summarized": c.summarized,
                "deferred": c.deferred,
                "released": c.released,
                "replayed": c.replayed,
                "discarded": c.discarded,
                "repeated": c.repeated,
                "pending": finding.pending[p],
                "problems": list(c.problems),
            }
            for p, c in finding.partitions.items()
        },
    }


def print_finding(finding: Verification) -> None:
    """The finding as a table."""
    print_table(
        (
            *("partition", "records", "forwarded", "discarded", "folded", "summarized"),
            *("deferred", "released", "replayed", "dead", "repeated", "blocks", "pending"),
        ),
        [
            (
                p,
                c.records,
                c.forwarded,
                c.discarded,
                c.folded,
                c.summarized,
                c.deferred,
                c.released,
                c.replayed,
                c.dead,
                c.repeated,
                c.blocks,
                finding.pending[p],
            )
            for p, c in sorted(finding.partitions.items())
        ],
    )
    for damaged in finding.damaged_blocks:
        click.echo(f"damaged block {damaged}")
    for p, conservation in sorted(finding.partitions.items()):
        for problem in conservation.problems:
            click.echo(f"partition {p}: {problem}")
    click.echo(f"conservation of {finding.topic}: {'holds' if finding.holds else 'BROKEN'}")
