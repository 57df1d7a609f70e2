"""The view of an outage outlives the analyst that has it: it goes on, not repeated."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from stream_filter.outage.incident import Incident
from tests.analyst.conftest import AnalystUnderTest
from tests.analyst.test_outages import create_incidents_topic, incidents_of

_SERVICES = ("web", "auth", "cart", "mail")
_FAILED = (
    orjson.dumps({"service": "db", "message": "disk full"}),
    orjson.dumps({"service": "web", "peer": "db", "message": "no answer"}),
)
_BEFORE_S = 120
_PATIENCE_S = 60


async def forward_usual(analyst: AnalystUnderTest) -> None:
    """What is usual: each service says the same once a second."""
    now_ms = int(time.time() * 1000)
    values, times = [], []
    for second in range(_BEFORE_S, 0, -1):
        for service in _SERVICES:
            values.append(orjson.dumps({"service": service, "message": "one retry"}))
            times.append(now_ms - second * 1_000)
    await analyst.forward(values, partitions=2, at_ms=times)


@asynccontextmanager
async def failing(analyst: AnalystUnderTest) -> AsyncIterator[None]:
    """The database fails, as long as this lasts."""

    async def fail() -> None:
        while True:
            await analyst.forward(_FAILED * 5, partitions=2)
            await asyncio.sleep(0.5)

    task = asyncio.create_task(fail())
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def until_newest(analyst: AnalystUnderTest, revision: int, state: str = "open") -> Incident:
    """The newest record of the incident, once it has this revision or a later one."""
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            found = await incidents_of(analyst)
            if found and found[-1].revision >= revision and found[-1].state == state:
                return found[-1]
            await asyncio.sleep(0.2)


def wait_assigned(log: Path) -> None:
    """Until the analyst that writes this log has joined the group."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while b"analyst.assigned" not in log.read_bytes():
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.1)


async def is_taken_over(analyst: AnalystUnderTest) -> None:
    """Two analysts; the one that has the view is killed while the outage goes on."""
    await analyst.prepare(
        partitions=2,
        topic={"event": "{{ service }} {{ message }}"},
        outage={"window": "15s", "baseline": "90s", "every": "1s", "quiet": "5s"},
    )
    await create_incidents_topic(analyst)
    await forward_usual(analyst)
    analysts = [analyst.start(log=analyst.folder / "leader.log")]
    try:
        async with failing(analyst):
            await until_newest(analyst, 2)
            log = analyst.folder / "survivor.log"
            analysts.append(analyst.start(log=log))
            await asyncio.to_thread(wait_assigned, log)
            analysts[0].kill()
            analysts[0].wait()
            (*_, last) = await incidents_of(analyst)
            await until_newest(analyst, last.revision + 3)
        await until_newest(analyst, last.revision + 4, "closed")
    finally:
        for process in analysts:
            process.kill()
            process.wait()
    found = await incidents_of(analyst)
    assert len({incident.incident_id for incident in found}) == 1
    assert [incident.revision for incident in found] == list(range(1, len(found) + 1))
    assert [incident.state for incident in found] == ["open"] * (len(found) - 1) + ["closed"]


@pytest.mark.slow
async def test_an_incident_outlives_its_analyst(analyst: AnalystUnderTest) -> None:
    """After `kill -9` of the analyst that has the view, another goes on with the same incident and
    closes it when it is over."""
    await is_taken_over(analyst)


@pytest.mark.slow
@pytest.mark.kafka
async def test_an_incident_outlives_its_analyst_on_kafka(kafka_analyst: AnalystUnderTest) -> None:
    """The same on Apache Kafka."""
    await is_taken_over(kafka_analyst)
