"""Signs that a certificate no longer speaks of the stream.

The sure one needs verdicts. Of the important events found, the chance that one comes from the
holdout is p = (1 − R) π / (R + (1 − R) π): a Bernoulli stream that does not depend on how many
are important. Against R ≥ γ stands a Shiryaev–Roberts e-detector (Shin, Ramdas and Rinaldo 2024):

    S ← (1 + S) · q(z) / p0(z)        z: whether the event came from the holdout

for the alternatives q = 2, 5, 20, 100 × p0, averaged; the alarm is up at S ≥ 1/α. While R ≥ γ, S
less the number of events is a supermartingale, so on average at least 1/α important events pass
before a false alarm, whatever the order of the stream.

Two cheap ones need none: how the scores are spread, and how many texts were never seen before.
Neither can see a drift of the important events alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_filter.core.checks import require_counts, require_open_share, require_probability

_ALTERNATIVES = np.array([2.0, 5.0, 20.0, 100.0])
_LIKELIEST = 0.99
"""No alternative is taken to be likelier: one that excludes an event dies of it."""
_CEILING = 1e300
"""Sums stop here instead of overflowing: far beyond any alarm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallWatch:
    """The test of R ≥ γ; frozen, its sums are a `DriftState`."""

    recall: float
    """γ, in (0, 1)."""
    holdout: float
    """π, in (0, 1). Where it differs between events, the greatest: p is no greater then."""
    failure_probability: float
    """α, in (0, 1): on average 1/α important events to a false alarm."""
    judged_share: float = 1.0
    """The share of the forwarded events that the analyst is asked about, in (0, 1]. The smallest
    where it differs."""

    def __post_init__(self) -> None:
        require_open_share("recall", self.recall)
        require_open_share("holdout", self.holdout)
        require_open_share("failure_probability", self.failure_probability)
        require_probability("judged_share", self.judged_share)

    @property
    def holdout_share(self) -> float:
        """p0: the greatest chance, under R ≥ γ, that an important event found was held out."""
        held_out = (1.0 - self.recall) * self.holdout
        return held_out / (self.recall * self.judged_share + held_out)

    def advance(
        self, sums: NDArray[np.float64], from_holdout: NDArray[np.bool_]
    ) -> NDArray[np.float64]:
        """One step of many streams: sums of shape (…, alternatives), one important event each of
        shape (…)."""
        p0 = self.holdout_share
        q = np.minimum(_ALTERNATIVES * p0, max(_LIKELIEST, p0))
        ratio = np.where(from_holdout[..., None], q / p0, (1.0 - q) / (1.0 - p0))
        return np.minimum((1.0 + sums) * ratio, _CEILING)

    def alarms(self, sums: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether the alarm is up; from shape (…, alternatives) to shape (…)."""
        return np.asarray(sums.mean(axis=-1) >= 1.0 / self.failure_probability)

    def start(self, *streams: int) -> NDArray[np.float64]:
        """Sums before the first event, shape (*streams, alternatives)."""
        return np.zeros((*streams, len(_ALTERNATIVES)))


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftState:
    """Where the watch of one topic stands. A new epoch of evidence, after a recalibration,
    begins with a new one."""

    sums: tuple[float, ...] = (0.0,) * len(_ALTERNATIVES)
    events: int = 0
    """Important events seen."""
    alarmed_at: int | None = None
    """The event that raised the alarm, counted from 1. It stays up."""

    @property
    def is_alarmed(self) -> bool:
        return self.alarmed_at is not None


def update(state: DriftState, from_holdout: Iterable[bool], *, watch: RecallWatch) -> DriftState:
    """The state after more important events, in the order in which their verdicts came."""
    sums = np.array(state.sums)
    events, alarmed_at = state.events, state.alarmed_at
    for held_out in from_holdout:
        sums = watch.advance(sums, np.asarray(held_out, np.bool_))
        events += 1
        if alarmed_at is None and watch.alarms(sums):
            alarmed_at = events
    return DriftState(sums=tuple(map(float, sums)), events=events, alarmed_at=alarmed_at)


def spread_shift(reference: ArrayLike, current: ArrayLike, *, failure_probability: float) -> float:
    """How far two histograms are apart for certain: a lower bound, at 1 − failure_probability,
    on the total variation distance between what they are samples of. 0 … 1; 0 where chance
    explains it.

    `reference`, `current`: counts by bin, of equal shape (bins,), each with an event at least.

    Chance alone moves the distance of samples of n and m from 0 by √(bins · (1/n + 1/m)) / 2 on
    average at most, and beyond its average by t with probability exp(−2 t² / (1/n + 1/m))
    (McDiarmid 1989). Holds for independent events: streams come in bursts, so compare what is
    left with a limit, not with 0.

    Raises ValueError for counts that are not, shapes that differ, or an empty histogram.
    """
    before, now = require_counts("reference", reference), require_counts("current", current)
    delta = require_open_share("failure_probability", failure_probability)
    if before.ndim != 1 or before.shape != now.shape:
        raise ValueError(f"reference and current differ in shape: {before.shape} and {now.shape}")
    for name, counts in (("reference", before), ("current", now)):
        if not counts.sum():
            raise ValueError(f"{name}: is empty")
    distance = 0.5 * float(np.abs(before / before.sum() - now / now.sum()).sum())
    noise = 1.0 / before.sum() + 1.0 / now.sum()
    by_chance = 0.5 * np.sqrt(len(before) * noise) + np.sqrt(-np.log(delta) / 2.0 * noise)
    return max(distance - float(by_chance), 0.0)


def score_histogram(scores: NDArray[np.floating], *, bins: int = 20) -> NDArray[np.int64]:
    """Counts of scores in equal steps of [0, 1], shape (bins,); NaN, no score, is left out."""
    counts, _ = np.histogram(scores[~np.isnan(scores)], bins=bins, range=(0.0, 1.0))
    return counts.astype(np.int64)


def novelty_growth(
    *,
    reference_novel: int,
    reference_events: int,
    novel: int,
    events: int,
    failure_probability: float,
) -> float:
    """By how much the share of texts never seen before has grown for certain, 0 … 1."""
    if novel * reference_events <= reference_novel * events:
        return 0.0
    return spread_shift(
        [reference_events - reference_novel, reference_novel],
        [events - novel, novel],
        failure_probability=failure_probability,
    )
