"""Reading memories: whoever waits while the topic is read is served by the next pass."""

import asyncio
from collections.abc import Mapping

import pytest
from aiokafka import TopicPartition

from stream_filter.core.errors import BrokerError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.memory_reader import MemoryReader


class SlowTopic(MemoryReader):
    """Counts its passes over a topic that is not there."""

    def __init__(self) -> None:
        super().__init__(Connection(bootstrap="nowhere:1"), memory_topic="memory")
        self.passes: list[list[TopicPartition]] = []
        self.fails = False

    async def _pass(
        self, sources: list[TopicPartition]
    ) -> dict[TopicPartition, dict[bytes, bytes]]:
        self.passes.append(sources)
        await asyncio.sleep(0.01)
        if self.fails:
            raise BrokerError("away", retriable=True)
        return {source: {b"of": str(source.partition).encode()} for source in sources}


SOURCES = [TopicPartition("logs", p) for p in range(20)]


async def test_many_partitions_take_two_passes() -> None:
    """Twenty partitions at once: the first is read for alone, the others together; each gets its
    own."""
    reader = SlowTopic()
    found: list[Mapping[bytes, bytes]] = await asyncio.gather(*map(reader.read, SOURCES))
    assert [values[b"of"] for values in found] == [str(p).encode() for p in range(20)]
    assert len(reader.passes) <= 2


async def test_a_failed_pass_fails_all_that_it_was_for() -> None:
    """Each of them is told, and the next read begins anew."""
    reader = SlowTopic()
    reader.fails = True
    found = await asyncio.gather(*map(reader.read, SOURCES), return_exceptions=True)
    assert all(isinstance(error, BrokerError) for error in found)
    reader.fails = False
    assert await reader.read(SOURCES[0]) == {b"of": b"0"}


async def test_a_cancelled_pass_leaves_nobody_waiting() -> None:
    """A partition that is given back while the topic is read for it and others harms no other."""
    reader = SlowTopic()
    tasks = [asyncio.create_task(reader.read(source)) for source in SOURCES]
    await asyncio.sleep(0.015)
    for task in tasks[:3]:
        task.cancel()
    found = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 5)
    assert [f[b"of"] for f in found[3:] if not isinstance(f, BaseException)] == [
        str(p).encode() for p in range(3, 20)
    ]


async def test_the_same_partition_twice() -> None:
    """A partition that comes back while its earlier read is under way is read for again."""
    reader = SlowTopic()
    found = await asyncio.gather(reader.read(SOURCES[0]), reader.read(SOURCES[0]))
    assert found == [{b"of": b"0"}] * 2


@pytest.mark.kafka
async def test_a_missing_topic_is_named(kafka_bootstrap: str) -> None:
    """Without the memory topic the error names it."""
    reader = MemoryReader(Connection(bootstrap=kafka_bootstrap), memory_topic="no-such-memory")
    with pytest.raises(Exception, match="no-such-memory"):
        await reader.read(SOURCES[0])
