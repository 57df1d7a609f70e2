"""The evidence of a gate: what the ledger says was shown, joined with what the analyst says of it.

Everything in it follows from two logs, the ledger and the verdict topic, and it does not matter in
which order they are read, where a reader stops and goes on, or how often it reads the same thing:
blocks are told apart by their source offsets, verdicts by their place in the verdict topic. So
what was saved at least once is counted exactly once.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.block_evidence import BlockEvidence, StratumKey
from stream_filter.core.epochs import Epoch
from stream_filter.core.evidence import (
    NO_VERDICT,
    EpochEvidence,
    Stratum,
    evidence_watermark,
)
from stream_filter.core.evidence_page import (
    EVENTS,
    FOUND,
    JUDGED,
    SHOWN,
    Page,
    empty_page,
)
from stream_filter.core.oracle import Flaw, Judge, OracleVerdict

REMEMBERED_EVENTS = 300_000
"""Events that a verdict can still reach; of more, those shown longest ago are forgotten: they
stay as they are."""
WAITING_VERDICTS = 10_000
"""Verdicts that came before the block that their event is in."""
MOST_JUDGES = 1_000
"""Names are the analyst's own: of more, the rest are one."""
KEPT_EPOCHS = 2
"""Of each topic: a certificate speaks of the newest, or of the one before."""


@dataclass(slots=True)
class JudgeTally:
    """What one judge has said, and what it took."""

    verdicts: int = 0
    cost: float = 0.0
    tokens: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class Tally:
    """What became of the records of the verdict topic."""

    counted: int = 0
    flaws: Counter[Flaw] = field(default_factory=Counter)
    judges: dict[Judge, JudgeTally] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An event whose first verdict says that it is important: one that was forwarded, or one that
    the holdout has drawn."""

    epoch: Epoch
    is_drop: bool


class EvidenceBook:
    """Pages, what is needed to find an event's page, and the verdicts that wait for one."""

    def __init__(
        self,
        pages: Mapping[int, Page] | None = None,
        *,
        waiting: Iterable[OracleVerdict] = (),
        tally: Tally | None = None,
        remembered: int | None = REMEMBERED_EVENTS,
    ) -> None:
        """`pages`, `waiting`, `tally`: as they were saved; pages may be newer than the rest.
        `remembered`: events that a verdict can still reach; None: all."""
        self._remembered = remembered
        self.pages: dict[int, Page] = dict(sorted((pages or {}).items()))
        self.tally = tally or Tally()
        self.changed: set[int] = set()
        """Pages that are not saved as they are, and those that are no more."""
        self._open: dict[Epoch, int] = {}
        self._place: dict[bytes, tuple[int, int]] = {}
        self._next: dict[tuple[str, int], int] = {}
        self._reached_ms: dict[str, int] = {}
        self._totals: dict[int, tuple[Page, NDArray[np.int64]]] = {}
        self._effective: dict[int, tuple[Page, NDArray[np.int8]]] = {}
        self._strata: dict[StratumKey, int] = {}
        """All that any page has, numbered; and for each page, the numbers of its own."""
        self._numbered: dict[int, tuple[tuple[StratumKey, ...], NDArray[np.intp]]] = {}
        self._waiting: dict[bytes, list[OracleVerdict]] = {}
        for number, page in self.pages.items():
            self._open[page.epoch] = number
            self._remember(number, page, 0)
            for partition, (_, after) in page.covers.items():
                self._advance((page.epoch.topic, partition), after)
            self._reach(page.epoch.topic, page.last_ms)
        for verdict in waiting:
            self._wait(verdict)
        for event_id in [e for e in self._waiting if e in self._place]:
            self._join(event_id)

    @property
    def waiting(self) -> list[OracleVerdict]:
        return [verdict for verdicts in self._waiting.values() for verdict in verdicts]

    @property
    def topics(self) -> tuple[str, ...]:
        return tuple(sorted(self._reached_ms))

    def next_offset(self, topic: str, partition: int) -> int:
        """The first source offset of a partition that is not on a page."""
        return self._next.get((topic, partition), 0)

    def take_block(self, block: BlockEvidence) -> list[Found]:
        """Count a block of which nothing was counted before (`next_offset`). Verdicts that waited
        for its events are counted too: what they found."""
        epoch = block.epoch
        number = self._open.get(epoch)
        if number is None or not self.pages[number].has_room_for(block):
            number = max(self.pages, default=0) + 1
            self._open[epoch] = number
            self.pages[number] = empty_page(epoch)
            self._drop_old_epochs(epoch.topic)
        known = len(self.pages[number].shown.ids)
        self._replace(number, self.pages[number].with_block(block))
        self._remember(number, self.pages[number], known)
        self._advance((epoch.topic, block.partition), block.offsets[1])
        self._reach(epoch.topic, block.at_ms)
        if not self._waiting:
            return []
        ids = (row.tobytes() for row in block.ids)
        joined = [self._join(event_id) for event_id in ids if event_id in self._waiting]
        return [found for each in joined for found in each]

    def take_verdict(self, verdict: OracleVerdict) -> list[Found]:
        """Count a verdict, or why it does not count. What it found, if it is the first on its
        event and says important."""
        judges = self.tally.judges
        if verdict.judge not in judges and len(judges) >= MOST_JUDGES:
            verdict = replace(verdict, judge=Judge("(other)", verdict.judge.is_person))
        tally = judges.setdefault(verdict.judge, JudgeTally())
        tally.verdicts += 1
        tally.cost += verdict.cost
        tally.tokens += verdict.tokens
        tally.seconds += verdict.seconds
        if verdict.event_id not in self._place:
            self.tally.flaws[Flaw.UNKNOWN] += 1
            self._wait(verdict)
            return []
        return self._count(verdict)

    def refuse(self, flaw: Flaw) -> None:
        """A record of the verdict topic that is none."""
        self.tally.flaws[flaw] += 1

    def epochs(
        self, topic: str, policy_id: str, model_id: str, *, patience_ms: int
    ) -> list[EpochEvidence]:
        """The evidence of one topic under one entry of the policy and one pack, oldest first.
        Whoever waits for a verdict for longer than `patience_ms` counts against us."""
        numbers: dict[Epoch, list[int]] = defaultdict(list)
        for number, page in self.pages.items():
            epoch = page.epoch
            if (epoch.topic, epoch.policy_id, epoch.model_id) == (topic, policy_id, model_id):
                numbers[epoch].append(number)
        return [self._evidence(epoch, numbers[epoch], patience_ms) for epoch in sorted(numbers)]

    def all_epochs(self, topic: str, *, patience_ms: int) -> list[EpochEvidence]:
        """The evidence of one topic under whatever policy and pack, oldest first. What was
        forwarded without a pack, paused or degraded, is nobody's merit."""
        numbers: dict[Epoch, list[int]] = defaultdict(list)
        for number, page in self.pages.items():
            if page.epoch.topic == topic and page.epoch.model_id:
                numbers[page.epoch].append(number)
        ordered = sorted(numbers, key=lambda epoch: (epoch.opened_ms, numbers[epoch][0]))
        return [self._evidence(epoch, numbers[epoch], patience_ms) for epoch in ordered]

    def _evidence(self, epoch: Epoch, numbers: Sequence[int], patience_ms: int) -> EpochEvidence:
        pages = [self.pages[number] for number in numbers]
        effective = [self._verdicts(number, self.pages[number]) for number in numbers]
        shown_ms = np.concatenate([page.shown.at_ms for page in pages])
        verdict = np.concatenate(effective)
        reached_ms = self._reached_ms[epoch.topic] + 1
        watermark_ms = evidence_watermark(
            shown_ms, verdict, reached_ms=reached_ms, patience_ms=patience_ms
        )
        placed = [self._places(number, page) for number, page in zip(numbers, pages, strict=True)]
        totals = np.zeros((len(self._strata), 4), np.int64)
        for number, page, places in zip(numbers, pages, placed, strict=True):
            totals[places] += self._counts(number, page, watermark_ms)
        counts = {key: totals[n] for key, n in self._strata.items() if totals[n, EVENTS]}
        heard = [int(page.judged.at_ms.max()) for page in pages if len(page.judged.at_ms)]
        # Epochs follow each other at fixed times; this one may have been joined in the middle.
        began_ms = min(int(page.counted.at_ms.min(initial=epoch.closes_ms)) for page in pages)
        return EpochEvidence(
            topic=epoch.topic,
            policy_id=epoch.policy_id,
            model_id=epoch.model_id,
            opened_ms=began_ms,
            watermark_ms=max(watermark_ms, began_ms),
            is_closed=reached_ms > epoch.closes_ms,
            dropped=_strata(counts, is_drop=True),
            forwarded=_strata(counts, is_drop=False),
            pending=int(((verdict == NO_VERDICT) & (shown_ms >= watermark_ms)).sum()),
            last_verdict_ms=max(heard, default=None),
        )

    def _counts(self, number: int, page: Page, before_ms: int) -> NDArray[np.int64]:
        effective = self._verdicts(number, page)
        if page.last_ms >= before_ms:
            return page.counts(before_ms, effective)
        of, totals = self._totals.get(number, (None, None))
        if of is not page or totals is None:
            totals = page.counts(before_ms, effective)
            self._totals[number] = (page, totals)
        return totals

    def _places(self, number: int, page: Page) -> NDArray[np.intp]:
        """The numbers of a page's strata."""
        of, places = self._numbered.get(number, (None, None))
        if of is not page.strata or places is None:
            known = self._strata
            places = np.array([known.setdefault(key, len(known)) for key in page.strata], np.intp)
            self._numbered[number] = (page.strata, places)
        return places

    def _verdicts(self, number: int, page: Page) -> NDArray[np.int8]:
        """Worked out once a page, as long as nothing is added to it."""
        of, effective = self._effective.get(number, (None, None))
        if of is not page or effective is None:
            effective = page.effective()
            self._effective[number] = (page, effective)
        return effective

    def _count(self, verdict: OracleVerdict) -> list[Found]:
        number, event = self._place[verdict.event_id]
        page = self.pages[number]
        heard_at = page.heard_at(event, verdict)
        if heard_at is None and verdict.at_ms > page.epoch.closes_ms:
            self.tally.flaws[Flaw.LATE] += 1
            return []
        if heard_at not in {None, verdict.offset}:
            self.tally.flaws[Flaw.DUPLICATE] += 1
            return []
        self.tally.counted += 1
        if heard_at is None:
            page = page.with_verdict(event, verdict)
            self._replace(number, page)
        is_first = not (page.judged.offset[page.judged.event == event] < verdict.offset).any()
        stratum = page.strata[page.shown.stratum[event]]
        # A would-be drop that was sure to be seen is none of the holdout's draws: with it, the
        # drift watch would see more of them than its π allows.
        is_seen_for_certain = stratum.is_drop and stratum.probability >= 1.0
        if not (is_first and verdict.important) or is_seen_for_certain:
            return []
        return [Found(epoch=page.epoch, is_drop=stratum.is_drop)]

    def _join(self, event_id: bytes) -> list[Found]:
        verdicts = self._waiting.pop(event_id)
        self.tally.flaws[Flaw.UNKNOWN] -= len(verdicts)
        return [found for verdict in verdicts for found in self._count(verdict)]

    def _wait(self, verdict: OracleVerdict) -> None:
        self._waiting.setdefault(verdict.event_id, []).append(verdict)
        while len(self._waiting) > WAITING_VERDICTS:
            del self._waiting[next(iter(self._waiting))]

    def _replace(self, number: int, page: Page) -> None:
        self.pages[number] = page
        self.changed.add(number)

    def _remember(self, number: int, page: Page, known: int) -> None:
        for event, event_id in enumerate(page.shown.ids[known:], known):
            self._place[event_id.tobytes()] = (number, event)
        while self._remembered is not None and len(self._place) > self._remembered:
            del self._place[next(iter(self._place))]

    def _advance(self, source: tuple[str, int], after: int) -> None:
        self._next[source] = max(self._next.get(source, 0), after)

    def _reach(self, topic: str, at_ms: int) -> None:
        self._reached_ms[topic] = max(self._reached_ms.get(topic, 0), at_ms)

    def _drop_old_epochs(self, topic: str) -> None:
        """A closed epoch that no certificate speaks of any more."""
        epochs = {page.epoch for page in self.pages.values() if page.epoch.topic == topic}
        if len(epochs) <= KEPT_EPOCHS:
            return
        newest = sorted(epochs, key=lambda epoch: epoch.opened_ms)[-KEPT_EPOCHS:]
        old = epochs - set(newest)
        for number, page in list(self.pages.items()):
            if page.epoch in old and page.epoch.closes_ms < self._reached_ms.get(topic, 0):
                del self.pages[number]
                self._totals.pop(number, None)
                self._effective.pop(number, None)
                self._numbered.pop(number, None)
                self._open.pop(page.epoch, None)
                self.changed.add(number)
                for event_id in page.shown.ids:
                    self._place.pop(event_id.tobytes(), None)


def _strata(
    counts: Mapping[StratumKey, NDArray[np.int64]], *, is_drop: bool
) -> tuple[Stratum, ...]:
    return tuple(
        Stratum(
            probability=key.probability,
            events=int(row[EVENTS]),
            shown=int(row[SHOWN]),
            judged=int(row[JUDGED]),
            important=int(row[FOUND]),
            slice=key.slice,
        )
        for key, row in sorted(counts.items())
        if key.is_drop == is_drop
    )
