"""Releasing what a budget deferred: in order, within what live traffic leaves of the budget."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.app.release_budget import Origin, ReleaseBudget, count_live, count_recent
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy
from stream_filter.core.position import parse_position
from stream_filter.gate.batch import Emission
from stream_filter.gate.headers import SF_FORWARD_TO, SF_RELEASED, SF_SOURCE
from stream_filter.kafka.deferred_topic import DeferredTopic
from stream_filter.kafka.delivery import choose_delivery
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topics import TopicAdmin
from stream_filter.kafka.unit_of_work import MAX_BATCH_BYTES, AccountTopics

_PAUSE_S = 0.5
_PATIENCE_S = 5.0
_MOST_AT_ONCE = 500


@dataclass(slots=True)
class DrainReport:
    """What was released, and what still waits."""

    released: Counter[Origin] = field(default_factory=Counter)
    foreign: int = 0
    """Records of the deferred topic that the gate did not send: passed over."""
    waiting: int = 0
    """Offsets behind the last one released."""


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
        follow_from = await count_recent(live, policy.targets, budget, is_own=_is_released)
        following = asyncio.create_task(count_live(live, follow_from, budget, is_own=_is_released))
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


def _is_released(headers: Mapping[str, bytes | None]) -> bool:
    return SF_RELEASED in headers
