"""Giving an order and hearing who has it in force."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress

import pytest

from stream_filter.app.giving import give, live_reports, orders_of
from stream_filter.app.policy_switch import Standing
from stream_filter.app.reporter import Reporter
from stream_filter.control.in_memory import InMemoryOrderLog, InMemoryReportBoard
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.orders import HEARTBEAT_S, Action, Order, Report

PATIENCE_S = 60
"""For what comes at once, also where the machine stalls for seconds."""
ORDER = Order(
    group="g",
    sequence=1,
    action=Action.PUSH,
    by="ann",
    at_ms=0,
    policy_id="0" * 16,
    policy_text="",
    paused=(),
    note="",
)


class Clock:
    """Milliseconds that the tests move."""

    def __init__(self) -> None:
        self.now_ms = 100_000

    def __call__(self) -> int:
        return self.now_ms


class Silent:
    """A watcher of reports that are not expected to fail."""

    def report_failed(self, error: Exception) -> None:
        raise AssertionError(error)


def standing(sequence: int, refused: int = 0) -> Standing:
    """What a worker says."""
    return Standing(
        sequence=sequence,
        policy_id="0" * 16,
        paused=(),
        is_known=True,
        since_ms=0,
        refused_sequence=refused,
        refused_because="no pack" if refused else "",
    )


async def reported(board: InMemoryReportBoard, holds: Callable[[Report], bool]) -> None:
    """Until a report stands on the board of which that holds."""
    async with asyncio.timeout(PATIENCE_S), aclosing(board.follow()) as following:  # type: ignore[type-var]
        async for reports in following:
            if any(map(holds, reports)):
                return


@asynccontextmanager
async def workers(board: InMemoryReportBoard, *names: str) -> AsyncIterator[dict[str, Reporter]]:
    """Workers that report order 0."""
    reporters = {n: Reporter(board, group="g", worker=n, watcher=Silent()) for n in names}
    for reporter in reporters.values():
        reporter.tell(standing(0))
    tasks = [asyncio.create_task(reporter.run()) for reporter in reporters.values()]
    for name in names:
        await reported(board, lambda report, name=name: report.worker == name)
    try:
        yield reporters
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def test_the_answer_comes_when_every_live_worker_has_it() -> None:
    """With the time that each took."""
    clock = Clock()
    log, board = InMemoryOrderLog(clock), InMemoryReportBoard(clock)
    async with workers(board, "one", "two") as reporters:
        giving = asyncio.create_task(give(ORDER, log, board, timeout_s=PATIENCE_S))
        async with asyncio.timeout(PATIENCE_S):
            while not await log.read():  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0.01)
        clock.now_ms += 200
        reporters["one"].tell(standing(1))
        await reported(board, lambda report: report.worker == "one" and report.sequence == 1)
        await asyncio.sleep(0.05)
        assert not giving.done()
        clock.now_ms += 300
        reporters["two"].tell(standing(1))
        given = await asyncio.wait_for(giving, PATIENCE_S)
    assert given.reach.is_complete
    assert given.after_s == {"one": 0.2, "two": 0.5}
    assert orders_of(await log.read()) == (ORDER,)


async def test_who_has_not_put_it_in_force_is_named() -> None:
    """A refusal with its cause, a silence as such; who left is not waited for."""
    clock = Clock()
    log, board = InMemoryOrderLog(clock), InMemoryReportBoard(clock)
    async with workers(board, "cannot", "does-not", "left") as reporters:
        await reporters["left"].leave()
        reporters["cannot"].tell(standing(0, refused=1))
        await reported(board, lambda report: report.refused_sequence == 1)
        given = await give(ORDER, log, board, timeout_s=0.2)
    assert given.reach.refused == {"cannot": "no pack"}
    assert given.reach.waiting == ("does-not",)
    assert not given.reach.is_complete


async def test_without_a_worker_the_order_stands_all_the_same() -> None:
    """It is in force where one starts."""
    clock = Clock()
    log, board = InMemoryOrderLog(clock), InMemoryReportBoard(clock)
    given = await give(ORDER, log, board, timeout_s=PATIENCE_S)
    assert given.reach.is_complete
    assert given.reach.in_force == ()


async def test_a_worker_that_was_cut_off_is_waited_for() -> None:
    """After the broker was away nobody is live for a moment: those that were may speak first."""
    clock = Clock()
    log, board = InMemoryOrderLog(clock), InMemoryReportBoard(clock)
    async with workers(board, "one"):
        pass
    clock.now_ms += 20_000
    giving = asyncio.create_task(give(ORDER, log, board, timeout_s=20))
    await asyncio.sleep(0.3)
    assert not giving.done()
    async with workers(board, "one") as reporters:
        reporters["one"].tell(standing(1))
        given = await asyncio.wait_for(giving, PATIENCE_S)
    assert given.reach.in_force == ("one",)


async def test_of_two_orders_given_at_once_the_second_is_told() -> None:
    """Who loses hears who won, and what to do."""
    clock = Clock()
    log, board = InMemoryOrderLog(clock), InMemoryReportBoard(clock)
    await log.append(ORDER)
    with pytest.raises(StreamFilterError, match=r"ann gave order 1 \(push\) at the same time"):
        await give(ORDER, log, board, timeout_s=PATIENCE_S)


async def test_live_is_who_speaks_now() -> None:
    """Reports from before do not make a worker live."""
    clock: Callable[[], int] = Clock()
    board = InMemoryReportBoard(clock)
    async with workers(board, "gone"):
        pass
    async with workers(board, "here"):
        heard = await live_reports(board, within_s=3 * HEARTBEAT_S)
    assert [report.worker for report in heard] == ["here"]
