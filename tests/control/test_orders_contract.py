"""What every order log and every report board must hold: in memory and on a broker."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from stream_filter.control.in_memory import InMemoryOrderLog, InMemoryReportBoard
from stream_filter.core.orders import Action, Order, Report
from stream_filter.gate.orders import OrderLog, OrderRecord, ReportBoard
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.order_log import ORDER_TOPIC_CONFIGS, KafkaOrderLog
from stream_filter.kafka.report_board import REPORT_TOPIC_CONFIGS, KafkaReportBoard
from stream_filter.kafka.topics import TopicAdmin

ORDER = Order(
    group="g",
    sequence=1,
    action=Action.PUSH,
    by="ann",
    at_ms=1,
    policy_id="0" * 16,
    policy_text="version: 1\n",
    paused=("a", "b*"),
    note="of a file",
)
REPORT = Report(
    group="g",
    worker="w",
    sequence=1,
    policy_id="0" * 16,
    paused=(),
    since_ms=1,
    refused_sequence=0,
    refused_because="",
    is_leaving=False,
    heard_ms=0,
)


def now_ms() -> int:
    """The machine's clock."""
    return int(time.time() * 1000)


@dataclass
class Plane:
    """A log and a board of the group `g`."""

    log: OrderLog
    board: ReportBoard


@dataclass
class Listener:
    """Notes what it hears."""

    heard: list[OrderRecord] = field(default_factory=list)
    was_caught_up: asyncio.Event = field(default_factory=asyncio.Event)

    def order_heard(self, record: OrderRecord) -> None:
        self.heard.append(record)

    def caught_up(self) -> None:
        self.was_caught_up.set()

    def log_lost(self, error: Exception) -> None:
        raise AssertionError(error)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(20):
            while True:
                if len(self.heard) >= count:
                    return
                await asyncio.sleep(0.01)


@pytest.fixture(params=["in_memory", "embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
async def plane(request: pytest.FixtureRequest) -> AsyncIterator[Plane]:
    """An empty log and board, on each adapter."""
    if request.param == "in_memory":
        yield Plane(InMemoryOrderLog(now_ms), InMemoryReportBoard(now_ms))
        return
    connection = Connection(bootstrap=request.getfixturevalue(f"{request.param}_bootstrap"))
    names = [f"{kind}-{uuid.uuid4().hex[:8]}" for kind in ("orders", "workers")]
    async with TopicAdmin(connection) as admin:
        for name, configs in zip(names, (ORDER_TOPIC_CONFIGS, REPORT_TOPIC_CONFIGS), strict=True):
            await admin.create(name, partitions=1, replication=1, configs=configs)
    board = KafkaReportBoard(connection, topic=names[1], group="g")
    yield Plane(KafkaOrderLog(connection, topic=names[0], group="g"), board)
    await board.close()


@asynccontextmanager
async def following(log: OrderLog) -> AsyncIterator[Listener]:
    """A listener that follows."""
    listener = Listener()
    task = asyncio.create_task(log.follow(listener))
    try:
        yield listener
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_orders_are_kept_in_the_order_they_were_given(plane: Plane) -> None:
    """With their place and time, and all that they say."""
    given = [await plane.log.append(replace(ORDER, sequence=n)) for n in (1, 2, 2, 3)]
    read = await plane.log.read()
    assert [record.order for record in read] == [record.order for record in given]
    assert [record.position for record in read] == [record.position for record in given]
    assert len({record.position for record in read}) == 4
    assert all(abs(record.appended_ms - now_ms()) < 60_000 for record in read)


async def test_a_follower_hears_what_was_and_what_comes(plane: Plane) -> None:
    """In order, each once; and it is told when it has heard what was there."""
    await plane.log.append(ORDER)
    async with following(plane.log) as early, following(plane.log) as late:
        await asyncio.wait_for(early.was_caught_up.wait(), 20)
        assert [r.order for r in early.heard] == [ORDER]
        for sequence in (2, 3):
            await plane.log.append(replace(ORDER, sequence=sequence))
        await early.until(3)
        await late.until(3)
        await asyncio.sleep(0.1)
        for listener in (early, late):
            assert [r.order.sequence for r in listener.heard if r.order] == [1, 2, 3]


async def test_an_empty_log_is_caught_up_with(plane: Plane) -> None:
    """Who finds no order knows that there is none."""
    assert await plane.log.read() == []
    async with following(plane.log) as listener:
        await asyncio.wait_for(listener.was_caught_up.wait(), 20)
    assert listener.heard == []


async def test_reports_come_to_who_follows(plane: Plane) -> None:
    """Those from before first, then as they come, each with the broker's time."""
    await plane.board.write(REPORT)
    heard: list[Report] = []
    async with asyncio.timeout(20), aclosing(plane.board.follow()) as batches:  # type: ignore[type-var]
        async for reports in batches:
            if not heard:
                assert len(reports) == 1
                await plane.board.write(replace(REPORT, sequence=2))
            heard += reports
            if len(heard) == 2:
                break
    assert [report.sequence for report in heard] == [1, 2]
    assert all(abs(report.heard_ms - now_ms()) < 60_000 for report in heard)
    assert replace(heard[0], heard_ms=0) == REPORT


async def test_garbage_and_other_groups_are_no_orders(embedded_bootstrap: str) -> None:
    """What cannot be read is heard with its problem; what is for others is not heard."""
    connection = Connection(bootstrap=embedded_bootstrap)
    topic = f"orders-{uuid.uuid4().hex[:8]}"
    async with TopicAdmin(connection) as admin:
        await admin.create(topic, partitions=1, replication=1, configs=ORDER_TOPIC_CONFIGS)
    await _send(embedded_bootstrap, topic, b"\xff\x00", b'{"version": 9}', None)
    await KafkaOrderLog(connection, topic=topic, group="h").append(replace(ORDER, group="h"))
    log = KafkaOrderLog(connection, topic=topic, group="g")
    await log.append(ORDER)
    read = await log.read()
    assert [record.order for record in read] == [None, None, None, ORDER]
    assert all(record.problem for record in read[:3])
    assert read[0].position == f"{topic}/0/0"


async def _send(bootstrap: str, topic: str, *values: bytes | None) -> None:
    from aiokafka import AIOKafkaProducer

    producer: Any = AIOKafkaProducer(bootstrap_servers=bootstrap)
    await producer.start()
    for number, value in enumerate(values):
        await producer.send_and_wait(topic, value, key=f"k{number}".encode(), partition=0)
    await producer.stop()
