"""The deferred topic, read to the end of it in order, each record released in a unit of work."""

import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from stream_filter.gate.batch import Emission, Settlement
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.delivery import Delivery
from stream_filter.kafka.errors import translated
from stream_filter.kafka.unit_of_work import (
    AccountTopics,
    AtLeastOnce,
    ExactlyOnce,
    UnitOfWork,
    close_quietly,
)

_POLL_MS = 500


class DeferredTopic:
    """What waits. Use as an async context; every call raises BrokerError.

    Where it was left is committed for a group of its own, together with what was released. Of two
    that drain at once the later fences the earlier (exactly once).
    """

    def __init__(
        self,
        connection: Connection,
        sources: Sequence[TopicPartition],
        *,
        group: str,
        delivery: Delivery,
        accounts: AccountTopics,
        isolation_level: str,
        transaction_timeout_ms: int,
        max_batch_bytes: int,
    ) -> None:
        self._sources = list(sources)
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level=isolation_level,
        )
        self._producer: AIOKafkaProducer | None = None
        self._units: dict[TopicPartition, UnitOfWork] = {}
        if delivery is Delivery.AT_LEAST_ONCE:
            self._producer = AIOKafkaProducer(
                **connection.client_options(), acks="all", max_batch_size=max_batch_bytes
            )
        for source in self._sources:
            if self._producer is not None:
                self._units[source] = AtLeastOnce(
                    source, producer=self._producer, consumer=self._consumer, accounts=accounts
                )
            else:
                self._units[source] = ExactlyOnce(
                    source,
                    connection=connection,
                    group=group,
                    accounts=accounts,
                    compression=None,
                    transaction_timeout_ms=transaction_timeout_ms,
                    max_batch_bytes=max_batch_bytes,
                )

    async def __aenter__(self) -> Self:
        try:
            with translated("connecting"):
                await self._consumer.start()
                if self._producer is not None:
                    await self._producer.start()
            for unit in self._units.values():
                await unit.open()
            with translated("reading committed offsets"):
                self._consumer.assign(self._sources)
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        for unit in self._units.values():
            await unit.close()
        if self._producer is not None:
            await close_quietly(self._producer)
        await close_quietly(self._consumer)

    async def positions(self) -> dict[TopicPartition, int]:
        """The offset that each partition is read from next."""
        with translated("reading committed offsets"):
            return {source: await self._consumer.position(source) for source in self._sources}

    async def poll(
        self, sources: Sequence[TopicPartition], most: int
    ) -> dict[TopicPartition, list[ConsumerRecord]]:
        """The next records of some partitions, in order; without those that have none now."""
        with translated("polling the deferred topic"):
            polled = await self._consumer.getmany(*sources, timeout_ms=_POLL_MS, max_records=most)
        return {source: list(records) for source, records in polled.items() if records}

    async def release(
        self, source: TopicPartition, emissions: Sequence[Emission], next_offset: int
    ) -> None:
        """Send, and commit that all before `next_offset` is done."""
        work = Settlement(
            topic=source.topic,
            partition=source.partition,
            emissions=emissions,
            memory=(),
            settled_at_ms=int(time.time() * 1000),
        )
        await self._units[source].deliver(work, next_offset)
