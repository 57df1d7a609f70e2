"""A topic that says how things stand, like those of certificates and incidents: of one partition,
compacted; the latest record of each key counts."""

from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.core.errors import ConfigError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topic_writer import TopicWriter

BOARD_TOPIC_CONFIGS = {
    "cleanup.policy": "compact",
    # A new reader reads all that is not compacted: keep that short.
    "segment.bytes": str(16 << 20),
    "min.cleanable.dirty.ratio": "0.1",
}


class BoardRecord(NamedTuple):
    """A record of such a topic."""

    position: str
    value: bytes | None


class KafkaBoard:
    """Writes and follows. Every call raises BrokerError or ConfigError."""

    def __init__(self, connection: Connection, *, topic: str) -> None:
        self._connection = connection
        self._topic = topic
        self._writer = TopicWriter(connection, topic=topic, acks="all")

    async def write(self, key: bytes, value: bytes) -> None:
        """Durable when this returns."""
        await self._writer.write(key, value)

    async def close(self) -> None:
        """Never raises."""
        await self._writer.close()

    async def read(self) -> list[BoardRecord]:
        """All that the topic holds, in order."""
        async with TopicReader(self._connection) as reader:
            held, _ = await self._held(reader)
        return held

    async def follow(self) -> AsyncIterator[list[BoardRecord]]:
        """First all that the topic holds, in one list, then what comes."""
        async with TopicReader(self._connection) as reader:
            held, end = await self._held(reader)
            yield held
            async for _, records in reader.follow(end):
                yield _records(records)

    async def _held(
        self, reader: TopicReader
    ) -> tuple[list[BoardRecord], dict[TopicPartition, int]]:
        try:
            (source,) = reader.partitions(self._topic)
        except (ConfigError, ValueError) as error:
            raise ConfigError(
                f"topic {self._topic!r} does not exist with one partition: run "
                "`stream-filter topics create --evidence`"
            ) from error
        first, end = (await reader.bounds([source]))[source]
        held: list[BoardRecord] = []
        async for _, records in reader.read({source: (first, end)}, to_the_end=True):
            held += _records(records)
        return held, {source: end}


def _records(records: Sequence[ConsumerRecord]) -> list[BoardRecord]:
    return [
        BoardRecord(f"{record.topic}/{record.partition}/{record.offset}", record.value)
        for record in records
    ]
