"""What is remembered of a stream of sightings: counts by slot, and what each kind looks like."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.outage.excess import Usual, usual
from stream_filter.outage.sighting import Shape, Sighting
from stream_filter.outage.slot_counts import SlotCounts
from stream_filter.outage.view import Example

MOST_SERVICES, MOST_KINDS, MOST_LINKS, MOST_TRACES = 1_000, 8_000, 5_000, 50_000
"""A stream that makes names up fills these and no more: what does not fit is not counted."""
_EXAMPLES = 2

Kind: TypeAlias = tuple[str, bytes]
"""Service and digest."""
Edge: TypeAlias = tuple[str, str, str]
"""Who says it, of whom, and by what: peer or trace."""
Span: TypeAlias = tuple[int, int]
"""Unix milliseconds, from and until: a time that was not usual."""


@dataclass(slots=True)
class _Facts:
    """What a kind looks like."""

    first: list[Example] = field(default_factory=list)
    newest: deque[Example] = field(default_factory=lambda: deque(maxlen=_EXAMPLES))


@dataclass(slots=True)
class Counted:
    """One of the watch's tables, and how it is to be counted."""

    table: SlotCounts[Any]
    once: bool = False
    """Whether a slot counts once, however often it came: who says the same a hundred times says it
    once."""
    held: tuple[list[Any], Usual] | None = None
    """What is usual, of these keys, while it is held."""

    def between(self, first: int, end: int) -> NDArray[np.int64]:
        counts = self.table.between(first, end)
        return np.minimum(counts, 1) if self.once else counts


class Watch:
    """Bounded in memory, whatever the stream."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        slots = shape.kept_slots
        self.services = Counted(SlotCounts[str](slots, MOST_SERVICES))
        self.kinds = Counted(SlotCounts[Kind](slots, MOST_KINDS))
        self.kinds_once = Counted(self.kinds.table, once=True)
        self.links = Counted(SlotCounts[Edge](slots, MOST_LINKS))
        self.unlinked = Counted(SlotCounts[str](slots, MOST_SERVICES))
        """What services say that names nobody."""
        self.begins: int | None = None
        """The oldest slot that anything was seen in."""
        self._facts: dict[Kind, _Facts] = {}
        self._traces: OrderedDict[str, tuple[int, str]] = OrderedDict()

    def add(self, sightings: Iterable[Sighting], now_ms: int) -> int:
        """Take sightings in, in any order; how many were too old to count. One that is dated later
        than `now_ms` counts as of now."""
        now = self.advance(now_ms)
        old = 0
        for each in sightings:
            slot = min(each.at_ms // self.shape.slot_ms, now)
            if not self.services.table.add(each.service, slot):
                old += 1
                continue
            self.begins = slot if self.begins is None else min(self.begins, slot)
            kind = (each.service, each.kind)
            if self.kinds.table.add(kind, slot):
                self._remember(kind, each)
            links = {(each.service, peer, "peer") for peer in each.peers if peer != each.service}
            links |= self._followed(each)
            for link in links:
                self.links.table.add(link, slot)
            if not any(link[0] == each.service for link in links):
                self.unlinked.table.add(each.service, slot)
        return old

    def advance(self, now_ms: int) -> int:
        """It is so late: the slot of it."""
        slot = now_ms // self.shape.slot_ms
        for each in (self.services, self.kinds, self.links, self.unlinked):
            each.table.advance(slot)
        return slot

    def forget(self) -> None:
        """What has left the ring."""
        for each in (self.services, self.links, self.unlinked):
            each.table.forget_empty()
        for kind in self.kinds.table.forget_empty():
            self._facts.pop(kind, None)

    def hold(self, onset_ms: int, spans: Sequence[Span] = ()) -> None:
        """From now on, usual is what was before `onset_ms`, until `release`."""
        end = onset_ms // self.shape.slot_ms
        for each in (self.services, self.kinds, self.kinds_once, self.links):
            each.held = (each.table.keys(), self.usual(each, end, spans))

    def release(self) -> None:
        for each in (self.services, self.kinds, self.kinds_once, self.links):
            each.held = None

    def usual(self, counted: Counted, end: int, spans: Sequence[Span]) -> Usual:
        """What is usual of its keys: of the baseline before slot `end`, or what is held."""
        if counted.held is not None:
            keys, held = counted.held
            return held.of(keys, counted.table.keys())
        first = end - self.shape.baseline_ms // self.shape.slot_ms
        if self.begins is not None:
            first = max(first, self.begins)
        return usual(self.apart_from(spans, counted, first, end), Shape.SLOTS)

    def apart_from(
        self, spans: Sequence[Span], counted: Counted, first: int, end: int
    ) -> NDArray[np.int64]:
        """Counts by key and slot in the slots [first, end), without those of the spans."""
        counts = counted.between(first, end)
        slots = np.arange(end - counts.shape[1], end) * self.shape.slot_ms
        kept = np.ones(len(slots), bool)
        for begin_ms, end_ms in spans:
            kept &= (slots <= begin_ms - self.shape.slot_ms) | (slots > end_ms)
        return counts[:, kept]

    def examples(self, kind: Kind) -> list[Example]:
        """The first and the newest of a kind, in order of time."""
        facts = self._facts[kind]
        return sorted([*facts.first, *facts.newest], key=lambda example: example.at_ms)

    def _remember(self, kind: Kind, sighting: Sighting) -> None:
        facts = self._facts.get(kind)
        if facts is None:
            facts = self._facts[kind] = _Facts()
        example = Example(event_id=sighting.event_id, at_ms=sighting.at_ms, text=sighting.text)
        if len(facts.first) < _EXAMPLES:
            facts.first.append(example)
        else:
            facts.newest.append(example)

    def _followed(self, sighting: Sighting) -> set[Edge]:
        """Within a request, who complains later does so because of who did first."""
        links = set()
        for trace in sighting.traces:
            known = self._traces.pop(trace, None)
            here = (sighting.at_ms, sighting.service)
            first = here if known is None else min(known, here)
            if known is not None and known[1] != here[1]:
                links.add((max(known, here)[1], first[1], "trace"))
            self._traces[trace] = first
            if len(self._traces) > MOST_TRACES:
                self._traces.popitem(last=False)
        return links
