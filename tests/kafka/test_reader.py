"""Offsets by time: what is looked up is what is there, on both brokers."""

import time
import uuid

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from stream_filter.kafka.connection import Connection
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topics import TopicAdmin

_STEP_MS = 1_000


async def finds_by_time(bootstrap: str) -> None:
    """Of ten batches of three records, and of a partition without any."""
    connection, topic = Connection(bootstrap=bootstrap), f"r{uuid.uuid4().hex[:8]}"
    async with TopicAdmin(connection) as admin:
        await admin.create(topic, partitions=2, replication=1, configs={})
        await admin.until_seen([topic])
    begin_ms = int(time.time() * 1000) - 60_000
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        for batch in range(10):
            at_ms = begin_ms + batch * _STEP_MS
            for _ in range(3):
                await producer.send(topic, b"x", partition=0, timestamp_ms=at_ms)
            await producer.flush()
    async with TopicReader(connection) as reader:
        filled, empty = reader.partitions(topic)

        async def first_at(at_ms: int) -> int | None:
            found: dict[TopicPartition, int | None] = await reader.offsets_at(
                [filled, empty], at_ms
            )
            assert found[empty] is None
            return found[filled]

        assert await first_at(0) == 0
        assert await first_at(begin_ms) == 0
        assert await first_at(begin_ms + 1) == 3
        assert await first_at(begin_ms + 5 * _STEP_MS) == 15
        assert await first_at(begin_ms + 9 * _STEP_MS) == 27
        assert await first_at(begin_ms + 9 * _STEP_MS + 1) is None


async def test_offsets_by_time(embedded_bootstrap: str) -> None:
    """The first offset at or after a time, None where there is none."""
    await finds_by_time(embedded_bootstrap)


@pytest.mark.kafka
async def test_offsets_by_time_on_kafka(kafka_bootstrap: str) -> None:
    """The same on Apache Kafka."""
    await finds_by_time(kafka_bootstrap)
