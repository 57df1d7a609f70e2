"""One look at what a watch remembers."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.outage.blame import suspects
from stream_filter.outage.excess import p_values, surprise
from stream_filter.outage.onset import onset_slot
from stream_filter.outage.sighting import Shape
from stream_filter.outage.view import KindSeen, Link, ServiceSeen, View
from stream_filter.outage.watch import Span, Watch

_JOINS = 0.01
"""The chance, in one look, that anything is taken to complain that does not: what belongs to an
outage is asked less strictly than whether there is one."""
_ONSETS = 40
"""Kinds of which an onset is sought: the most telling."""

_Reals: TypeAlias = NDArray[np.float64]
_Flags: TypeAlias = NDArray[np.bool_]


def look(watch: Watch, now_ms: int, spans: Sequence[Span] = ()) -> View:
    """What the time up to `now_ms` shows. `spans`: of outages that are over; neither usual nor to
    be seen again."""
    return _Look(watch, now_ms, spans).view()


class _Look:
    """The steps of one look, and what they share."""

    def __init__(self, watch: Watch, now_ms: int, spans: Sequence[Span]) -> None:
        self._watch = watch
        self._shape = watch.shape
        self._now_ms = now_ms
        self._now = watch.advance(now_ms)
        self._spans = spans
        self._begin = self._now + 1 - Shape.SLOTS
        watch.forget()

    def view(self) -> View:
        shape, watch = self._shape, self._watch
        by_scale = [self._chances(scale) for scale in Shape.SCALES]
        chances = [np.minimum.reduce(each) for each in zip(*by_scale, strict=True)]
        # What every chance is to be multiplied with, since so many were looked at.
        tests = [max(1, len(each)) * len(chances) * len(Shape.SCALES) for each in chances]
        looks = max(1.0, shape.window_ms / shape.every_ms)
        least = [float(p.min(initial=1.0)) * n for p, n in zip(chances, tests, strict=True)]
        now = [float(p.min(initial=1.0)) * n for p, n in zip(by_scale[0], tests, strict=True)]
        joins_service, joins_kind = (p * n <= _JOINS for p, n in zip(chances, tests, strict=True))
        if min(least) <= _JOINS:
            joins_kind |= self._of_the_blamed(joins_service, joins_kind, chances[1])
        onsets = self._onsets(joins_service, joins_kind, chances[1])
        onset = min(onsets.values(), default=None)
        since = self._begin if onset is None else min(self._begin, onset)
        links = self._links_seen(since)
        return View(
            now_ms=self._now_ms,
            since_ms=since * shape.slot_ms,
            is_learning=not watch.usual(watch.services, self._begin, self._spans).is_enough,
            is_excess=min(least) <= shape.false_alarms / looks,
            is_going_on=min(now) <= _JOINS,
            onset_ms=None if onset is None else onset * shape.slot_ms,
            services=self._services_seen(onsets, since),
            kinds=self._kinds_seen(joins_kind, since),
            links=links,
            suspects=self._suspects(onsets, links, since),
        )

    def _chances(self, scale: int) -> tuple[_Reals, _Reals]:
        """Of services and of kinds, in so many windows."""
        watch = self._watch
        begin = self._now + 1 - scale * Shape.SLOTS
        services, kinds = (
            p_values(
                watch.apart_from(self._spans, counted, begin, self._now + 1),
                watch.usual(counted, begin, self._spans),
            )
            for counted in (watch.services, watch.kinds_once)
        )
        return services, kinds

    def _of_the_blamed(self, joins_service: _Flags, joins_kind: _Flags, chances: _Reals) -> _Flags:
        """Kinds of services that complain, or that those name: of an outage that is there, asked
        about among the service's own kinds only."""
        watch = self._watch
        keys = watch.kinds.table.keys()
        names = watch.services.table.keys()
        complain = {keys[row][0] for row in np.flatnonzero(joins_kind)}
        complain |= {names[row] for row in np.flatnonzero(joins_service)}
        counts = watch.links.between(self._begin, self._now + 1).sum(axis=1)
        links = zip(watch.links.table.keys(), counts, strict=True)
        asked = complain | {to for (of, to, _), times in links if times and of in complain}
        kinds_of = Counter(service for service, _ in keys)
        most = [
            _JOINS / (2 * len(Shape.SCALES) * kinds_of[service]) if service in asked else 0.0
            for service, _ in keys
        ]
        joins: _Flags = chances <= np.array(most)
        return joins

    def _onsets(self, joins_service: _Flags, joins_kind: _Flags, chances: _Reals) -> dict[str, int]:
        """The slot in which each service that complains began to: with the first of its kinds that
        does, or where none does by itself, as a whole."""
        watch = self._watch
        over = (until // self._shape.slot_ms + 1 for _, until in self._spans)
        first = max(watch.begins or 0, 0, *over)
        found: dict[str, int] = {}
        rows = np.flatnonzero(joins_kind)
        series = watch.kinds.between(first, self._now + 1)
        begin = self._now + 1 - series.shape[1]
        keys = watch.kinds.table.keys()
        for row in rows[np.argsort(chances[rows], kind="stable")][:_ONSETS]:
            service = keys[row][0]
            slot = begin + onset_slot(series[row])
            found[service] = min(slot, found.get(service, slot))
        series = watch.services.between(first, self._now + 1)
        for row, service in enumerate(watch.services.table.keys()):
            if joins_service[row] and service not in found:
                found[service] = begin + onset_slot(series[row])
        return found

    def _services_seen(self, onsets: dict[str, int], since: int) -> tuple[ServiceSeen, ...]:
        watch = self._watch
        counts = watch.services.between(since, self._now + 1).sum(axis=1)
        before = watch.usual(watch.services, since, self._spans)
        expected = before.expected(self._now + 1 - since)
        seen = [
            ServiceSeen(
                service=name,
                count=int(counts[row]),
                usual=round(float(expected[row]), 2),
                onset_ms=onsets[name] * self._shape.slot_ms if name in onsets else None,
            )
            for row, name in enumerate(watch.services.table.keys())
            if counts[row] or name in onsets
        ]
        return tuple(sorted(seen, key=lambda s: (-(s.count - s.usual), s.service)))

    def _kinds_seen(self, joins: _Flags, since: int) -> tuple[KindSeen, ...]:
        watch, slot_ms = self._watch, self._shape.slot_ms
        series = watch.kinds.between(since, self._now + 1)
        counts = series.sum(axis=1)
        before = watch.usual(watch.kinds, since, self._spans)
        expected = before.expected(self._now + 1 - since)
        surprises = surprise(counts, expected)
        seen = []
        for row, kind in enumerate(watch.kinds.table.keys()):
            if not counts[row]:
                continue
            slots = np.flatnonzero(series[row]) + since
            examples = watch.examples(kind)
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
        return tuple(sorted(seen, key=lambda k: (-k.surprise, k.first_ms, k.service)))

    def _links_seen(self, since: int) -> tuple[Link, ...]:
        watch = self._watch
        counts = watch.links.between(since, self._now + 1).sum(axis=1)
        before = watch.usual(watch.links, since, self._spans)
        expected = before.expected(self._now + 1 - since)
        links = [
            Link(
                source=of,
                target=to,
                by=by,
                count=int(counts[row]),
                usual=round(float(expected[row]), 2),
            )
            for row, (of, to, by) in enumerate(watch.links.table.keys())
            if counts[row]
        ]
        return tuple(sorted(links, key=lambda e: (-(e.count - e.usual), e.source, e.target, e.by)))

    def _suspects(
        self, onsets: dict[str, int], links: Sequence[Link], since: int
    ) -> tuple[tuple[str, float], ...]:
        if not onsets:
            return ()
        blame: Counter[tuple[str, str]] = Counter()
        for link in links:
            if link.source in onsets:
                blame[link.source, link.target] += max(0, round(link.count - link.usual))
        counts = self._watch.unlinked.between(since, self._now + 1).sum(axis=1)
        names = self._watch.unlinked.table.keys()
        own = {name: float(counts[row]) for row, name in enumerate(names) if name in onsets}
        return tuple((name, round(share, 4)) for name, share in suspects(onsets, own, blame))
