"""Giving an order, and hearing which workers have put it in force."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from stream_filter.app.policy_documents import PolicyDocument
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.orders import HEARTBEAT_S, Action, Order, Reach, Report, counting, reach
from stream_filter.gate.orders import OrderLog, OrderRecord, ReportBoard

_FIRST_WORD_S = 3 * HEARTBEAT_S
"""Where nobody is live: a worker may just be starting, or the broker may just be back."""
_SILENT_S = 5 * HEARTBEAT_S
"""For workers that were live until lately."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An order that counts, and how far it has come."""

    order: Order
    position: str
    reach: Reach
    after_s: Mapping[str, float]
    """From the order to a worker's report that it is in force, by the broker's clock."""


def orders_of(records: Sequence[OrderRecord]) -> tuple[Order, ...]:
    """The orders that count."""
    return counting(record.order for record in records if record.order is not None)


def following(
    orders: Sequence[Order],
    action: Action,
    document: PolicyDocument,
    *,
    by: str,
    paused: tuple[str, ...],
    note: str,
    group: str,
) -> Order:
    """The order after the last."""
    return Order(
        group=group,
        sequence=orders[-1].sequence + 1 if orders else 1,
        action=action,
        by=by,
        at_ms=int(time.time() * 1000),
        policy_id=document.policy.policy_id,
        policy_text=document.text,
        paused=paused,
        note=note,
    )


async def give(order: Order, log: OrderLog, board: ReportBoard, *, timeout_s: float) -> Given:
    """Write an order and wait until every live worker has put it in force or refused it, or for
    `timeout_s`.

    Raises StreamFilterError where somebody gave another at the same time and that one counts.
    """
    heard = _Heard(board)
    listening = asyncio.create_task(heard.listen())
    try:
        await _first_of(heard.is_listening, listening, within_s=None)
        record = await log.append(order)
        await _require_counts(record, log)
        began_s = asyncio.get_running_loop().time()
        while True:
            now_ms = max([record.appended_ms, *(r.heard_ms for r in heard.latest.values())])
            reached = reach(order, heard.latest, now_ms)
            passed_s = asyncio.get_running_loop().time() - began_s
            may_speak_s = (
                _SILENT_S if reached.silent else 0.0 if reached.in_force else _FIRST_WORD_S
            )
            if passed_s >= timeout_s or (not reached.waiting and passed_s >= may_speak_s):
                break
            heard.news.clear()
            await _first_of(heard.news, listening, within_s=min(timeout_s - passed_s, HEARTBEAT_S))
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError, StreamFilterError):
            await listening
    return Given(
        order=order,
        position=record.position,
        reach=reached,
        after_s={
            name: max(0, heard.since_ms(name, order) - record.appended_ms) / 1000
            for name in reached.in_force
        },
    )


async def live_reports(board: ReportBoard, *, within_s: float) -> list[Report]:
    """The last report of each worker that said something within the next `within_s`."""
    heard = _Heard(board)
    listening = asyncio.create_task(heard.listen())
    try:
        await _first_of(heard.is_listening, listening, within_s=None)
        before = dict(heard.latest)
        await asyncio.sleep(within_s)
    finally:
        listening.cancel()
        with suppress(asyncio.CancelledError):
            await listening
    return [
        report
        for name, report in sorted(heard.latest.items())
        if report is not before.get(name) and not report.is_leaving
    ]


class _Heard:
    """Reports as they come."""

    def __init__(self, board: ReportBoard) -> None:
        self._board = board
        self._first: dict[tuple[str, int], int] = {}
        self.latest: dict[str, Report] = {}
        self.is_listening = asyncio.Event()
        self.news = asyncio.Event()

    async def listen(self) -> None:
        async for reports in self._board.follow():
            for report in reports:
                self.latest[report.worker] = report
                reached = max(report.sequence, report.refused_sequence)
                self._first.setdefault((report.worker, reached), report.heard_ms)
            self.is_listening.set()
            self.news.set()

    def since_ms(self, worker: str, order: Order) -> int:
        """When the worker first reported this order, or a later one."""
        return min(
            at
            for (name, reached), at in self._first.items()
            if name == worker and reached >= order.sequence
        )


async def _first_of(
    event: asyncio.Event, task: "asyncio.Task[None]", *, within_s: float | None
) -> None:
    """Until the event is set, the task ends (then with its error) or the time is up."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait({waiting, task}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if task.done():
        task.result()


async def _require_counts(record: OrderRecord, log: OrderLog) -> None:
    kept = None
    for other in await log.read():
        if other.position == record.position:
            break
        if other.order is not None and (kept is None or other.order.sequence > kept.sequence):
            kept = other.order
    assert record.order is not None, "an order was given"
    if kept is not None and kept.sequence >= record.order.sequence:
        raise StreamFilterError(
            f"{kept.by} gave order {kept.sequence} ({kept.action}) at the same time, and that one "
            "counts: look at `stream-filter policy history` and give yours again"
        )
