"""What the gate decided, held against what the generator knows.

The truth never travels in an event: it is joined here, by partition and offset, from the
producer's acknowledgements, with the decisions that the ledger tells. Either may come first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route
from stream_filter.demo.generator import GeneratedEvent

_NOTHING = -1
_FIRST_CAPACITY = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Of important events that were decided, how many got through, for whatever reason."""

    important: int
    forwarded: int

    @property
    def value(self) -> float | None:
        """In [0, 1]; None where nothing important has been decided yet."""
        return self.forwarded / self.important if self.important else None


@dataclass(frozen=True, slots=True, kw_only=True)
class KindCount:
    """Decided events of one kind, by route and reason."""

    kind: str
    important: bool
    outcomes: Mapping[tuple[Route, Reason], int]

    @property
    def family(self) -> str:
        return self.kind.partition("/")[0]

    def routed(self, route: Route) -> int:
        return sum(count for (to, _), count in self.outcomes.items() if to is route)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The state of the game at one moment. Every event counts once, however often it is decided."""

    produced: int
    """Acknowledged by the broker."""
    decided: int
    undecided: int
    """Acknowledged and in no ledger block yet: the lag as seen from outside."""
    outcomes: Mapping[tuple[Route, Reason], int]
    kinds: tuple[KindCount, ...]

    def routed(self, route: Route) -> int:
        return sum(count for (to, _), count in self.outcomes.items() if to is route)

    def reasons(self, route: Route) -> dict[str, int]:
        """Counts by reason, the most frequent first."""
        counts = {reason.label: n for (to, reason), n in self.outcomes.items() if to is route}
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @property
    def forwarded_share(self) -> float | None:
        """Of all that was decided, in [0, 1]."""
        return self.routed(Route.FORWARD) / self.decided if self.decided else None

    def recall(self, family: str | None = None) -> Recall:
        """Over all important events, or those of one family."""
        counted = [k for k in self.kinds if k.important and family in (None, k.family)]
        return Recall(
            important=sum(sum(k.outcomes.values()) for k in counted),
            forwarded=sum(k.routed(Route.FORWARD) for k in counted),
        )

    @property
    def precision(self) -> float | None:
        """Share of important events among those that the gate chose to forward: not the holdout,
        nor what it forwards because it does not act."""
        useful = chosen = 0
        for kind in self.kinds:
            for (route, reason), count in kind.outcomes.items():
                if route is Route.FORWARD and reason not in (Reason.HOLDOUT, Reason.SHADOW):
                    chosen += count
                    useful += count if kind.important else 0
        return useful / chosen if chosen else None


@dataclass(slots=True)
class _Partition:
    """Columns by offset, grown as needed; `_NOTHING` where nothing is known yet."""

    kind: NDArray[np.int16] = field(
        default_factory=lambda: np.full(_FIRST_CAPACITY, _NOTHING, np.int16)
    )
    outcome: NDArray[np.int16] = field(
        default_factory=lambda: np.full(_FIRST_CAPACITY, _NOTHING, np.int16)
    )

    def reserve(self, size: int) -> None:
        capacity = len(self.kind)
        if size <= capacity:
            return
        more = np.full(max(capacity, size - capacity), _NOTHING, np.int16)
        self.kind = np.concatenate([self.kind, more])
        self.outcome = np.concatenate([self.outcome, more])


class Scoreboard:
    """Joins truth and decisions of one source topic. Not thread-safe."""

    def __init__(self) -> None:
        self._partitions: dict[int, _Partition] = {}
        self._codes: dict[str, int] = {}
        self._important: list[bool] = []
        self._table = np.zeros((0, len(Route) * len(Reason)), np.int64)
        self._outcomes = np.zeros(len(Route) * len(Reason), np.int64)
        self._produced = 0
        self._produced_and_decided = 0
        self._payloads: dict[tuple[int, int], bytes] = {}
        self._missed: dict[str, bytes] = {}
        self._last_missed: bytes | None = None

    def acknowledge(
        self, partition: int, first_offset: int, events: Sequence[GeneratedEvent]
    ) -> None:
        """The broker has these events at `first_offset` and the offsets that follow."""
        columns = self._columns(partition, first_offset + len(events))
        part = slice(first_offset, first_offset + len(events))
        kinds = np.fromiter((self._code(event) for event in events), np.int16, len(events))
        columns.kind[part] = kinds
        self._produced += len(events)
        for offset, event in enumerate(events, first_offset):
            if event.important:
                self._payloads[partition, offset] = event.value
        known = columns.outcome[part] != _NOTHING
        self._produced_and_decided += int(known.sum())
        self._join(partition, np.flatnonzero(known) + first_offset)

    def decide(self, partition: int, offsets: NDArray[np.int64], decisions: Decisions) -> None:
        """A block of the ledger. What was decided before keeps its first decision."""
        if not len(offsets):
            return
        columns = self._columns(partition, int(offsets[-1]) + 1)
        fresh = columns.outcome[offsets] == _NOTHING
        offsets = offsets[fresh]
        outcome = decisions.route[fresh].astype(np.int16) * len(Reason) + decisions.reason[fresh]
        columns.outcome[offsets] = outcome
        self._outcomes += np.bincount(outcome, minlength=len(self._outcomes))
        known = offsets[columns.kind[offsets] != _NOTHING]
        self._produced_and_decided += len(known)
        self._join(partition, known)

    def kind_at(self, partition: int, offset: int) -> tuple[str, bool] | None:
        """An event's kind and whether it is important; None while nobody knows."""
        columns = self._partitions.get(partition)
        if columns is None or offset >= len(columns.kind) or columns.kind[offset] == _NOTHING:
            return None
        code = int(columns.kind[offset])
        return self._names()[code], self._important[code]

    @property
    def last_missed(self) -> bytes | None:
        """The payload of the important event that was discarded last."""
        return self._last_missed

    @property
    def missed_examples(self) -> Mapping[str, bytes]:
        """By kind, the payload of an important event that was discarded."""
        return self._missed

    def standing(self) -> Standing:
        """The state now."""
        names = self._names()
        return Standing(
            produced=self._produced,
            decided=int(self._outcomes.sum()),
            undecided=self._produced - self._produced_and_decided,
            outcomes=_labelled(self._outcomes),
            kinds=tuple(
                KindCount(kind=names[code], important=self._important[code], outcomes=_labelled(n))
                for code, n in enumerate(self._table)
                if n.any()
            ),
        )

    def _join(self, partition: int, offsets: NDArray[np.int64]) -> None:
        """Count events of which both sides are known; each comes here once."""
        columns = self._partitions[partition]
        kinds, outcomes = columns.kind[offsets], columns.outcome[offsets]
        np.add.at(self._table, (kinds, outcomes), 1)
        important = np.array(self._important, np.bool_)[kinds]
        for offset, outcome in zip(
            offsets[important].tolist(), outcomes[important].tolist(), strict=True
        ):
            payload = self._payloads.pop((partition, offset))
            if outcome // len(Reason) == Route.DISCARD:
                self._last_missed = payload
                self._missed.setdefault(self._names()[columns.kind[offset]], payload)

    def _columns(self, partition: int, size: int) -> _Partition:
        columns = self._partitions.setdefault(partition, _Partition())
        columns.reserve(size)
        return columns

    def _code(self, event: GeneratedEvent) -> int:
        code = self._codes.get(event.kind)
        if code is None:
            code = self._codes[event.kind] = len(self._codes)
            self._important.append(event.important)
            self._table = np.vstack([self._table, np.zeros_like(self._outcomes)])
        return code

    def _names(self) -> list[str]:
        return list(self._codes)


def _labelled(counts: NDArray[np.int64]) -> dict[tuple[Route, Reason], int]:
    return {
        (Route(code // len(Reason)), Reason(code % len(Reason))): int(counts[code])
        for code in np.flatnonzero(counts).tolist()
    }
