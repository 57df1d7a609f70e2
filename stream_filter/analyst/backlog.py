"""What waits to be asked: equal texts as one question, the most worth first."""

import asyncio
import heapq
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from stream_filter.analyst.prompt import Prompt, Shown

NO_PRIORITY, NO_SCORE = -1, -1.0
Key = tuple[str, bytes]
Source = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A forwarded event, without its payload: where it stands, who it is, what it is worth."""

    topic: str
    partition: int
    offset: int
    event_id: str
    """Its `sf-id`."""
    priority: int = NO_PRIORITY
    score: float = NO_SCORE

    @property
    def worth(self) -> tuple[int, float]:
        return self.priority, self.score


@dataclass(slots=True, kw_only=True, eq=False)
class Question:
    """A text to ask about, and the events that have it."""

    key: Key
    prompt: Prompt
    shown: Shown
    since_s: float
    events: list[Event] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchSize:
    """How much goes into one prompt."""

    events: int
    tokens: int
    linger_s: float
    """How long a prompt may wait to be filled."""


@dataclass(slots=True)
class _Queue:
    """The questions of one prompt that wait."""

    waiting: dict[Key, Question] = field(default_factory=dict)
    """The oldest first."""
    by_worth: list[tuple[int, float, int, Question]] = field(default_factory=list)
    """A heap, in which a question stands again when its worth grows; what waits no more is passed
    over."""


class Backlog:
    """Events that have no outcome yet. Whoever takes a batch must `close` its questions.

    While a question waits, or is being asked, further events with its text join it.
    """

    def __init__(self, size: BatchSize, clock: Callable[[], float]) -> None:
        self._size = size
        self._clock = clock
        self._open: dict[Key, Question] = {}
        self._queues: dict[str, _Queue] = {}
        self._order = itertools.count()
        self._changed = asyncio.Event()
        self.events = 0

    def add(self, event: Event, prompt: Prompt, shown: Shown) -> None:
        """One more event."""
        key = (prompt.digest, shown.digest if prompt.folds else event.event_id.encode())
        queue = self._queues.setdefault(prompt.digest, _Queue())
        question = self._open.get(key)
        if question is None:
            question = Question(key=key, prompt=prompt, shown=shown, since_s=self._clock())
            self._open[key] = queue.waiting[key] = question
        is_worth_more = all(event.worth > known.worth for known in question.events)
        question.events.append(event)
        self.events += 1
        if is_worth_more and key in queue.waiting:
            priority, score = event.worth
            heapq.heappush(queue.by_worth, (-priority, -score, next(self._order), question))
        self._changed.set()

    def drop(self, sources: Iterable[Source]) -> None:
        """Forget the events of these partitions, also of what is being asked."""
        lost = set(sources)
        for key, question in list(self._open.items()):
            kept = [e for e in question.events if (e.topic, e.partition) not in lost]
            self.events -= len(question.events) - len(kept)
            question.events[:] = kept
            waiting = self._queues[key[0]].waiting
            if not kept and key in waiting:
                del self._open[key], waiting[key]

    async def take(self) -> list[Question]:
        """The next batch, of one prompt: full, or after its linger."""
        while True:
            batch, wait_s = self._next()
            if batch:
                return batch
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait_s)
            except asyncio.TimeoutError:
                pass

    def close(self, question: Question) -> None:
        """Its events have their outcome, or are given up."""
        if self._open.pop(question.key, None) is None:
            return
        self.events -= len(question.events)

    def _next(self) -> tuple[list[Question], float | None]:
        """A batch, or how long to wait for one; None: until something changes."""
        now_s = self._clock()
        soonest: float | None = None
        waiting = [queue for queue in self._queues.values() if self._has_any(queue)]
        for queue in sorted(waiting, key=lambda queue: queue.by_worth[0][:3]):
            oldest = next(iter(queue.waiting.values()))
            wait_s = oldest.since_s + self._size.linger_s - now_s
            if wait_s <= 0 or len(queue.waiting) >= self._size.events:
                return self._filled(queue), 0.0
            soonest = wait_s if soonest is None else min(soonest, wait_s)
        return [], soonest

    def _filled(self, queue: _Queue) -> list[Question]:
        batch: list[Question] = []
        odd = []
        tokens = 0
        while len(batch) < self._size.events and self._has_any(queue):
            question = queue.by_worth[0][-1]
            tokens += question.prompt.count(question.shown.text)
            if batch and tokens > self._size.tokens:
                break
            entry = heapq.heappop(queue.by_worth)
            if batch and question.shown.is_suspicious:
                odd.append(entry)
                continue
            del queue.waiting[question.key]
            batch.append(question)
            if question.shown.is_suspicious:
                break
        for entry in odd:
            heapq.heappush(queue.by_worth, entry)
        return batch

    @staticmethod
    def _has_any(queue: _Queue) -> bool:
        """Whether a question waits; it then stands at the top of the heap."""
        heap = queue.by_worth
        while heap and queue.waiting.get(heap[0][-1].key) is not heap[0][-1]:
            heapq.heappop(heap)
        return bool(heap)
