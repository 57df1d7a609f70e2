"""Reading what source partitions remember, when they are taken over."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping

from aiokafka import TopicPartition

from stream_filter.core.errors import BrokerError, StreamFilterError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.placement import by_source
from stream_filter.kafka.reader import TopicReader

_PATIENCE_S = 20.0
"""Another partition's open transaction may hold the topic's end back until its new owner opens."""


class MemoryReader:
    """Reads the memory topic for the partitions of one worker.

    Partitions that are taken over at once are read for at once: whoever waits while the topic is
    read is served by the next pass.
    """

    def __init__(self, connection: Connection, *, memory_topic: str) -> None:
        self._connection = connection
        self._topic = memory_topic
        self._waiting: dict[TopicPartition, asyncio.Future[Mapping[bytes, bytes]]] = {}
        self._reading = asyncio.Lock()

    async def read(self, source: TopicPartition) -> Mapping[bytes, bytes]:
        """The latest value of each key of a source partition, of all that was committed when this
        was called. Raises BrokerError or ConfigError."""
        found: asyncio.Future[Mapping[bytes, bytes]] = asyncio.get_running_loop().create_future()
        self._waiting[source] = found
        async with self._reading:
            if not found.done():
                # One that was taken along by a pass that was cancelled waits for nobody else.
                waiting, self._waiting = {**self._waiting, source: found}, {}
                try:
                    values = await self._pass(list(waiting))
                except StreamFilterError as error:
                    for one in waiting.values():
                        one.set_exception(error)
                        one.exception()  # retrieved: its loop may have been cancelled
                else:
                    for of_source, one in waiting.items():
                        one.set_result(values[of_source])
        return found.result()

    async def _pass(
        self, sources: list[TopicPartition]
    ) -> dict[TopicPartition, dict[bytes, bytes]]:
        by_prefix = {f"{s.topic}/{s.partition}".encode(): s for s in sources}
        values: dict[TopicPartition, dict[bytes, bytes]] = defaultdict(dict)
        async with TopicReader(self._connection) as reader:
            if not reader.has(self._topic):
                # It was there when this worker started: a starting broker may not list all.
                raise BrokerError(f"the broker does not list {self._topic!r}", retriable=True)
            partitions = reader.partitions(self._topic)
            wanted = {partitions[by_source(s, len(partitions))] for s in sources}
            ranges = await reader.bounds(wanted)
            async for _, records in reader.read(ranges, patience_s=_PATIENCE_S, to_the_end=True):
                for record in records:
                    key = record.key or b""
                    of_source = by_prefix.get(b"/".join(key.split(b"/")[:2]))
                    if of_source is None:
                        continue
                    if record.value is None:
                        values[of_source].pop(key, None)
                    else:
                        values[of_source][key] = record.value
        return values
