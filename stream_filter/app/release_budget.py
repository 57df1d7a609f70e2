"""What a budget leaves for records that wait, beside what the gate forwards meanwhile."""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.core.budget import Limit, Unit
from stream_filter.core.policy import Policy
from stream_filter.core.position import parse_position
from stream_filter.core.release import LiveWindow
from stream_filter.core.tokens import estimated_tokens
from stream_filter.gate.headers import SF_FOLD, SF_SOURCE
from stream_filter.kafka.reader import TopicReader

IsOwn = Callable[[Mapping[str, bytes | None]], bool]
"""Of a record's headers."""


class Origin(NamedTuple):
    """Where a record that waits comes from and goes to."""

    source: str
    target: str


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

    def limits(self, origin: Origin) -> bool:
        """Whether any limit holds for such records."""
        return bool(self._of(origin))

    def was_sent(self, origin: Origin, *, events: int, tokens: int, at_ms: int) -> None:
        """Records that an earlier call released, by number and estimated tokens."""
        for limit, window in self._of(origin):
            cost = events if limit.unit is Unit.EVENTS else tokens
            window.add(cost, at_ms=at_ms, is_live=False)

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


async def count_recent(
    live: TopicReader, topics: Iterable[str], budget: ReleaseBudget, *, is_own: IsOwn
) -> dict[TopicPartition, int]:
    """Count what was forwarded to topics within the longest window; where it ended. `is_own`: what
    the caller sends itself, and counts where it does."""
    targets = [p for topic in sorted(topics) for p in live.partitions(topic)]
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
        _count(record, budget, record.timestamp, is_own)
    return {target: end for target, (_, end) in bounds.items()}


async def count_live(
    live: TopicReader,
    starts: dict[TopicPartition, int],
    budget: ReleaseBudget,
    *,
    is_own: IsOwn,
) -> None:
    """Count what is forwarded from there on, as it comes, until cancelled."""
    async for _, records in live.follow(starts):
        for record in records:
            _count(record, budget, int(time.time() * 1000), is_own)


def _count(record: ConsumerRecord, budget: ReleaseBudget, at_ms: int, is_own: IsOwn) -> None:
    found = dict(record.headers)
    named = found.get(SF_SOURCE) or found.get(SF_FOLD)
    if not named or is_own(found):
        return
    try:
        source = parse_position(named.decode()).topic
    except ValueError:  # a foreign producer's header, not the gate's
        return
    budget.came_live(Origin(source, record.topic), record.value, at_ms)


def _cost(limit: Limit, value: bytes | None) -> int:
    return 1 if limit.unit is Unit.EVENTS else tokens_of(value)


def tokens_of(value: bytes | None) -> int:
    """Estimated, of one payload."""
    return int(estimated_tokens(np.array([len(value or b"")]))[0])
