"""What the commands of `stream-filter policy` share: where the orders are, and who speaks."""

import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import click

from stream_filter.app.audit_trail import user_name
from stream_filter.app.giving import Given, following, give, orders_of
from stream_filter.app.policy_documents import Change, PolicyDocument, read_policy
from stream_filter.app.settings import Settings
from stream_filter.app.yaml_lines import parse_yaml
from stream_filter.cli.options import settings_of
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table
from stream_filter.cli.quantities import Figure
from stream_filter.core.errors import ConfigError
from stream_filter.core.orders import Action, Order
from stream_filter.kafka.order_log import KafkaOrderLog
from stream_filter.kafka.report_board import KafkaReportBoard

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The orders of one group and the board of its workers."""

    settings: Settings
    log: KafkaOrderLog
    board: KafkaReportBoard

    async def orders(self) -> tuple[Order, ...]:
        """Those that count, oldest first."""
        return orders_of(await self.log.read())

    async def standing(self) -> tuple[tuple[Order, ...], Order]:
        """All that count, and the last. Raises ConfigError where there is none."""
        orders = await self.orders()
        if not orders:
            raise ConfigError(
                f"group {self.settings.group!r} has no policy in {self.settings.policy_topic!r}: "
                "push one, or check --group"
            )
        return orders, orders[-1]


def control_plane(settings_path: Path | None, **flags: Any) -> ControlPlane:
    settings = settings_of(settings_path, **{**flags, "control": True})
    connection, group = settings.connection(), settings.group
    return ControlPlane(
        settings=settings,
        log=KafkaOrderLog(connection, topic=settings.policy_topic, group=group),
        board=KafkaReportBoard(connection, topic=settings.worker_topic, group=group),
    )


def giving_options(command: Command) -> Command:
    """--by and --timeout."""
    for option in (
        click.option(
            "--timeout",
            "timeout_s",
            type=Figure(0.1),
            default=10.0,
            show_default=True,
            help="Seconds to wait for the workers.",
        ),
        click.option("--by", help="Who gives the order, for the history.  [user@host]"),
    ):
        command = option(command)
    return command


def document_of(order: Order) -> PolicyDocument:
    """An order's policy. Raises ConfigError where this version cannot read it."""
    return read_policy(f"order {order.sequence}", order.policy_text)


def values_of(order: Order) -> Mapping[str, Any]:
    """An order's policy as plain values, also where this version would refuse it."""
    return parse_yaml(f"order {order.sequence}", order.policy_text.encode()).values


def numbered(orders: Sequence[Order], sequence: int) -> Order:
    """The order of a sequence. Raises ConfigError where none of it counts."""
    for order in orders:
        if order.sequence == sequence:
            return order
    raise ConfigError(f"there is no order {sequence}: see `stream-filter policy history`")


async def give_and_tell(
    plane: ControlPlane,
    orders: Sequence[Order],
    action: Action,
    document: PolicyDocument,
    *,
    paused: tuple[str, ...],
    note: str,
    by: str | None,
    changes: Sequence[Change] = (),
    timeout_s: float,
    as_json: bool,
) -> None:
    """Give the order after `orders`, print which workers have it in force. Exit code 1 if a live
    one has not. `by` None: whoever is at the keyboard."""
    order = following(
        orders,
        action,
        document,
        by=by or f"{user_name()}@{socket.gethostname()}",
        paused=paused,
        note=note,
        group=plane.settings.group,
    )
    given = await give(order, plane.log, plane.board, timeout_s=timeout_s)
    if as_json:
        print_json(_as_document(given, changes))
    else:
        _print_given(given, timeout_s)
    if not given.reach.is_complete:
        raise SystemExit(EXIT_FAILED)


def _as_document(given: Given, changes: Sequence[Change]) -> dict[str, object]:
    order, reached = given.order, given.reach
    return {
        "ok": reached.is_complete,
        "sequence": order.sequence,
        "action": order.action,
        "at_ms": order.at_ms,
        "record": given.position,
        "policy_id": order.policy_id,
        "paused": list(order.paused),
        "changes": change_documents(changes),
        "workers": {
            **{name: {"state": "in_force", "after_s": s} for name, s in given.after_s.items()},
            **{n: {"state": "refused", "because": b} for n, b in reached.refused.items()},
            **{name: {"state": "waiting"} for name in reached.waiting},
        },
    }


def change_documents(changes: Sequence[Change]) -> list[dict[str, object]]:
    return [{"key": c.key, "before": c.before, "after": c.after} for c in changes]


def _print_given(given: Given, timeout_s: float) -> None:
    order, reached = given.order, given.reach
    click.echo(f"order {order.sequence}: {order.action}, policy id {order.policy_id}")
    rows = [
        *((name, "in force", f"after {s:.1f} s") for name, s in given.after_s.items()),
        *((name, "REFUSED", because) for name, because in reached.refused.items()),
        *((name, "NOT YET", f"nothing within {timeout_s:g} s") for name in reached.waiting),
    ]
    if rows:
        print_table(("worker", "state", ""), rows)
    else:
        click.echo("no live worker: it is in force where one starts")
    if order.paused:
        click.echo(f"paused: {', '.join(order.paused)}")


def at(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
