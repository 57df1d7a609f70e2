"""A page of the evidence: a stretch of one epoch, with what was shown in it and what was said of
that. All that is counted is counted from pages."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.block_evidence import BlockEvidence, StratumKey
from stream_filter.core.epochs import Epoch
from stream_filter.core.evidence import IMPORTANT, NO_VERDICT, effective_verdicts
from stream_filter.core.oracle import Judge, OracleVerdict

PAGE_EVENTS = 2_000
PAGE_STRATA = 1_000
PAGE_MS = 300_000
"""A page that has so many events or strata, or spans so much time, takes no further block."""
EVENTS, SHOWN, JUDGED, FOUND = range(4)
"""Columns of counts by stratum: all, those shown, those with a verdict, the important ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many events were decided when, shape (c,) each."""

    at_ms: NDArray[np.int64]
    stratum: NDArray[np.int16]
    events: NDArray[np.int64]
    folded: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The events that the analyst was shown, shape (n,) each."""

    ids: NDArray[np.uint8]
    """Shape (n, 16)."""
    at_ms: NDArray[np.int64]
    stratum: NDArray[np.int16]
    score: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdicts on them, in the order of the verdict topic; shape (v,) each."""

    event: NDArray[np.int32]
    """Index of the event in `Shown`."""
    judge: NDArray[np.int16]
    """Index in the page's judges."""
    repeat: NDArray[np.int32]
    important: NDArray[np.bool_]
    offset: NDArray[np.int64]
    at_ms: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Page:
    """Frozen: what is added makes a new one."""

    epoch: Epoch
    covers: Mapping[int, tuple[int, int]]
    """By source partition: the offsets [first, next) of the blocks counted here."""
    strata: tuple[StratumKey, ...]
    judges: tuple[Judge, ...]
    counted: Counted
    shown: Shown
    judged: Judged

    def has_room_for(self, block: BlockEvidence) -> bool:
        """Whether a block may be added: what a page covers of a partition is without a gap."""
        first = block.offsets[0]
        span_ms = block.at_ms - int(self.counted.at_ms.min(initial=block.at_ms))
        return (
            len(self.shown.at_ms) < PAGE_EVENTS
            and len(self.strata) < PAGE_STRATA
            and span_ms < PAGE_MS
            and self.covers.get(block.partition, (first, first))[1] == first
        )

    @property
    def last_ms(self) -> int:
        return int(self.counted.at_ms.max(initial=0))

    def with_block(self, block: BlockEvidence) -> "Page":
        index = {key: place for place, key in enumerate(self.strata)}
        place = np.array([index.setdefault(key, len(index)) for key in block.strata], np.int16)
        strata = self.strata if len(index) == len(self.strata) else tuple(index)
        first, after = block.offsets
        begins = self.covers.get(block.partition, (first, after))[0]
        shown = len(block.ids)
        return replace(
            self,
            covers={**self.covers, block.partition: (begins, after)},
            strata=strata,
            counted=_added(self.counted, block, place),
            shown=Shown(
                ids=np.concatenate((self.shown.ids, block.ids)),
                at_ms=np.append(self.shown.at_ms, np.full(shown, block.at_ms)),
                stratum=np.append(self.shown.stratum, place[block.stratum]),
                score=np.append(self.shown.score, block.score),
            ),
        )

    def heard_at(self, event: int, verdict: OracleVerdict) -> int | None:
        """The offset of the verdict that this one repeats, its own where it stands here already;
        None where it says something new."""
        if verdict.judge not in self.judges:
            return None
        same = (
            (self.judged.event == event)
            & (self.judged.judge == self.judges.index(verdict.judge))
            & (self.judged.repeat == verdict.repeat)
        )
        return int(self.judged.offset[same][0]) if same.any() else None

    def with_verdict(self, event: int, verdict: OracleVerdict) -> "Page":
        judges = self.judges
        if verdict.judge not in judges:
            judges = (*judges, verdict.judge)
        before = self.judged
        # One that waited for its event comes later than its place says.
        at = int(np.searchsorted(before.offset, verdict.offset))
        return replace(
            self,
            judges=judges,
            judged=Judged(
                event=np.insert(before.event, at, event),
                judge=np.insert(before.judge, at, judges.index(verdict.judge)),
                repeat=np.insert(before.repeat, at, verdict.repeat),
                important=np.insert(before.important, at, verdict.important),
                offset=np.insert(before.offset, at, verdict.offset),
                at_ms=np.insert(before.at_ms, at, verdict.at_ms),
            ),
        )

    def effective(self) -> NDArray[np.int8]:
        """The one verdict that counts for each event shown, shape (n,): see
        `effective_verdicts`."""
        of_people = np.array([judge.is_person for judge in self.judges], np.bool_)
        return effective_verdicts(
            len(self.shown.at_ms),
            event=self.judged.event.astype(np.int64),
            important=self.judged.important,
            by_person=of_people[self.judged.judge] if len(of_people) else self.judged.important,
        )

    def counts(self, before_ms: int, effective: NDArray[np.int8]) -> NDArray[np.int64]:
        """By stratum, shape (s, 4), of the events decided before a time. `effective`: as the method
        of that name gives it."""
        counts = np.zeros((len(self.strata), 4), np.int64)
        at = self.counted.at_ms < before_ms
        np.add.at(counts[:, EVENTS], self.counted.stratum[at], self.counted.events[at])
        np.add.at(counts[:, SHOWN], self.counted.stratum[at], self.counted.folded[at])
        behind = self.shown.at_ms < before_ms
        for column, of in (
            (SHOWN, behind),
            (JUDGED, behind & (effective != NO_VERDICT)),
            (FOUND, behind & (effective == IMPORTANT)),
        ):
            counts[:, column] += np.bincount(self.shown.stratum[of], minlength=len(self.strata))
        return counts


def _added(counted: Counted, block: BlockEvidence, place: NDArray[np.int16]) -> Counted:
    """With a block's counts, in strata `place` of the page; those of one time are added up."""
    same = np.flatnonzero(counted.at_ms == block.at_ms)
    at = np.full(1 + max(place.max(initial=0), counted.stratum[same].max(initial=0)), -1)
    at[counted.stratum[same]] = same
    is_new = at[place] < 0
    events, folded = counted.events.copy(), counted.folded.copy()
    events[at[place[~is_new]]] += block.events[~is_new]
    folded[at[place[~is_new]]] += block.folded[~is_new]
    return Counted(
        at_ms=np.append(counted.at_ms, np.full(int(is_new.sum()), block.at_ms)),
        stratum=np.append(counted.stratum, place[is_new]),
        events=np.append(events, block.events[is_new]),
        folded=np.append(folded, block.folded[is_new]),
    )


def empty_page(epoch: Epoch) -> Page:
    """A page of an epoch that nothing is on yet."""
    return Page(
        epoch=epoch,
        covers={},
        strata=(),
        judges=(),
        counted=Counted(
            at_ms=np.empty(0, np.int64),
            stratum=np.empty(0, np.int16),
            events=np.empty(0, np.int64),
            folded=np.empty(0, np.int64),
        ),
        shown=Shown(
            ids=np.empty((0, 16), np.uint8),
            at_ms=np.empty(0, np.int64),
            stratum=np.empty(0, np.int16),
            score=np.empty(0, np.float32),
        ),
        judged=Judged(
            event=np.empty(0, np.int32),
            judge=np.empty(0, np.int16),
            repeat=np.empty(0, np.int32),
            important=np.empty(0, np.bool_),
            offset=np.empty(0, np.int64),
            at_ms=np.empty(0, np.int64),
        ),
    )
