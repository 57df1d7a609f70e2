"""Reading ranges of topics from outside: a throwaway consumer that is in no group."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translated
from stream_filter.kafka.topics import TopicAdmin

_POLL_S = 0.5
_WATERMARK_POLLS = 4
_NEVER_MS = 1 << 62
"""No record is of so late a time."""


class TopicReader:
    """Assigned by hand, commits nothing, never touches a live group. Use as an async context."""

    def __init__(self, connection: Connection, *, isolation_level: str = "read_committed") -> None:
        self._connection = connection
        self._partitions: dict[str, int] = {}
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation_level,
            max_partition_fetch_bytes=8 << 20,
            fetch_max_wait_ms=100,
        )

    async def __aenter__(self) -> Self:
        try:
            async with TopicAdmin(self._connection) as admin:
                self._partitions = await admin.partitions()
            with translated("connecting"):
                await self._consumer.start()
        except BaseException:
            await self._consumer.stop()
            raise
        # Lets aiokafka's task begin: one that is cancelled before that cancels whoever stops it.
        await asyncio.sleep(0)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._consumer.stop()

    def has(self, topic: str) -> bool:
        """Whether the topic exists."""
        return topic in self._partitions

    def partitions(self, topic: str) -> list[TopicPartition]:
        """The partitions of a topic. Raises ConfigError where it does not exist."""
        if topic not in self._partitions:
            raise ConfigError(f"topic {topic!r} does not exist: check the name")
        return [TopicPartition(topic, p) for p in range(self._partitions[topic])]

    async def bounds(
        self, sources: Iterable[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        """The first offset and the one after the last, by partition.

        The end is the high watermark that fetches carry: the embedded broker's answer to a query
        for the end is the last batch's first offset.
        """
        sources = list(sources)
        with translated("reading offsets"):
            first = await self._consumer.beginning_offsets(sources)
            asked = await self._consumer.end_offsets(sources)
            self._consumer.assign(sources)
            for source in sources:
                self._consumer.seek(source, asked[source])
            for _ in range(_WATERMARK_POLLS):
                await self._consumer.getmany(timeout_ms=100, max_records=1)
                marks = {source: self._consumer.highwater(source) for source in sources}
                if None not in marks.values():
                    break
        return {
            source: (first[source], max(asked[source], marks[source] or 0)) for source in sources
        }

    async def offsets_at(
        self, sources: Iterable[TopicPartition], timestamp_ms: int
    ) -> dict[TopicPartition, int | None]:
        """The first offset with a timestamp at or after the given; None where there is none.

        The embedded broker answers with its first offset whatever the time, even one that no record
        has: there the records are read instead.
        """
        sources = list(sources)
        with translated("looking up offsets by time"):
            found = await self._consumer.offsets_for_times(dict.fromkeys(sources, timestamp_ms))
            never = await self._consumer.offsets_for_times(dict.fromkeys(sources, _NEVER_MS))
        offsets = {source: at.offset if at else None for source, at in found.items()}
        for source in (source for source, at in never.items() if at is not None):
            offsets[source] = await self._first_since(source, timestamp_ms)
        return offsets

    async def _first_since(self, source: TopicPartition, timestamp_ms: int) -> int | None:
        async for _, records in self.read(await self.bounds([source])):
            for record in records:
                if record.timestamp >= timestamp_ms:
                    return int(record.offset)
        return None

    async def read(
        self,
        ranges: Mapping[TopicPartition, tuple[int, int]],
        *,
        patience_s: float = 5.0,
        to_the_end: bool = False,
    ) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
        """The records of offsets [first, next) of each partition, a batch at a time.

        Ends early where nothing comes for `patience_s`: records behind an open transaction. With
        `to_the_end` it raises BrokerError then.
        """
        open_ranges = {source: r for source, r in ranges.items() if r[0] < r[1]}
        if not open_ranges:
            return
        self._consumer.assign(list(open_ranges))
        for source, (first, _) in open_ranges.items():
            self._consumer.seek(source, first)
        idle_s = 0.0
        while open_ranges and idle_s < patience_s:
            with translated("reading"):
                polled = await self._consumer.getmany(
                    *open_ranges, timeout_ms=int(_POLL_S * 1000), max_records=20_000
                )
                reached = {source: await self._consumer.position(source) for source in open_ranges}
            idle_s = 0.0 if polled else idle_s + _POLL_S
            for source, records in polled.items():
                end = open_ranges[source][1]
                inside = [record for record in records if record.offset < end]
                if inside:
                    yield source, inside
            for source, position in reached.items():
                if position >= open_ranges[source][1]:
                    del open_ranges[source]
            await asyncio.sleep(0)
        if open_ranges and to_the_end:
            names = ", ".join(f"{s.topic}/{s.partition}" for s in sorted(open_ranges))
            raise BrokerError(
                f"reading {names}: the end was not reached within {patience_s:.0f} s; an open "
                "transaction holds it back",
                retriable=True,
            )

    async def follow(
        self, starts: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, list[ConsumerRecord]]]:
        """All records from the given offsets on, and then as they come, without end."""
        self._consumer.assign(list(starts))
        for source, first in starts.items():
            self._consumer.seek(source, first)
        while True:
            with translated("following"):
                polled = await self._consumer.getmany(timeout_ms=int(_POLL_S * 1000))
            for source, records in polled.items():
                yield source, records
