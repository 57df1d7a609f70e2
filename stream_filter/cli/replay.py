"""`stream-filter replay`: undo drops."""

import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np

from stream_filter.app.audit_trail import user_name
from stream_filter.app.block_rows import shown_score
from stream_filter.app.policy_file import load_policy
from stream_filter.app.replay_plan import Chosen, ReplayOrder, ReplayReport, refuse_loops
from stream_filter.app.replaying import rehearse, replay
from stream_filter.audit.choosing import choose
from stream_filter.audit.summary import summarize
from stream_filter.cli.audit_options import asked_of, ledger_options, opened
from stream_filter.cli.options import optional_policy
from stream_filter.cli.output import print_json, print_table, runs
from stream_filter.cli.quantities import Figure, Rate, money_text
from stream_filter.core.decision import Reason
from stream_filter.core.errors import ConfigError
from stream_filter.core.offset_ranges import ranges_of
from stream_filter.kafka.delivery import Delivery
from stream_filter.store.stretches import is_topic_name


@click.command(name="replay")
@ledger_options(topic_required=True)
@click.option("--to-topic", required=True, help="Where the events go.")
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("--limit", type=click.IntRange(min=1), help="Most events to send.")
@click.option("--rate", type=Rate(), help="Most events to send in a time, like 50/s.")
@click.option("--again", is_flag=True, help="Also what the gate or a replay has sent before.")
@optional_policy("The policy file: what it limits by a budget, the replay stays within.")
@click.option("--price", type=Figure(min=0.0), help="Of reading one event.")
@click.option("--examples", type=click.IntRange(0, 1000), default=5, show_default=True)
@runs
async def replay_drops(
    to_topic: str,
    dry_run: bool,
    limit: int | None,
    rate: float | None,
    again: bool,
    policy_path: Path | None,
    price: float | None,
    examples: int,
    as_json: bool,
    **chosen: Any,
) -> None:
    """Undo drops: read events back from their source, and send them on as the gate would have.

    The ledger says which: those that --where selects, decided from --from to --to, that neither the
    gate nor a replay has sent to that topic. Payload, key, timestamp and headers stay as they were;
    sf-replay headers say who asked and when. The live group is not touched. What is sent is
    recorded in one transaction with it: a replay that was broken off goes on when it is asked for
    again.

    \b
    stream-filter replay --topic payments.logs --from 24h --to-topic llm.analysis \\
        --where "reason = 'below_threshold' and score > 0.1" --dry-run
    """
    asked = asked_of(chosen)
    assert asked.topic is not None, "the option is required"
    if asked.where is None:
        raise ConfigError("--where: say which events; `true` means all")
    if not is_topic_name(to_topic):
        raise ConfigError(f"--to-topic: {to_topic!r} is no name of a topic")
    order = ReplayOrder(
        replay_id=secrets.token_hex(8),
        topic=asked.topic,
        to_topic=to_topic,
        user=user_name(),
        host=socket.gethostname(),
        where=asked.where,
        again=again,
        limit=limit,
        rate=rate,
    )
    policy = load_policy(policy_path) if policy_path else None
    refuse_loops(order, policy, asked.settings)
    # A topic that is not there is refused below.
    with opened(asked, warns=False) as ledger:
        found = choose(ledger, asked.topic, asked.window_ms, asked.where)
        if dry_run and price is None:
            price = summarize(ledger, asked.topic, asked.window_ms).price
    if dry_run:
        report, left = await rehearse(order, found, asked.settings)
        shown = _examples(order, left, examples)
        document = as_document(order, report)
        document["cost"] = None if price is None else price * report.sent
        document["examples"] = shown
    else:
        shows = sys.stderr.isatty() and not as_json

        def progress(report: ReplayReport, left: int) -> None:
            if shows:
                click.echo(f"\rsent {report.sent:,}, left {left:,} ", nl=False, err=True)

        report = await replay(order, found, policy, asked.settings, progress=progress)
        if shows:
            click.echo("", err=True)
        document, shown = as_document(order, report), []
    if report.damaged:
        click.echo(
            f"warning: {report.damaged:,} records of {asked.settings.replay_topic} cannot be read: "
            "what they say was sent is not known",
            err=True,
        )
    if as_json:
        print_json(document)
    else:
        _print(order, report, document.get("cost"), shown)


def as_document(order: ReplayOrder, report: ReplayReport) -> dict[str, Any]:
    """What was done, or would be, as plain values."""
    return {
        "replay_id": order.replay_id,
        "topic": order.topic,
        "to_topic": order.to_topic,
        "dry_run": report.delivery is None,
        "delivery": report.delivery,
        "chosen": report.chosen,
        "sent": report.sent,
        "forwarded_before": report.forwarded_before,
        "replayed_before": report.replayed_before,
        "beyond_limit": report.beyond_limit,
        "gone": _count(report.gone),
        "gone_offsets": _ranges(report.gone),
        "too_large": _count(report.too_large),
        "too_large_offsets": _ranges(report.too_large),
    }


def _count(offsets: Mapping[int, Sequence[int]]) -> int:
    return sum(map(len, offsets.values()))


def _ranges(offsets: Mapping[int, Sequence[int]]) -> dict[str, list[tuple[int, int]]]:
    """By partition, ranges of first and last."""
    return {
        str(partition): ranges_of(np.array(each, np.int64))
        for partition, each in sorted(offsets.items())
    }


def _examples(order: ReplayOrder, left: Sequence[Chosen], n: int) -> list[dict[str, Any]]:
    places = [(each, row) for each in left for row in range(min(n, len(each.offsets)))][:n]
    return [
        {
            "position": f"{order.topic}/{each.partition}/{each.offsets[row]}",
            "reason": Reason(each.reason[row]).label,
            "score": None if each.score[row] != each.score[row] else shown_score(each.score[row]),
            "rule": each.rule.at(row) or None,
            "policy_id": each.policy_id.at(row),
        }
        for each, row in places
    ]


def _print(
    order: ReplayOrder, report: ReplayReport, cost: float | None, shown: list[dict[str, Any]]
) -> None:
    would = "would send" if report.delivery is None else f"replay {order.replay_id} sent"
    price = "" if cost is None else f", which costs {money_text(cost)} to read"
    click.echo(f"{would} {report.sent:,} of {report.chosen:,} events to {order.to_topic}{price}")
    for count, what in (
        (report.forwarded_before, "the gate has forwarded or deferred itself"),
        (report.replayed_before, "a replay has sent there before"),
        (_count(report.gone), "the source no longer holds (--json lists them)"),
        (_count(report.too_large), "are more than the topic or the budget ever takes"),
        (report.beyond_limit, "are beyond --limit"),
    ):
        if count:
            click.echo(f"{count:,} {what}")
    if report.delivery == Delivery.AT_LEAST_ONCE:
        click.echo("at least once: had this been broken off, the last few may be sent again")
    if shown:
        click.echo("")
        columns = ("position", "reason", "score", "rule")
        print_table(columns, [[each[column] for column in columns] for each in shown])
