"""What another policy would have made of events that were decided: what changes, and what the
labels of the old policy say of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.evidence import IMPORTANT, NO_VERDICT, Stratum
from stream_filter.core.findings import Finding, assess_each

Counts = NDArray[np.int64]
Mask = NDArray[np.bool_]
Fate = tuple[Route, Reason]
_FATES = 1 << 7
UNSCORED = _FATES - 1
"""Stands for a fate that is not known: the ledger does not have the text's score."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supposed:
    """The decisions of another policy on n events of the ledger."""

    decisions: Decisions
    unscored: Mask
    """Shape (n,): the ledger has no score of the text, so what is decided of it says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supported:
    """What the labels say of a policy's recall, the holdout's events counted as dropped."""

    finding: Finding | None
    """None: there is no label that says anything."""
    events: int
    """That it speaks of."""
    unsupported: int
    """Events that the old policy dropped outside any holdout: nobody was asked, nor could be."""
    judged: int
    important: int


class Moves:
    """Counts by what became of events, and what would become of them."""

    def __init__(self) -> None:
        self._counts = np.zeros(_FATES * _FATES, np.int64)

    def add(self, old: Decisions, new: Supposed, counted: Mask | None = None) -> None:
        """Count the events of a batch; `counted`, shape (n,): only some of them."""
        after = np.where(new.unscored, UNSCORED, _fates(new.decisions))
        both = _fates(old).astype(np.int64) * _FATES + after
        both = both if counted is None else both[counted]
        self._counts += np.bincount(both, minlength=len(self._counts))

    def __iter__(self) -> Iterator[tuple[Fate, Fate | None, int]]:
        """Old fate, new one (None: not known), and how many; the most first."""
        for at in np.argsort(-self._counts, kind="stable").tolist():
            if not self._counts[at]:
                return
            old, new = divmod(at, _FATES)
            yield _fate(old), None if new == UNSCORED else _fate(new), int(self._counts[at])


def _fates(decisions: Decisions) -> NDArray[np.uint8]:
    return (decisions.route << np.uint8(4)) | decisions.reason


def _fate(code: int) -> Fate:
    return Route(code >> 4), Reason(code & 15)


def shown_to_analyst(old: Decisions) -> Mask:
    """Which events, shape (n,), a verdict can be of."""
    sent: Mask = (old.route == Route.FORWARD) | (old.route == Route.DEFER)
    return sent & (old.probability > 0)


class Labels:
    """Labels by the chance under which the old policy showed an event, by score, and by what the
    new one makes of it.

    Whether the new policy drops an event is asked before its holdout: the draws of both are made
    of the same hash, so that events which the new holdout forwards were seen more often.
    """

    def __init__(self, thresholds: NDArray[np.float32] | None = None) -> None:
        """`thresholds`, ascending: the `drop_below`s that are asked about; None: only the
        policy's own."""
        self._thresholds = np.empty(0, np.float32) if thresholds is None else thresholds
        self._bins = len(self._thresholds) + 2
        self._cells: dict[float, Counts] = {}
        """By chance: counts of shape (2, 2, bins, 4), flat: is a drop where its score is below the
        threshold, is one where it is not; bin; not shown, shown, judged, found important."""

    def add(
        self,
        old: Decisions,
        below: Supposed,
        above: Supposed,
        *,
        said: NDArray[np.int8],
        counted: Mask | None = None,
    ) -> None:
        """Count a batch. `below`, `above`: what becomes of events that score below the threshold,
        and of the others: twice the same where no threshold is asked about. `said`, shape (n,):
        the verdict on each, or NO_VERDICT."""
        speaks = (old.route != Route.DEAD_LETTER) & (above.decisions.route != Route.DEAD_LETTER)
        speaks &= ~below.unscored
        if counted is not None:
            speaks &= counted
        folded = old.route == Route.FOLD
        # Of what was not shown, and so forth: each state holds those after it.
        state = (shown_to_analyst(old) | folded).astype(np.int64)
        state += (state > 0) & (said != NO_VERDICT)
        state += (state > 1) & (said == IMPORTANT)
        row = state + 4 * bins_of(above.decisions.score, self._thresholds)
        row += (4 * self._bins) * _is_drop(above.decisions)
        row += (8 * self._bins) * _is_drop(below.decisions)
        chance = np.where(folded, np.float32(1.0), old.probability)[speaks]
        row = row[speaks]
        while len(row):
            # A policy has few chances: looking for them one by one sorts nothing.
            value = float(f"{chance[0]:.7g}")  # as the policy wrote it
            other = chance != chance[0]
            cell = self._cells.setdefault(value, np.zeros(16 * self._bins, np.int64))
            cell += np.bincount(row[~other], minlength=len(cell))
            row, chance = row[other], chance[other]

    def supported(self, *, failure_probability: float) -> list[Supported]:
        """For each threshold; one where none were asked about."""
        points = range(len(self._thresholds)) if len(self._thresholds) else [0]
        sides = [self._at(point) for point in points]
        found = assess_each(
            [(kept, dropped) for kept, dropped, _ in sides],
            failure_probability=failure_probability,
        )
        return [
            _supported(finding, [*kept, *dropped], unsupported)
            for finding, (kept, dropped, unsupported) in zip(found, sides, strict=True)
        ]

    def _at(self, point: int) -> tuple[list[Stratum], list[Stratum], int]:
        kept: list[Stratum] = []
        dropped: list[Stratum] = []
        unsupported = 0
        is_below = np.arange(self._bins) <= point
        for chance, cells in self._cells.items():
            # Events, shown, judged, important.
            cell = cells.reshape(2, 2, self._bins, 4)[..., ::-1].cumsum(-1)[..., ::-1]
            # Axis 0 says what becomes of events below the threshold, axis 1 of the others.
            sides = cell[:, :, is_below].sum((1, 2)) + cell[:, :, ~is_below].sum((0, 2))
            if chance == 0.0:
                unsupported += int(sides[:, 0].sum())
                continue
            for side, (events, shown, judged, important) in zip(
                (kept, dropped), sides.tolist(), strict=True
            ):
                stratum = Stratum(
                    probability=chance,
                    events=events,
                    shown=events if chance == 1.0 else shown,
                    judged=judged,
                    important=important,
                )
                side.append(stratum)
        return kept, dropped, unsupported


def _supported(finding: Finding, strata: Sequence[Stratum], unsupported: int) -> Supported:
    judged = sum(s.judged for s in strata)
    return Supported(
        finding=finding if judged else None,
        events=sum(s.events for s in strata),
        unsupported=unsupported,
        judged=judged,
        important=sum(s.important for s in strata),
    )


def _is_drop(decisions: Decisions) -> Mask:
    """Would-be drops, as the evidence counts them (`block_evidence`)."""
    dropped: Mask = (decisions.verdict == Verdict.DROP) & (decisions.reason == Reason.SHADOW)
    dropped |= (decisions.route == Route.DISCARD) | (decisions.reason == Reason.HOLDOUT)
    return dropped


def bins_of(score: NDArray[np.float32], thresholds: NDArray[np.float32]) -> NDArray[np.intp]:
    """How many thresholds are at or below each score, shape (n,): it is dropped by those from that
    place on. Without a score: by none."""
    if not len(thresholds):
        return np.zeros(score.shape, np.intp)
    bins = np.searchsorted(thresholds, score, side="right")
    return np.where(np.isnan(score), len(thresholds) + 1, bins)


class Sweep:
    """How many events each of many thresholds forwards, from two runs of the same events: one in
    which every score is below the threshold, and one in which none is.

    A text has one score, so novelty and folds of a text are those of one run or the other.
    """

    def __init__(self, thresholds: NDArray[np.float32]) -> None:
        self._thresholds = thresholds
        self._below = np.zeros(len(thresholds) + 2, np.int64)
        self._above = np.zeros(len(thresholds) + 2, np.int64)

    def add(self, below: Supposed, above: Supposed, counted: Mask | None = None) -> None:
        bins = bins_of(above.decisions.score, self._thresholds)
        for totals, run in ((self._below, below), (self._above, above)):
            goes = (run.decisions.route == Route.FORWARD) & ~run.unscored
            goes = goes if counted is None else goes & counted
            np.add(totals, np.bincount(bins[goes], minlength=len(totals)), out=totals)

    @property
    def forwarded(self) -> list[int]:
        """By threshold."""
        below = np.cumsum(self._below)
        above = self._above.sum() - np.cumsum(self._above)
        return [int(n) for n in (below + above)[: len(self._thresholds)]]
