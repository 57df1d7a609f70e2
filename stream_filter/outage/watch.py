"""What is remembered of a stream of sightings, and looked at."""

from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.outage.blame import suspects
from stream_filter.outage.excess import Usual, p_values, surprise, usual
from stream_filter.outage.onset import onset_slot
from stream_filter.outage.sighting import Shape, Sighting
from stream_filter.outage.slot_counts import SlotCounts
from stream_filter.outage.view import Example, KindSeen, Link, ServiceSeen, View

MOST_SERVICES, MOST_KINDS, MOST_LINKS, MOST_TRACES = 1_000, 8_000, 5_000, 50_000
"""A stream that makes names up fills these and no more: what does not fit is not counted."""
_JOINS = 0.01
"""The chance, in one look, that anything is taken to complain that does not: what belongs to an
outage is asked less strictly than whether there is one."""
_ONSETS = 40
"""Kinds of which an onset is sought: the most telling."""
_EXAMPLES = 2

_Ints: TypeAlias = NDArray[np.int64]
_Reals: TypeAlias = NDArray[np.float64]
Kind: TypeAlias = tuple[str, bytes]
"""Service and digest."""
Span: TypeAlias = tuple[int, int]
"""Unix milliseconds, from and until: a time that was not usual."""


@dataclass(slots=True)
class _Facts:
    """What a kind looks like."""

    first: list[Example] = field(default_factory=list)
    newest: deque[Example] = field(default_factory=lambda: deque(maxlen=_EXAMPLES))


class Watch:
    """Bounded in memory, whatever the stream."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        slots = shape.kept_slots
        self._services: SlotCounts[str] = SlotCounts(slots, MOST_SERVICES)
        self._kinds: SlotCounts[Kind] = SlotCounts(slots, MOST_KINDS)
        self._links: SlotCounts[tuple[str, str, str]] = SlotCounts(slots, MOST_LINKS)
        self._unlinked: SlotCounts[str] = SlotCounts(slots, MOST_SERVICES)
        self._facts: dict[Kind, _Facts] = {}
        self._traces: OrderedDict[str, tuple[int, str]] = OrderedDict()
        self._begins: int | None = None

    def add(self, sightings: Iterable[Sighting], now_ms: int) -> int:
        """Take sightings in, in any order; how many were too old to count. One that is dated later
        than `now_ms` counts as of now."""
        now = now_ms // self.shape.slot_ms
        self._advance(now)
        old = 0
        for each in sightings:
            slot = min(each.at_ms // self.shape.slot_ms, now)
            if not self._services.add(each.service, slot):
                old += 1
                continue
            self._begins = slot if self._begins is None else min(self._begins, slot)
            kind = (each.service, each.kind)
            if self._kinds.add(kind, slot):
                self._remember(kind, each)
            links = {(each.service, peer, "peer") for peer in each.peers if peer != each.service}
            links |= self._followed(each)
            for link in links:
                self._links.add(link, slot)
            if not any(link[0] == each.service for link in links):
                self._unlinked.add(each.service, slot)
        return old

    def look(
        self, now_ms: int, *, onset_ms: int | None = None, not_usual: Sequence[Span] = ()
    ) -> View:
        """What the window up to `now_ms` shows. `onset_ms`: of an outage that is known, which is
        held against the time before it; `not_usual`: of outages that are over."""
        shape = self.shape
        now = now_ms // shape.slot_ms
        self._advance(now)
        self._forget()
        begin = now + 1 - Shape.SLOTS
        end = begin if onset_ms is None else min(begin, onset_ms // shape.slot_ms)
        by_scale = [self._chances(now, scale, onset_ms, not_usual) for scale in Shape.SCALES]
        chances = [np.minimum.reduce(each) for each in zip(*by_scale, strict=True)]
        tests = [max(1, len(each)) * len(chances) * len(Shape.SCALES) for each in chances]
        looks = max(1.0, shape.window_ms / shape.every_ms)
        strict = shape.false_alarms / looks
        is_excess = any((p * n <= strict).any() for p, n in zip(chances, tests, strict=True))
        joins_service, joins_kind = (p * n <= _JOINS for p, n in zip(chances, tests, strict=True))
        onsets = self._onsets(joins_service, joins_kind, chances[1], not_usual, now)
        onset = min(onsets.values(), default=None)
        since = begin if onset is None else min(begin, onset)
        kinds = self._kinds_seen(joins_kind, since, end, now, not_usual)
        counts = self._services.between(since, now + 1).sum(axis=1)
        before = self._usual(self._services, end, not_usual)
        expected = before.expected(now + 1 - since)
        services = [
            ServiceSeen(
                service=name,
                count=int(counts[row]),
                usual=round(float(expected[row]), 2),
                complains=name in onsets,
                onset_ms=onsets[name] * shape.slot_ms if name in onsets else None,
            )
            for row, name in enumerate(self._services.keys())
            if counts[row] or name in onsets
        ]
        links = self._links_seen(since, end, now, not_usual)
        return View(
            now_ms=now_ms,
            since_ms=since * shape.slot_ms,
            is_learning=not before.is_enough,
            is_excess=is_excess,
            onset_ms=None if onset is None else onset * shape.slot_ms,
            services=tuple(sorted(services, key=lambda s: (-(s.count - s.usual), s.service))),
            kinds=tuple(sorted(kinds, key=lambda k: (-k.surprise, k.first_ms, k.service))),
            links=links,
            suspects=self._suspects(onsets, links, since, now),
        )

    def _advance(self, slot: int) -> None:
        for table in (self._services, self._kinds, self._links, self._unlinked):
            table.advance(slot)

    def _forget(self) -> None:
        for table in (self._services, self._links, self._unlinked):
            table.forget_empty()
        for kind in self._kinds.forget_empty():
            self._facts.pop(kind, None)

    def _remember(self, kind: Kind, sighting: Sighting) -> None:
        facts = self._facts.get(kind)
        if facts is None:
            facts = self._facts[kind] = _Facts()
        example = Example(
            event_id=sighting.event_id, at_ms=sighting.at_ms, text=sighting.text
        )
        if len(facts.first) < _EXAMPLES:
            facts.first.append(example)
        else:
            facts.newest.append(example)

    def _followed(self, sighting: Sighting) -> set[tuple[str, str, str]]:
        """Within a request, who complains later does so because of who did first."""
        links = set()
        for trace in sighting.traces:
            known = self._traces.pop(trace, None)
            here = (sighting.at_ms, sighting.service)
            first = here if known is None else min(known, here)
            if known is not None and known[1] != here[1]:
                last = max(known, here)
                links.add((last[1], first[1], "trace"))
            self._traces[trace] = first
            if len(self._traces) > MOST_TRACES:
                self._traces.popitem(last=False)
        return links

    def _usual(
        self, table: SlotCounts[Any], end: int, spans: Sequence[Span], *, once: bool = False
    ) -> Usual:
        slot_ms = self.shape.slot_ms
        first = end - self.shape.baseline_ms // slot_ms
        if self._begins is not None:
            first = max(first, self._begins)
        counts = table.between(first, end)
        if once:
            counts = np.minimum(counts, 1)
        slots = np.arange(end - counts.shape[1], end)
        kept = np.ones(len(slots), bool)
        for begin_ms, end_ms in spans:
            kept &= (slots < begin_ms // slot_ms) | (slots > end_ms // slot_ms)
        return usual(counts[:, kept], Shape.SLOTS)

    def _chances(
        self, now: int, scale: int, onset_ms: int | None, spans: Sequence[Span]
    ) -> tuple[_Reals, _Reals]:
        """Of services and of kinds. A kind counts once a slot: who says the same a hundred times
        says it once."""
        begin = now + 1 - scale * Shape.SLOTS
        end = begin if onset_ms is None else min(begin, onset_ms // self.shape.slot_ms)
        services = p_values(
            self._services.between(begin, now + 1), self._usual(self._services, end, spans)
        )
        kinds = p_values(
            np.minimum(self._kinds.between(begin, now + 1), 1),
            self._usual(self._kinds, end, spans, once=True),
        )
        return services, kinds

    def _onsets(
        self,
        joins_service: NDArray[np.bool_],
        joins_kind: NDArray[np.bool_],
        chances: _Reals,
        spans: Sequence[Span],
        now: int,
    ) -> dict[str, int]:
        """The slot in which each service that complains began to: with the first of its kinds that
        does, or where none does by itself, as a whole."""
        slot_ms = self.shape.slot_ms
        first = max(self._begins or 0, *(until // slot_ms + 1 for _, until in spans), 0)
        found: dict[str, int] = {}
        rows = np.flatnonzero(joins_kind)
        series = self._kinds.between(first, now + 1)
        begin = now + 1 - series.shape[1]
        keys = self._kinds.keys()
        for row in rows[np.argsort(chances[rows], kind="stable")][:_ONSETS]:
            service = keys[row][0]
            slot = begin + onset_slot(series[row])
            found[service] = min(slot, found.get(service, slot))
        series = self._services.between(first, now + 1)
        for row, service in enumerate(self._services.keys()):
            if joins_service[row] and service not in found:
                found[service] = begin + onset_slot(series[row])
        return found

    def _kinds_seen(
        self, joins: NDArray[np.bool_], since: int, end: int, now: int, spans: Sequence[Span]
    ) -> list[KindSeen]:
        slot_ms = self.shape.slot_ms
        series = self._kinds.between(since, now + 1)
        counts = series.sum(axis=1)
        before = self._usual(self._kinds, end, spans)
        expected = before.expected(now + 1 - since)
        surprises = surprise(counts, expected)
        seen = []
        for row, kind in enumerate(self._kinds.keys()):
            if not counts[row]:
                continue
            slots = np.flatnonzero(series[row]) + since
            facts = self._facts[kind]
            examples = sorted([*facts.first, *facts.newest], key=lambda e: e.at_ms)
            examples = [e for e in examples if e.at_ms >= since * slot_ms] or examples[-1:]
            seen.append(
                KindSeen(
                    service=kind[0],
                    text=examples[-1].text,
                    count=int(counts[row]),
                    usual=round(float(expected[row]), 2),
                    surprise=float(surprises[row]),
                    first_ms=int(slots[0]) * slot_ms,
                    last_ms=int(slots[-1]) * slot_ms,
                    is_novel=not before.counts[row],
                    complains=bool(joins[row]),
                    examples=tuple(examples),
                )
            )
        return seen

    def _links_seen(
        self, since: int, end: int, now: int, spans: Sequence[Span]
    ) -> tuple[Link, ...]:
        counts = self._links.between(since, now + 1).sum(axis=1)
        expected = self._usual(self._links, end, spans).expected(now + 1 - since)
        links = [
            Link(
                source=of,
                target=to,
                by=by,
                count=int(counts[row]),
                usual=round(float(expected[row]), 2),
            )
            for row, (of, to, by) in enumerate(self._links.keys())
            if counts[row]
        ]
        return tuple(sorted(links, key=lambda e: (-(e.count - e.usual), e.source, e.target, e.by)))

    def _suspects(
        self, onsets: dict[str, int], links: Sequence[Link], since: int, now: int
    ) -> tuple[tuple[str, float], ...]:
        if not onsets:
            return ()
        blame: dict[tuple[str, str], float] = {}
        for link in links:
            if link.source in onsets:
                pair = (link.source, link.target)
                blame[pair] = blame.get(pair, 0.0) + max(0.0, link.count - link.usual)
        counts = self._unlinked.between(since, now + 1).sum(axis=1)
        own = {
            name: float(counts[row])
            for row, name in enumerate(self._unlinked.keys())
            if name in onsets
        }
        return tuple((name, round(share, 4)) for name, share in suspects(onsets, own, blame))
