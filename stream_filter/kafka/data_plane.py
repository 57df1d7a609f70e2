"""The group member: owns partitions, runs a loop for each, and survives its consumer."""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.policy import Policy
from stream_filter.gate.gate import Gate
from stream_filter.gate.observer import Observer
from stream_filter.kafka.byte_budget import ByteBudget
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.delivery import Delivery
from stream_filter.kafka.errors import translate, translated
from stream_filter.kafka.fetched_records import as_stored
from stream_filter.kafka.memory_reader import MemoryReader
from stream_filter.kafka.partition_loop import LoopConfig, PartitionLoop, Shared
from stream_filter.kafka.unit_of_work import (
    MAX_BATCH_BYTES,
    AccountTopics,
    AtLeastOnce,
    ExactlyOnce,
    UnitOfWork,
    close_quietly,
)
from stream_filter.kafka.waiting import is_set_within

_BACKOFF_S = (1.0, 15.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlaneConfig:
    """What the data plane is told once."""

    subscription: frozenset[str] | re.Pattern[str]
    own_topics: frozenset[str]
    """What the gate writes to besides the policy's targets: no glob takes it."""
    group: str
    group_instance_id: str | None
    """Static membership: a restart within the session time-out moves no partition."""
    delivery: Delivery
    accounts: AccountTopics
    compression: str | None
    isolation_level: str
    session_timeout_ms: int
    transaction_timeout_ms: int
    fetch_min_bytes: int
    fetch_max_wait_ms: int
    max_partition_fetch_bytes: int
    max_in_flight_bytes: int
    stop_timeout_s: float
    threads: int
    loop: LoopConfig


class DataPlane:
    """Poll to commit, for as long as it runs."""

    def __init__(
        self,
        config: PlaneConfig,
        *,
        connection: Connection,
        gate: Gate,
        size_limits: dict[str, int],
        observer: Observer,
    ) -> None:
        self._config = config
        self._connection = connection
        self._gate = gate
        self._size_limits = size_limits
        self._observer = observer
        self._stopping = asyncio.Event()
        self._membership: _Membership | None = None

    def stop(self) -> None:
        """Finish what is decided, commit, leave the group; `run` then returns."""
        self._stopping.set()

    async def run(self) -> None:
        """Until `stop`. Raises StreamFilterError where going on cannot help."""
        backoff_s = _BACKOFF_S[0]
        with ThreadPoolExecutor(self._config.threads, thread_name_prefix="gate") as executor:
            while not self._stopping.is_set():
                membership = self._membership = _Membership(
                    self._config,
                    connection=self._connection,
                    gate=self._gate,
                    size_limits=self._size_limits,
                    max_batch_bytes=self.max_batch_bytes,
                    observer=self._observer,
                    executor=executor,
                )
                began = asyncio.get_running_loop().time()
                try:
                    await membership.run(self._stopping)
                except StreamFilterError as error:
                    if not error.retriable:
                        raise
                    if asyncio.get_running_loop().time() - began > 60:
                        backoff_s = _BACKOFF_S[0]
                    self._membership = None
                    self._observer.plane_failed(error, backoff_s)
                    if not await is_set_within(self._stopping, backoff_s):
                        backoff_s = min(2 * backoff_s, _BACKOFF_S[1])

    async def switch(
        self,
        policy: Policy,
        size_limits: Mapping[str, int],
        change: Callable[[], None],
    ) -> None:
        """Call `change`, which puts another policy in force, and read what it names.

        With the same subscription nothing pauses. With another one, all partitions deliver what
        is decided and are released before, and the group shares the new ones out after: its
        rebalances are eager, so for one of them all partitions stand still.
        """
        self._size_limits.update(size_limits)
        subscription = policy.subscription(except_topics=self._config.own_topics)
        if subscription == self._config.subscription:
            change()
            return
        self._config = replace(self._config, subscription=subscription)
        if self._membership is None:
            change()
        else:
            await self._membership.switch(self._config, change)

    @property
    def max_batch_bytes(self) -> int:
        """Of a batch of records sent: a target topic must take one."""
        return min([MAX_BATCH_BYTES, *self._size_limits.values()])


class _Membership(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """One life of the consumer, from joining the group to leaving it."""

    def __init__(
        self,
        config: PlaneConfig,
        *,
        connection: Connection,
        gate: Gate,
        size_limits: dict[str, int],
        max_batch_bytes: int,
        observer: Observer,
        executor: ThreadPoolExecutor,
    ) -> None:
        self._config = config
        self._connection = connection
        self._gate = gate
        self._observer = observer
        self._loops: dict[TopicPartition, tuple[PartitionLoop, asyncio.Task[None]]] = {}
        self._moving = asyncio.Lock()
        self._max_batch_bytes = max_batch_bytes
        self._shared = Shared(
            memory=MemoryReader(connection, memory_topic=config.accounts.memory),
            executor=executor,
            budget=ByteBudget(config.max_in_flight_bytes),
            size_limits=size_limits,
        )
        # Done when this membership cannot go on, with the error, or is to be made anew.
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._producer: AIOKafkaProducer | None = None
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(),
            group_id=self._config.group,
            group_instance_id=self._config.group_instance_id,
            enable_auto_commit=False,
            # Where to begin is the loop's to say; what is lost to retention is skipped, no more.
            auto_offset_reset="earliest",
            isolation_level=self._config.isolation_level,
            session_timeout_ms=self._config.session_timeout_ms,
            heartbeat_interval_ms=max(500, self._config.session_timeout_ms // 5),
            rebalance_timeout_ms=int(self._config.stop_timeout_s * 1000) + 15_000,
            max_partition_fetch_bytes=self._config.max_partition_fetch_bytes,
            fetch_min_bytes=self._config.fetch_min_bytes,
            fetch_max_wait_ms=self._config.fetch_max_wait_ms,
            key_deserializer=as_stored,
            metadata_max_age_ms=30_000,
        )

    async def run(self, stop_asked: asyncio.Event) -> None:
        stopping: asyncio.Future[Any] = asyncio.ensure_future(stop_asked.wait())
        try:
            with translated(f"joining the group {self._config.group}"):
                if self._config.delivery is Delivery.AT_LEAST_ONCE:
                    self._producer = AIOKafkaProducer(
                        **self._connection.client_options(),
                        acks="all",
                        compression_type=self._config.compression,
                        max_batch_size=self._max_batch_bytes,
                        linger_ms=0,
                    )
                    await self._producer.start()
                self._subscribe()
                await self._consumer.start()
            waiting: list[asyncio.Future[Any]] = [stopping, self._over]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if self._over.done():
                self._over.result()
        finally:
            stopping.cancel()
            await self._release(list(self._loops))
            if self._producer is not None:
                await close_quietly(self._producer)
            await close_quietly(self._consumer)
            if self._over.done():
                self._over.exception()

    def _subscribe(self) -> None:
        subscription = self._config.subscription
        if isinstance(subscription, re.Pattern):
            self._consumer.subscribe(pattern=subscription.pattern, listener=self)
        else:
            self._consumer.subscribe(topics=sorted(subscription), listener=self)

    async def switch(self, config: PlaneConfig, change: Callable[[], None]) -> None:
        """Release all partitions, change the policy, subscribe anew."""
        async with self._moving:
            await self._release(list(self._loops))
            change()
            was_pattern = isinstance(self._config.subscription, re.Pattern)
            self._config = config
            if was_pattern == isinstance(config.subscription, re.Pattern):
                self._subscribe()
            elif not self._over.done():
                # aiokafka's consumer takes either names or a pattern, for life.
                self._over.set_result(None)

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """The group waits while this runs: finish or void each unit, close each producer."""
        async with self._moving:
            await self._release(revoked)

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        async with self._moving:
            self._open(list(assigned))

    def _open(self, assigned: list[TopicPartition]) -> None:
        self._observer.group_joined(len(assigned))
        for source in assigned:
            loop = PartitionLoop(
                source,
                config=self._config.loop,
                consumer=self._consumer,
                make_unit=self._make_unit,
                gate=self._gate,
                shared=self._shared,
                observer=self._observer,
            )
            task = asyncio.create_task(loop.run(), name=f"{source.topic}/{source.partition}")
            task.add_done_callback(self._loop_ended)
            self._loops[source] = (loop, task)

    def _make_unit(self, source: TopicPartition) -> UnitOfWork:
        if self._producer is not None:
            return AtLeastOnce(
                source,
                producer=self._producer,
                consumer=self._consumer,
                accounts=self._config.accounts,
            )
        return ExactlyOnce(
            source,
            connection=self._connection,
            group=self._config.group,
            accounts=self._config.accounts,
            compression=self._config.compression,
            transaction_timeout_ms=self._config.transaction_timeout_ms,
            max_batch_bytes=self._max_batch_bytes,
        )

    def _loop_ended(self, task: "asyncio.Task[None]") -> None:
        """A loop that ends by an error takes the membership with it."""
        if task.cancelled() or self._over.done():
            return
        error = task.exception()
        if error is not None:
            self._over.set_exception(translate(error, f"the loop of {task.get_name()}"))

    async def _release(self, sources: Iterable[TopicPartition]) -> None:
        released = [(s, *self._loops.pop(s)) for s in list(sources) if s in self._loops]
        for _, loop, _ in released:
            loop.stop()
        tasks = {task for _, _, task in released}
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=self._config.stop_timeout_s)
        for task in late:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for source, _, task in released:
            self._observer.partition_released(*source, clean=task not in late)
