"""Releasing what a budget deferred: in order, within what live traffic leaves of the budget."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.app.settings import Settings
from stream_filter.core.budget import Limit, Unit
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy
from stream_filter.core.position import parse_position
from stream_filter.core.release import LiveWindow
from stream_filter.core.tokens import estimated_tokens
from stream_filter.gate.batch import Emission
from stream_filter.gate.headers import SF_FOLD, SF_FORWARD_TO, SF_RELEASED, SF_SOURCE
from stream_filter.kafka.deferred_topic import DeferredTopic
from stream_filter.kafka.delivery import choose_delivery
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topics import TopicAdmin
from stream_filter.kafka.unit_of_work import MAX_BATCH_BYTES, AccountTopics

_PAUSE_S = 0.5
_PATIENCE_S = 5.0
_MOST_AT_ONCE = 500


class Origin(NamedTuple):
    """Where a record that waits comes from and goes to."""

    source: str
    target: str


@dataclass(slots=True)
class DrainReport:
    """What was released, and what still waits."""

    released: Counter[Origin] = field(default_factory=Counter)
    foreign: int = 0
    """Records of the deferred topic that the gate did not send: passed over."""
    waiting: int = 0
    """Offsets behind the last one released."""


class ReleaseBudget:
    """What may be released now: the room of every limit that a record falls under."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._windows: dict[tuple[str, Limit], LiveWindow] = {}

    @property
    def longest_ms(self) -> int:
        """The longest window of any limit, from 0."""
        budgets = (rules.budget for rules in self._policy.topics if rules.budget)
        return max((limit.window_ms for budget in budgets for limit in budget.limits), default=0)

    def fits(self, origin: Origin, value: bytes | None, now_ms: int) -> bool:
        """Whether a record may go now; if so, it is charged."""
        windows = self._of(origin)
        if any(_cost(limit, value) > window.room(now_ms) for limit, window in windows):
            return False
        self._add(windows, value, now_ms, is_live=False)
        return True

    def never_fits(self, origin: Origin, value: bytes | None) -> bool:
        """Whether a record alone is more than a limit allows: waiting does not help."""
        return any(_cost(limit, value) > limit.amount for limit, _ in self._of(origin))

    def came_live(self, origin: Origin, value: bytes | None, at_ms: int) -> None:
        """A record that the gate forwarded."""
        self._add(self._of(origin), value, at_ms, is_live=True)

    def _of(self, origin: Origin) -> list[tuple[Limit, LiveWindow]]:
        rules = self._policy.for_topic(origin.source)
        limits = rules.budget.limits if rules is not None and rules.budget is not None else ()
        found = []
        for limit in limits:
            if limit.target in (None, origin.target):
                # A glob's limit is each of its topics' own.
                place = ("" if limit.target else origin.source, limit)
                found.append((limit, self._windows.setdefault(place, LiveWindow(limit))))
        return found

    def _add(
        self,
        windows: Iterable[tuple[Limit, LiveWindow]],
        value: bytes | None,
        at_ms: int,
        *,
        is_live: bool,
    ) -> None:
        for limit, window in windows:
            window.add(_cost(limit, value), at_ms=at_ms, is_live=is_live)


async def drain(
    policy: Policy,
    settings: Settings,
    *,
    follows: bool,
    progress: Callable[[DrainReport], None],
) -> DrainReport:
    """Release what waits, until nothing does; with `follows` until cancelled. Raises BrokerError
    or ConfigError."""
    connection = settings.connection()
    group = f"{settings.group}-drain"
    delivery, _ = await choose_delivery(settings.delivery, connection, group)
    budget = ReleaseBudget(policy)
    async with AsyncExitStack() as closing:
        live = await closing.enter_async_context(TopicReader(connection))
        sources = live.partitions(settings.deferred_topic)
        ends = {source: end for source, (_, end) in (await live.bounds(sources)).items()}
        async with TopicAdmin(connection) as admin:
            size_limits = await admin.max_message_bytes(policy.targets)
        waiting = await closing.enter_async_context(
            DeferredTopic(
                connection,
                sources,
                group=group,
                delivery=delivery,
                accounts=AccountTopics(ledger=settings.ledger_topic, memory=settings.memory_topic),
                isolation_level=settings.isolation_level,
                transaction_timeout_ms=settings.transaction_timeout_ms,
                max_batch_bytes=min([MAX_BATCH_BYTES, *size_limits.values()]),
            )
        )
        follow_from = await _count_recent(live, policy, budget)
        following = asyncio.create_task(_count_live(live, follow_from, budget))
        closing.callback(following.cancel)
        releasing = asyncio.create_task(
            _Releasing(waiting, budget, ends, follows=follows, progress=progress).run()
        )
        closing.callback(releasing.cancel)
        await asyncio.wait({following, releasing}, return_when=asyncio.FIRST_COMPLETED)
        if following.done():
            following.result()
        return await releasing


class _Releasing:
    """One drain, from what was committed to the end."""

    def __init__(
        self,
        waiting: DeferredTopic,
        budget: ReleaseBudget,
        ends: dict[TopicPartition, int],
        *,
        follows: bool,
        progress: Callable[[DrainReport], None],
    ) -> None:
        self._waiting = waiting
        self._budget = budget
        self._ends = ends
        self._follows = follows
        self._progress = progress
        self._report = DrainReport()
        self._heads: dict[TopicPartition, list[ConsumerRecord]] = {source: [] for source in ends}

    async def run(self) -> DrainReport:
        idle_s = 0.0
        while True:
            empty = [source for source, head in self._heads.items() if not head]
            polled = await self._waiting.poll(empty, _MOST_AT_ONCE) if empty else {}
            self._heads |= polled
            released = [await self._release(source) for source in self._heads]
            left = await self._left()
            self._report.waiting = sum(left.values())
            self._progress(self._report)
            is_empty = not any(self._heads.values())
            idle_s = idle_s + _PAUSE_S if is_empty and not polled else 0.0
            if not self._follows and is_empty and (not any(left.values()) or idle_s > _PATIENCE_S):
                self._report.waiting = 0
                return self._report
            if not any(released):
                await asyncio.sleep(_PAUSE_S)

    async def _release(self, source: TopicPartition) -> int:
        """Release what fits of a partition's head, in order; how many records that were."""
        head, now_ms = self._heads[source], int(time.time() * 1000)
        emissions: list[Emission] = []
        origins: list[Origin] = []
        done = 0
        for record in head:
            origin = origin_of(record.headers)
            if origin is not None:
                if not self._budget.fits(origin, record.value, now_ms):
                    self._refuse_endless(origin, record)
                    break
                emissions.append(released_record(record, origin, now_ms))
                origins.append(origin)
            done += 1
        if not done:
            return 0
        self._heads[source] = head[done:]
        await self._waiting.release(source, emissions, head[done - 1].offset + 1)
        self._report.released.update(origins)
        self._report.foreign += done - len(emissions)
        return done

    def _refuse_endless(self, origin: Origin, record: ConsumerRecord) -> None:
        if self._budget.never_fits(origin, record.value):
            raise ConfigError(
                f"{record.topic}/{record.partition}/{record.offset}: {len(record.value or b'')} "
                f"bytes are more than the budget of {origin.source!r} ever allows: raise its token "
                "limits; what waits behind it is not released"
            )

    async def _left(self) -> dict[TopicPartition, int]:
        """How many offsets each partition still has, up to where it ended when this began."""
        positions = await self._waiting.positions()
        return {
            source: len(head) or max(0, self._ends[source] - positions[source])
            for source, head in self._heads.items()
        }


def origin_of(headers: Sequence[tuple[str, bytes | None]]) -> Origin | None:
    """Where a deferred record comes from and goes to; None where the gate did not send it."""
    # The gate's headers come last: a source may have brought its own of that name.
    found = {name: value for name, value in headers if name in (SF_FORWARD_TO, SF_SOURCE)}
    try:
        position = parse_position((found.get(SF_SOURCE) or b"").decode())
        target = (found.get(SF_FORWARD_TO) or b"").decode()
    except ValueError:
        return None
    return Origin(position.topic, target) if target else None


def released_record(record: ConsumerRecord, origin: Origin, now_ms: int) -> Emission:
    """What is sent: payload, key, timestamp and headers as they were, and when it was released."""
    at = max(i for i, (name, _) in enumerate(record.headers) if name == SF_FORWARD_TO)
    headers = [header for i, header in enumerate(record.headers) if i != at]
    headers.append((SF_RELEASED, b"%d" % now_ms))
    return Emission(origin.target, record.key, record.value, record.timestamp, headers)


async def _count_recent(
    live: TopicReader, policy: Policy, budget: ReleaseBudget
) -> dict[TopicPartition, int]:
    """Count what was forwarded within the longest window; where it ended."""
    targets = [p for topic in sorted(policy.targets) for p in live.partitions(topic)]
    bounds = await live.bounds(targets)
    starts = await live.offsets_at(targets, int(time.time() * 1000) - budget.longest_ms)
    ranges = {
        target: (end if (start := starts[target]) is None else max(first, start), end)
        for target, (first, end) in bounds.items()
    }
    recent: list[ConsumerRecord] = []
    async for _, records in live.read(ranges):
        recent += records
    for record in sorted(recent, key=lambda record: record.timestamp):
        _count(record, budget, record.timestamp)
    return {target: end for target, (_, end) in bounds.items()}


async def _count_live(
    live: TopicReader, starts: dict[TopicPartition, int], budget: ReleaseBudget
) -> None:
    async for _, records in live.follow(starts):
        for record in records:
            _count(record, budget, int(time.time() * 1000))


def _count(record: ConsumerRecord, budget: ReleaseBudget, at_ms: int) -> None:
    """What a drain released is counted where it is released."""
    found = dict(record.headers)
    named = found.get(SF_SOURCE) or found.get(SF_FOLD)
    if not named or SF_RELEASED in found:
        return
    try:
        source = parse_position(named.decode()).topic
    except ValueError:  # a foreign producer's header, not the gate's
        return
    budget.came_live(Origin(source, record.topic), record.value, at_ms)


def _cost(limit: Limit, value: bytes | None) -> int:
    if limit.unit is Unit.EVENTS:
        return 1
    return int(estimated_tokens(np.array([len(value or b"")]))[0])
