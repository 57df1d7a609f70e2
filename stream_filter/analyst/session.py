"""One membership in the analysts' group: records in, verdicts out, offsets behind them.

1. Records are read as events, in order of their offsets; their texts wait in the backlog.
2. Findings are written to the verdict topic and acknowledged.
3. Up to the oldest event without an outcome, offsets are committed; what is done beyond that goes
   with the commit (`frontier`).

A crash between 2 and 3 repeats what 3 did not say: at most what was in flight.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

import aiokafka
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.structs import OffsetAndMetadata

from stream_filter.analyst.backlog import Backlog, BatchSize, Event
from stream_filter.analyst.desk import Desk, DeskObserver, Panel
from stream_filter.analyst.finding_cache import FindingCache
from stream_filter.analyst.frontier import MOST_SPAN, Frontier, read_metadata
from stream_filter.analyst.outcome import Cause
from stream_filter.analyst.prompt import Prompt
from stream_filter.analyst.reading import read_event
from stream_filter.analyst.verdicts import no_verdict_record
from stream_filter.core.errors import BrokerError, ConfigError, FencedError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translate, translated
from stream_filter.kafka.unit_of_work import close_quietly

_POLL_MS = 200
_COMMIT_EVERY_S = 0.5
_SETTLE_S = 5.0
_POLLED = 1_000
_MAX_BATCH_BYTES = 512 << 10
"""One request is on its way at a time, and in aiokafka's own 16 KiB go forty verdicts."""
MOST_WAITING = 10_000
"""Events in hand: of more, the most worth could not be asked first, and of fewer, fewer are
equal."""


class SessionObserver(DeskObserver, Protocol):
    """Hears what becomes of records."""

    def assigned(self, partitions: int, share: float, resumed: int) -> None: ...
    def passed_over(self, topic: str) -> None: ...
    def unread(self, topic: str) -> None: ...
    def waiting(self, events: int) -> None: ...
    def lag(self, topic: str, partition: int, records: int) -> None: ...


class SessionSpec:
    """What a membership needs to know."""

    __slots__ = (
        "connection",
        "group",
        "prompts",
        "session_timeout_ms",
        "size",
        "slots",
        "verdicts",
    )

    def __init__(
        self,
        connection: Connection,
        *,
        group: str,
        verdicts: str,
        prompts: dict[str, Prompt],
        size: BatchSize,
        slots: int,
        session_timeout_ms: int,
    ) -> None:
        """`prompts`: by analysis topic. `slots`: prompts on their way at once."""
        self.connection = connection
        self.group = group
        self.verdicts = verdicts
        self.prompts = prompts
        self.size = size
        self.slots = slots
        self.session_timeout_ms = session_timeout_ms


class Session(aiokafka.ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    """Runs until asked to stop, or until it cannot go on."""

    def __init__(
        self,
        spec: SessionSpec,
        panel: Panel,
        cache: FindingCache,
        *,
        give: Callable[[float], None],
        lead: Callable[[bool], None],
        observer: SessionObserver,
    ) -> None:
        """`give` hears the share of the topics' partitions that is ours, and `lead` whether the
        first of them is: of the group, one has it."""
        self._spec = spec
        self._panel = panel
        self._give = give
        self._lead = lead
        self._observer = observer
        self._backlog = Backlog(spec.size, time.monotonic)
        self._desk = Desk(
            self._backlog,
            panel,
            cache,
            write=self._write,
            finish=self._finish,
            observer=observer,
        )
        self._frontiers: dict[TopicPartition, Frontier] = {}
        self._committed: dict[TopicPartition, tuple[int, str]] = {}
        self._membership = 0
        """Counts up with each change of what is ours."""
        self._moving = asyncio.Lock()
        self._over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        options = spec.connection.client_options()
        self._producer = AIOKafkaProducer(
            **options, acks="all", linger_ms=5, max_batch_size=_MAX_BATCH_BYTES
        )
        self._consumer = AIOKafkaConsumer(
            **options,
            group_id=spec.group,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            session_timeout_ms=spec.session_timeout_ms,
            heartbeat_interval_ms=max(500, spec.session_timeout_ms // 5),
            rebalance_timeout_ms=int(_SETTLE_S * 1000) + 15_000,
            max_partition_fetch_bytes=2 << 20,
        )

    async def run(self, stop_asked: asyncio.Event) -> None:
        """Raises BrokerError or ConfigError."""
        tasks: list[asyncio.Future[Any]] = []
        try:
            with translated(f"joining the group {self._spec.group}"):
                await self._producer.start()
                self._consumer.subscribe(topics=sorted(self._spec.prompts), listener=self)
                await self._consumer.start()
            tasks = [asyncio.create_task(step()) for step in (self._poll, self._commit_often)]
            stopping = asyncio.create_task(stop_asked.wait())
            tasks.append(stopping)
            await asyncio.wait([*tasks, self._over], return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._over, *tasks[:-1]):
                if ended.done():
                    ended.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            async with self._moving:
                await self._release()
            await close_quietly(self._producer)
            await close_quietly(self._consumer)
            if self._over.done():
                self._over.exception()

    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        async with self._moving:
            await self._release()

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        async with self._moving:
            try:
                await self._open(list(assigned))
            except (BrokerError, ConfigError) as error:
                self._fail(error)

    async def _open(self, assigned: list[TopicPartition]) -> None:
        committed = await self._read_commits(assigned)
        for source, (position, metadata) in committed.items():
            self._frontiers[source] = Frontier(position, read_metadata(position, metadata))
            # aiokafka fetches before its listener hears of the assignment; that was let go.
            self._consumer.seek(source, position)
        self._membership += 1
        self._committed = dict(committed)
        counts = (len(self._consumer.partitions_for_topic(t) or ()) for t in self._spec.prompts)
        share = len(assigned) / max(1, sum(counts))
        self._give(share)
        self._lead(TopicPartition(min(self._spec.prompts), 0) in self._frontiers)
        resumed = sum(bool(metadata) for _, metadata in committed.values())
        self._observer.assigned(len(assigned), share, resumed)
        if assigned:
            self._desk.open(self._spec.slots, self._fail)

    async def _release(self) -> None:
        """Finish what is in hand as far as there is time, say so, and forget the rest."""
        self._lead(False)
        await self._desk.settle(_SETTLE_S)
        try:
            await self._commit()
        except BrokerError as error:
            if not error.retriable:
                self._fail(error)
        self._backlog.drop([(source.topic, source.partition) for source in self._frontiers])
        self._frontiers = {}
        self._membership += 1

    async def _poll(self) -> None:
        while True:
            self._hold_back()
            membership = self._membership
            with translated("reading"):
                polled = await self._consumer.getmany(timeout_ms=_POLL_MS, max_records=_POLLED)
            for source, records in polled.items():
                if membership == self._membership:
                    await self._receive(source, records)
                elif (frontier := self._frontiers.get(source)) is not None:
                    # Nobody can say from before or after the change: read again.
                    self._consumer.seek(source, frontier.next)
            self._observer.waiting(self._backlog.events)
            self._tell_lag()

    def _hold_back(self) -> None:
        """No more of a partition than can be held, or said in a commit."""
        is_full = self._backlog.events >= MOST_WAITING
        paused = self._consumer.paused()
        for source in self._consumer.assignment():
            frontier = self._frontiers.get(source)
            is_long = frontier is not None and frontier.span + _POLLED > MOST_SPAN
            if is_full or is_long:
                self._consumer.pause(source)
            elif source in paused:
                self._consumer.resume(source)

    async def _receive(self, source: TopicPartition, records: Sequence[ConsumerRecord]) -> None:
        frontier = self._frontiers.get(source)
        if frontier is None:
            return  # not opened yet: read again then
        prompt = self._spec.prompts[source.topic]
        shown = prompt.show([record.value or b"" for record in records])
        known = []
        unread = []
        for record, text in zip(records, shown, strict=True):
            if not frontier.take(record.offset):
                continue
            event = read_event(source.topic, source.partition, record.offset, record.headers)
            if event is None:
                self._observer.passed_over(source.topic)
                frontier.finish(record.offset)
            elif text is None:
                self._observer.unread(source.topic)
                unread.append(event)
            elif (finding := self._desk.known(event, prompt, text)) is not None:
                known.append((finding, event, prompt))
            else:
                self._backlog.add(event, prompt, text)
        await self._desk.answer(known)
        await self._refuse(unread, prompt)

    async def _refuse(self, unread: Sequence[Event], prompt: Prompt) -> None:
        judge = self._panel.main.courier.judges[0]
        await self._write(
            [no_verdict_record(judge, e.event_id, Cause.EMPTY, prompt.digest) for e in unread]
        )
        self._finish(unread)

    async def _write(self, records: Sequence[bytes]) -> None:
        with translated(f"writing to {self._spec.verdicts}"):
            sent = [
                await self._producer.send(self._spec.verdicts, record, partition=0)
                for record in records
            ]
            await asyncio.gather(*sent)

    def _finish(self, events: Sequence[Event]) -> None:
        for event in events:
            frontier = self._frontiers.get(TopicPartition(event.topic, event.partition))
            if frontier is not None:
                frontier.finish(event.offset)

    async def _commit_often(self) -> None:
        while True:
            await asyncio.sleep(_COMMIT_EVERY_S)
            try:
                await self._commit()
            except FencedError:
                pass  # the group is moving: its listener is called next
            except BrokerError as error:
                if not error.retriable:
                    raise

    async def _commit(self) -> None:
        """Say up to where all is done, and what is beyond. Raises BrokerError."""
        new = {
            source: (frontier.position, frontier.metadata())
            for source, frontier in self._frontiers.items()
        }
        new = {source: at for source, at in new.items() if at != self._committed.get(source)}
        if not new:
            return
        membership = self._membership
        try:
            await self._consumer.commit(new)
        except Exception as error:  # aiokafka's, or a rebalance's: `translate` names it
            raise translate(error, "committing offsets") from error
        if membership == self._membership:
            self._committed |= new

    async def _read_commits(
        self, sources: list[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, str]]:
        """What the group has committed; the first offset and "" where nothing."""
        if not sources:
            return {}
        admin = AIOKafkaAdminClient(**self._spec.connection.client_options())
        with translated("reading committed offsets"):
            try:
                await admin.start()
                first = await self._consumer.beginning_offsets(sources)
                found: dict[
                    TopicPartition, OffsetAndMetadata
                ] = await admin.list_consumer_group_offsets(self._spec.group, partitions=sources)
            finally:
                await admin.close()
        return {
            source: (at.offset, at.metadata or "")
            if (at := found.get(source)) is not None and at.offset >= 0
            else (first[source], "")
            for source in sources
        }

    def _tell_lag(self) -> None:
        for source, frontier in self._frontiers.items():
            end = (
                self._consumer.highwater(source) if source in self._consumer.assignment() else None
            )
            if end is not None:
                self._observer.lag(source.topic, source.partition, max(0, end - frontier.next))

    def _fail(self, error: BaseException) -> None:
        if not self._over.done():
            self._over.set_exception(error)
