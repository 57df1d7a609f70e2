"""One owned partition: poll, decide, deliver, with one batch decided while another is delivered."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from time import perf_counter

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from stream_filter.core.dead_letters import DeadLetterLimit, DeadLetterTally
from stream_filter.core.decision import Reason
from stream_filter.core.errors import BrokerError, DeadLetterLimitError, StreamFilterError
from stream_filter.gate.batch import Outcome, RecordBatch, Settlement
from stream_filter.gate.gate import Gate
from stream_filter.gate.observer import Observer
from stream_filter.gate.partition_memory import PartitionMemory
from stream_filter.gate.ports import Record
from stream_filter.kafka.byte_budget import ByteBudget
from stream_filter.kafka.errors import translated
from stream_filter.kafka.memory_reader import MemoryReader
from stream_filter.kafka.unit_of_work import UnitOfWork
from stream_filter.kafka.waiting import is_set_within

_POLL_S = 0.5
_BACKOFF_S = (0.2, 10.0)
_TARGET_BATCH_S = 1.0
"""A batch that takes the model longer than this is followed by a smaller one, so that a slow
stream keeps its delay and its rebalances short."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopConfig:
    """What every partition's loop is told."""

    batch_records: int
    dead_letter_limit: DeadLetterLimit
    start_at: str
    """`earliest` or `latest`: where to begin without a committed offset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What the loops of one worker share."""

    memory: MemoryReader
    executor: Executor
    budget: ByteBudget
    size_limits: dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Polled:
    records: Sequence[Record]
    next_offset: int
    size_bytes: int
    poll_s: float


class PartitionLoop:
    """Runs from assignment to revocation. Any failure voids the unit of work in hand; the loop
    then opens anew and goes on from the committed offset, so no outcome is ever guessed."""

    def __init__(
        self,
        source: TopicPartition,
        *,
        config: LoopConfig,
        consumer: AIOKafkaConsumer,
        make_unit: Callable[[TopicPartition], UnitOfWork],
        gate: Gate,
        shared: Shared,
        observer: Observer,
    ) -> None:
        self._source = source
        self._config = config
        self._consumer = consumer
        self._make_unit = make_unit
        self._memory = shared.memory
        self._gate = gate
        self._executor = shared.executor
        self._budget = shared.budget
        self._size_limits = shared.size_limits
        self._observer = observer
        self._stopping = asyncio.Event()
        self._tally = DeadLetterTally()
        self._committed_tally = self._tally
        self._max_records = config.batch_records

    async def run(self) -> None:
        """Until `stop`. Raises StreamFilterError where going on cannot help."""
        backoff_s = _BACKOFF_S[0]
        topic, partition = self._source
        while not self._stopping.is_set():
            began = perf_counter()
            try:
                await self._own()
            except StreamFilterError as error:
                if not error.retriable:
                    raise
                if perf_counter() - began > _BACKOFF_S[1]:
                    backoff_s = _BACKOFF_S[0]
                self._observer.unit_failed(topic, partition, error, backoff_s)
                await is_set_within(self._stopping, backoff_s)
                backoff_s = min(2 * backoff_s, _BACKOFF_S[1])

    def stop(self) -> None:
        """Poll no more; `run` returns when what was decided is delivered."""
        self._stopping.set()

    async def _own(self) -> None:
        unit = self._make_unit(self._source)
        delivering: asyncio.Task[None] | None = None
        try:
            await unit.open()
            at = await self._start_position()
            # A failed unit voids what is in hand, so the memory too is as it was committed.
            memory = await self._recall(at)
            self._tally = self._committed_tally
            self._observer.partition_assigned(self._source.topic, self._source.partition, at)
            last_polled = perf_counter()
            while not self._stopping.is_set():
                polled = await self._poll(at)
                if polled is None:
                    if delivering is not None and delivering.done():
                        await delivering
                        delivering = None
                    if delivering is None:
                        idle_s = perf_counter() - last_polled
                        settlement = self._gate.settle(
                            memory, next_offset=at, idle_s=idle_s, sources=self._sources()
                        )
                        if settlement is not None:
                            delivering = asyncio.create_task(self._settle(unit, settlement, at))
                    continue
                last_polled = perf_counter()
                try:
                    outcome = await self._decide(polled, at, memory)
                    if delivering is not None:
                        await delivering
                except BaseException:
                    await self._budget.release(polled.size_bytes)
                    raise
                delivering = asyncio.create_task(self._deliver(unit, outcome, polled, self._tally))
                at = polled.next_offset
            if delivering is not None:
                await delivering
        finally:
            if delivering is not None:
                delivering.cancel()  # does nothing where it is done
                await asyncio.gather(delivering, return_exceptions=True)
            await unit.close()

    async def _recall(self, at: int) -> PartitionMemory:
        """What the partition remembers of the offsets before `at`, read after `open`."""
        topic, partition = self._source
        saved = await self._memory.read(self._source)
        memory, problems = await asyncio.get_running_loop().run_in_executor(
            self._executor, lambda: self._gate.recall(topic, partition, saved, up_to=at)
        )
        self._observer.memory_recalled(topic, partition, memory.entries, problems)
        return memory

    async def _start_position(self) -> int:
        """The committed offset, read after `open`, when no earlier owner can move it any more."""
        with translated(f"reading the committed offset of {self._source}"):
            committed: int | None = await self._consumer.committed(self._source)
            if committed is None:
                ask = (
                    self._consumer.beginning_offsets
                    if self._config.start_at == "earliest"
                    else self._consumer.end_offsets
                )
                committed = (await ask([self._source]))[self._source]
            self._consumer.seek(self._source, committed)
        return committed

    async def _poll(self, at: int) -> _Polled | None:
        began = perf_counter()
        polling = asyncio.ensure_future(
            self._consumer.getmany(
                self._source, timeout_ms=int(_POLL_S * 1000), max_records=self._max_records
            )
        )
        stopped = asyncio.ensure_future(self._stopping.wait())
        try:
            await asyncio.wait({polling, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not polling.done():
                return None
            with translated(f"polling {self._source}"):
                records = polling.result().get(self._source)
                if not records:
                    return None
                next_offset = await self._consumer.position(self._source)
        finally:
            # While a rebalance waits for this loop to end, a poll would wait for the rebalance.
            polling.cancel()
            stopped.cancel()
        if records[0].offset < at:
            raise BrokerError(
                f"{self._source}: read {records[0].offset} again at {at}", retriable=True
            )
        if records[0].offset > at:
            await self._note_expired(at, records[0].offset)
        size_bytes = _content_bytes(records)
        poll_s = perf_counter() - began
        await self._budget.acquire(size_bytes)
        return _Polled(
            records=records, next_offset=next_offset, size_bytes=size_bytes, poll_s=poll_s
        )

    async def _note_expired(self, expected: int, found: int) -> None:
        with translated(f"reading the log's beginning of {self._source}"):
            beginning = (await self._consumer.beginning_offsets([self._source]))[self._source]
        if beginning > expected:
            self._observer.offsets_expired(
                self._source.topic, self._source.partition, min(beginning, found) - expected
            )

    async def _decide(self, polled: _Polled, at: int, memory: PartitionMemory) -> Outcome:
        batch = RecordBatch(
            topic=self._source.topic,
            partition=self._source.partition,
            first_offset=at,
            next_offset=polled.next_offset,
            records=polled.records,
        )
        began = perf_counter()
        sources = self._sources()
        outcome = await asyncio.get_running_loop().run_in_executor(
            self._executor,
            lambda: self._gate.process(batch, self._size_limits, memory, sources=sources),
        )
        self._pace(len(polled.records), perf_counter() - began)
        reason = outcome.block.decisions.reason
        dead = np.isin(reason, (Reason.UNDECODABLE, Reason.TOO_LARGE))
        self._tally = self._tally.add(dead, self._config.dead_letter_limit)
        exceeded = self._tally.exceeds(self._config.dead_letter_limit)
        if exceeded:
            raise DeadLetterLimitError(
                f"{self._source.topic}/{self._source.partition}/{at}: {exceeded}; nothing of this "
                "batch was written. Mend the producer or the policy's format, or raise "
                "dead_letters in the settings, and start again"
            )
        return outcome

    def _sources(self) -> dict[str, int]:
        """The partition counts of the source topics, as the consumer knows them."""
        topics = self._consumer.subscription()
        return {topic: len(self._consumer.partitions_for_topic(topic) or ()) for topic in topics}

    def _pace(self, records: int, seconds: float) -> None:
        if seconds > _TARGET_BATCH_S:
            self._max_records = max(64, int(records * _TARGET_BATCH_S / seconds))
        else:
            self._max_records = min(self._config.batch_records, 2 * self._max_records)

    async def _deliver(
        self, unit: UnitOfWork, outcome: Outcome, polled: _Polled, tally: DeadLetterTally
    ) -> None:
        began = perf_counter()
        try:
            await unit.deliver(outcome, polled.next_offset)
            self._committed_tally = tally
        finally:
            await self._budget.release(polled.size_bytes)
        self._observer.batch_committed(
            outcome,
            source_bytes=polled.size_bytes,
            poll_s=polled.poll_s,
            deliver_s=perf_counter() - began,
            lag=max(0, (self._consumer.highwater(self._source) or 0) - polled.next_offset),
        )

    async def _settle(self, unit: UnitOfWork, settlement: Settlement, next_offset: int) -> None:
        await unit.deliver(settlement, next_offset)
        self._observer.partition_settled(settlement)


def _content_bytes(records: Sequence[Record]) -> int:
    contents = chain(map(attrgetter("value"), records), map(attrgetter("key"), records))
    return sum(map(len, filter(None, contents)))
