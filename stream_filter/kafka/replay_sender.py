"""Sending what a replay reads back: each unit of work whole, and by one at a time."""

import asyncio
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer, TopicPartition

from stream_filter.core.errors import BrokerError, FencedError
from stream_filter.gate.batch import Emission, Settlement
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.delivery import Delivery
from stream_filter.kafka.errors import translated
from stream_filter.kafka.unit_of_work import AccountTopics, Writer, close_quietly

_PATIENCE = 2
"""In transaction time-outs: by then the broker has aborted what takes longer."""


class ReplaySender:
    """Of one source topic. Use as an async context; every call raises BrokerError.

    Exactly once: once it is open, whatever an earlier sender of the topic has not committed is
    void, and can no longer be committed. At least once, nobody fences anybody.
    """

    def __init__(
        self,
        connection: Connection,
        topic: str,
        *,
        group: str,
        delivery: Delivery,
        accounts: AccountTopics,
        transaction_timeout_ms: int,
        max_batch_bytes: int,
    ) -> None:
        self._topic = topic
        self._accounts = accounts
        self._is_exact = delivery is Delivery.EXACTLY_ONCE
        self._patience_s = _PATIENCE * transaction_timeout_ms / 1000
        options = connection.client_options() | {"max_batch_size": max_batch_bytes, "linger_ms": 0}
        if self._is_exact:
            # No name of a topic has a slash: this is no id of a worker's unit of work.
            options["transactional_id"] = f"{group}-replay/{topic}"
            options["transaction_timeout_ms"] = transaction_timeout_ms
        else:
            options["acks"] = "all"
        self._producer = AIOKafkaProducer(**options)

    async def __aenter__(self) -> Self:
        try:
            with translated(f"opening a producer for the replay of {self._topic}"):
                async with asyncio.timeout(self._patience_s):
                    await self._producer.start()
        except BaseException:
            await close_quietly(self._producer)
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await close_quietly(self._producer)

    async def send(
        self, source: TopicPartition, emissions: Sequence[Emission], account: Emission
    ) -> None:
        """Send records of a source partition, and the account of them: in one transaction, or
        first the ones and then the other."""
        try:
            with translated(f"the replay of {source.topic}/{source.partition}"):
                async with asyncio.timeout(self._patience_s):
                    if self._is_exact:
                        await self._producer.begin_transaction()
                        await self._write(source, [*emissions, account])
                        await self._producer.commit_transaction()
                    else:
                        await self._write(source, emissions)
                        await self._write(source, [account])
        except FencedError as error:
            raise BrokerError(
                f"another replay of {source.topic} has begun and took over: this one ends; the "
                "replay topic has what it sent",
                retriable=False,
            ) from error

    async def _write(self, source: TopicPartition, emissions: Sequence[Emission]) -> None:
        writer = Writer(self._producer, source=source, accounts=self._accounts)
        work = Settlement(
            topic=source.topic,
            partition=source.partition,
            emissions=emissions,
            memory=(),
            settled_at_ms=int(time.time() * 1000),
        )
        await (await writer.write(work))
