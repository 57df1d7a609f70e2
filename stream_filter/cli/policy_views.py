"""`stream-filter policy list | get | history | diff`: what is in force, and what was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from stream_filter.app.giving import live_reports
from stream_filter.app.policy_documents import changes, load_document, topic_text
from stream_filter.app.yaml_lines import parse_yaml
from stream_filter.cli.options import connection_options, json_option
from stream_filter.cli.output import print_json, print_table, runs
from stream_filter.cli.policy_plane import (
    at,
    change_documents,
    control_plane,
    document_of,
    numbered,
    values_of,
)
from stream_filter.core.orders import HEARTBEAT_S, Order, is_paused


@click.command("list")
@connection_options
@json_option
@runs
async def list_(
    settings_path: Path | None, bootstrap: str | None, group: str | None, as_json: bool
) -> None:
    """What is ordered for each topic, and what each live worker has in force, since when.

    \b
    stream-filter policy list
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    _, latest = await plane.standing()
    document = document_of(latest)
    reports = await live_reports(plane.board, within_s=2 * HEARTBEAT_S)
    topics = [
        (
            rules.topic,
            rules.mode.value,
            rules.model,
            ", ".join(sorted(rules.targets)),
            is_paused(rules.topic, latest.paused),
        )
        for rules in document.policy.topics
    ]
    if as_json:
        keys = ("topic", "mode", "model", "forward_to", "is_paused")
        print_json(
            {
                "sequence": latest.sequence,
                "policy_id": latest.policy_id,
                "by": latest.by,
                "at_ms": latest.at_ms,
                "paused": list(latest.paused),
                "topics": [dict(zip(keys, row, strict=True)) for row in topics],
                "workers": [
                    {
                        "worker": r.worker,
                        "sequence": r.sequence,
                        "policy_id": r.policy_id,
                        "paused": list(r.paused),
                        "since_ms": r.since_ms,
                        "refused_sequence": r.refused_sequence,
                        "refused_because": r.refused_because,
                    }
                    for r in reports
                ],
            }
        )
        return
    click.echo(
        f"order {latest.sequence} by {latest.by} at {at(latest.at_ms)}: policy id "
        f"{latest.policy_id}"
    )
    print_table(("topic", "mode", "model", "forward_to", "paused"), topics)
    click.echo("")
    if not reports:
        click.echo("no live worker")
        return
    print_table(
        ("worker", "order", "policy id", "since", "refused"),
        [
            (r.worker, r.sequence, r.policy_id or "none", at(r.since_ms), r.refused_because)
            for r in reports
        ],
    )


@click.command()
@click.argument("topic", required=False)
@click.option("--sequence", type=click.IntRange(1), help="Of this order.  [the last]")
@connection_options
@json_option
@runs
async def get(
    topic: str | None,
    sequence: int | None,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    as_json: bool,
) -> None:
    """Print the policy as it was pushed, or the entry TOPIC of it.

    \b
    stream-filter policy get > policy.yaml
    stream-filter policy get payments.logs --sequence 3
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    orders, latest = await plane.standing()
    order = latest if sequence is None else numbered(orders, sequence)
    text = order.policy_text if topic is None else topic_text(document_of(order), topic)
    if as_json:
        values = parse_yaml(f"order {order.sequence}", text.encode()).values
        print_json({"sequence": order.sequence, "policy_id": order.policy_id, "policy": values})
    else:
        click.echo(text, nl=not text.endswith("\n"))


@click.command()
@connection_options
@json_option
@runs
async def history(
    settings_path: Path | None, bootstrap: str | None, group: str | None, as_json: bool
) -> None:
    """Who gave which order, when, with which policy id. Oldest first.

    \b
    stream-filter policy history
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    orders, _ = await plane.standing()
    if as_json:
        print_json(
            [
                {
                    "sequence": order.sequence,
                    "at_ms": order.at_ms,
                    "by": order.by,
                    "action": order.action,
                    "policy_id": order.policy_id,
                    "paused": list(order.paused),
                    "note": order.note,
                }
                for order in orders
            ]
        )
        return
    print_table(
        ("order", "when", "by", "action", "policy id", "note"),
        [(o.sequence, at(o.at_ms), o.by, o.action, o.policy_id, o.note) for o in orders],
    )


@click.command()
@click.argument("a")
@click.argument("b", default="current")
@connection_options
@json_option
@runs
async def diff(
    a: str,
    b: str,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    as_json: bool,
) -> None:
    """What changes from A to B, key by key: each a file, the number of an order, or `current`.

    \b
    stream-filter policy diff current policy.yaml
    stream-filter policy diff 3 5
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    named = {name for name in (a, b) if name == "current" or name.isdigit()}
    orders, _ = await plane.standing() if named else ((), None)
    found = changes(_values(a, orders), _values(b, orders))
    if as_json:
        print_json(change_documents(found))
        return
    for change in found:
        click.echo(str(change))
    if not found:
        click.echo("no difference")


def _values(name: str, orders: tuple[Order, ...]) -> Mapping[str, Any]:
    if name == "current" or name.isdigit():
        order = orders[-1] if name == "current" else numbered(orders, int(name))
        return values_of(order)
    return load_document(Path(name)).values
