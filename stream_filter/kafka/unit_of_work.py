"""One batch of one partition, made durable: emit, then commit.

1. forwarded records and dead letters are written,
2. the ledger block and what changed in the partition's memory are written,
3. the source offset is committed.

An idle partition's fold summaries are such a unit without a block.

Exactly once, the three are one transaction, and 3 takes effect with the others or not at all. At
least once, 1 and 2 are acknowledged before 3.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from stream_filter.gate.batch import Emission, Outcome, Settlement
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translated
from stream_filter.kafka.placement import by_key, by_source

_CLOSE_S = 5.0
_PATIENCE = 2
"""In transaction time-outs. The broker has aborted what takes longer, but aiokafka asks on for ever
where it is told to wait, as by a coordinator that a crash left between two states."""
_RETRY_BACKOFF_MS = 10
"""aiokafka's default is 100. One transaction in sixty meets the end of the one before it, and would
stand still for so long."""
MAX_BATCH_BYTES = 512 * 1024
"""Of one batch of records sent; less where a target topic takes less."""


class UnitOfWork(Protocol):
    """Delivers the outcomes of one partition, in order, one at a time."""

    async def open(self) -> None:
        """Take the partition over. Raises BrokerError. Whatever an earlier owner had begun and
        not committed is void when this returns (exactly once)."""
        ...

    async def deliver(self, work: Outcome | Settlement, next_offset: int) -> None:
        """Make it durable and commit. Raises BrokerError: whether it was committed is
        then unknown, and the caller opens anew and asks for the committed offset."""
        ...

    async def close(self) -> None:
        """Release the partition. Never raises; an unfinished unit is void (exactly once)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountTopics:
    """Where the gate keeps its own accounts."""

    ledger: str
    memory: str


class Writer:
    """Writes a unit's records through a producer."""

    def __init__(
        self, producer: AIOKafkaProducer, *, source: TopicPartition, accounts: AccountTopics
    ) -> None:
        self._producer = producer
        self._source = source
        self._accounts = accounts

    async def write(self, work: Outcome | Settlement) -> "asyncio.Future[list[object]]":
        """Hand all of it to the producer. What is returned is done when all is acknowledged."""
        by_topic: dict[str, list[Emission]] = defaultdict(list)
        for emission in work.emissions:
            by_topic[emission.topic].append(emission)
        by_target: dict[TopicPartition, list[Emission]] = defaultdict(list)
        for topic, emissions in by_topic.items():
            count = len(await self._producer.partitions_for(topic))
            by_target |= _by_partition(topic, emissions, count, self._source)
        for emission in self._account(work):
            # One source partition's accounts stay in order in one partition.
            count = len(await self._producer.partitions_for(emission.topic))
            target = TopicPartition(emission.topic, by_source(self._source, count))
            by_target[target].append(emission)
        sent = await asyncio.gather(*(self._send(*item) for item in by_target.items()))
        return asyncio.gather(*chain.from_iterable(sent))

    def _account(self, work: Outcome | Settlement) -> Iterator[Emission]:
        if isinstance(work, Outcome):
            header = work.block.header
            at_ms = header.decided_at_ms
            yield Emission(
                topic=self._accounts.ledger,
                key=f"{header.topic}/{header.partition}".encode(),
                value=work.block_bytes,
                timestamp_ms=at_ms,
                headers=[("sf-block", header.block_id.encode())],
            )
        else:
            at_ms = work.settled_at_ms
        for key, value in work.memory:
            yield Emission(
                topic=self._accounts.memory, key=key, value=value, timestamp_ms=at_ms, headers=[]
            )

    async def _send(
        self, target: TopicPartition, emissions: Iterable[Emission]
    ) -> "list[asyncio.Future[object]]":
        acknowledged: list[asyncio.Future[object]] = []
        builder = self._producer.create_batch()
        for _, key, value, timestamp, headers in emissions:
            while not builder.append(timestamp=timestamp, key=key, value=value, headers=headers):
                acknowledged.append(await self._submit(builder, target))
                builder = self._producer.create_batch()
        acknowledged.append(await self._submit(builder, target))
        return acknowledged

    async def _submit(self, builder: object, target: TopicPartition) -> "asyncio.Future[object]":
        future: asyncio.Future[object] = await self._producer.send_batch(
            builder, target.topic, partition=target.partition
        )
        return future


def _by_partition(
    topic: str, emissions: Iterable[Emission], count: int, source: TopicPartition
) -> dict[TopicPartition, list[Emission]]:
    """Keyed records keep Kafka's default partitioning; others follow their source partition."""
    follow = by_source(source, count)
    found: dict[int, list[Emission]] = defaultdict(list)
    for emission in emissions:
        key = emission.key
        found[follow if key is None else by_key(key, count)].append(emission)
    return {TopicPartition(topic, partition): batch for partition, batch in found.items()}


class ExactlyOnce:
    """A transaction a unit of work, by a producer that belongs to the input partition.

    Its transactional id names group, topic and partition, so that a new owner's `open` fences
    the old one: the broker does not check the group's generation (aiokafka speaks version 0 of
    TxnOffsetCommit), the producer's epoch takes its place.
    """

    def __init__(
        self,
        source: TopicPartition,
        *,
        connection: Connection,
        group: str,
        accounts: AccountTopics,
        compression: str | None,
        transaction_timeout_ms: int,
        max_batch_bytes: int,
    ) -> None:
        self._source = source
        self._group = group
        self._patience_s = _PATIENCE * transaction_timeout_ms / 1000
        self._producer = AIOKafkaProducer(
            **connection.client_options(),
            transactional_id=f"{group}-{source.topic}-{source.partition}",
            transaction_timeout_ms=transaction_timeout_ms,
            compression_type=compression,
            max_batch_size=max_batch_bytes,
            linger_ms=0,
            retry_backoff_ms=_RETRY_BACKOFF_MS,
        )
        self._writer = Writer(self._producer, source=source, accounts=accounts)

    async def open(self) -> None:
        with translated(f"opening a transactional producer for {_name(self._source)}"):
            async with asyncio.timeout(self._patience_s):
                await self._producer.start()

    async def deliver(self, work: Outcome | Settlement, next_offset: int) -> None:
        with translated(f"the transaction of {_name(self._source)} up to {next_offset}"):
            async with asyncio.timeout(self._patience_s):
                await self._producer.begin_transaction()
                acknowledged = await self._writer.write(work)
                # While the records are on their way, the offset joins the transaction.
                await asyncio.gather(
                    acknowledged,
                    self._producer.send_offsets_to_transaction(
                        {self._source: next_offset}, self._group
                    ),
                )
                await self._producer.commit_transaction()

    async def close(self) -> None:
        await close_quietly(self._producer)


class AtLeastOnce:
    """All records acknowledged, then the offset committed. The producer is shared."""

    def __init__(
        self,
        source: TopicPartition,
        *,
        producer: AIOKafkaProducer,
        consumer: AIOKafkaConsumer,
        accounts: AccountTopics,
    ) -> None:
        self._source = source
        self._consumer = consumer
        self._writer = Writer(producer, source=source, accounts=accounts)

    async def open(self) -> None:
        pass

    async def deliver(self, work: Outcome | Settlement, next_offset: int) -> None:
        with translated(f"the records of {_name(self._source)} up to {next_offset}"):
            await (await self._writer.write(work))
            await self._consumer.commit({self._source: next_offset})

    async def close(self) -> None:
        pass


async def close_quietly(producer: AIOKafkaProducer) -> None:
    """Stop a producer that may be in any state. Its unfinished transaction is aborted, at the
    latest when the next owner opens."""
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait([stopping], timeout=_CLOSE_S)
    if not done:
        stopping.cancel()
    elif not stopping.cancelled():
        stopping.exception()  # retrieved: a producer that broke has nothing left to say


def _name(source: TopicPartition) -> str:
    return f"{source.topic}/{source.partition}"
