"""How well scores tell important events from others: the figures of an evaluation.

All are of events, weighted: an event stands for `weights` events of the stream. Intervals are by
the bootstrap over groups: equal texts fall together, so events are no independent draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BINS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """Events with scores in one tenth of [0, 1]."""

    share: float
    mean_score: float
    important_share: float


def auc(scores: Floats, important: NDArray[np.bool_], weights: Floats) -> float:
    """Chance that an important event has the higher score than another; ties count half (Mann and
    Whitney, 1947). All of shape (n,). NaN where there is one class only."""
    order = np.argsort(scores, kind="stable")
    return float(_auc_of_sorted(_runs(scores[order]), important[order], weights[order]))


def auc_interval(
    scores: Floats,
    important: NDArray[np.bool_],
    weights: Floats,
    groups: NDArray[np.int64],
    *,
    seed: int,
    rounds: int = 300,
) -> Interval:
    """The AUC with the 2.5 and 97.5 % quantiles of a bootstrap over `groups`, shape (n,)."""
    order = np.argsort(scores, kind="stable")
    runs, label, weight = _runs(scores[order]), important[order], weights[order]
    member = np.unique(groups, return_inverse=True)[1][order]
    rng = np.random.default_rng(seed)
    count = int(member.max()) + 1
    found = [
        _auc_of_sorted(
            runs, label, weight * rng.multinomial(count, np.full(count, 1 / count))[member]
        )
        for _ in range(rounds)
    ]
    low, high = np.nanquantile(found, (0.025, 0.975)) if np.isfinite(found).any() else (np.nan,) * 2
    value = _auc_of_sorted(runs, label, weight)
    return Interval(value=value, low=float(low), high=float(high))


def forwarded_share(
    scores: Floats, important: NDArray[np.bool_], weights: Floats, recall: float
) -> float:
    """Share of all events that is forwarded at the highest threshold that keeps `recall` of the
    important ones: what that recall costs. NaN without important events."""
    curve = _curve(scores, important, weights)
    at = curve.reaching(recall)
    return float("nan") if at is None else float(curve.forwarded[at] / curve.forwarded[-1])


def threshold_at(
    scores: Floats, important: NDArray[np.bool_], weights: Floats, recall: float
) -> float:
    """The highest score that, as a threshold, keeps `recall` of the important events. NaN without
    such events."""
    curve = _curve(scores, important, weights)
    at = curve.reaching(recall)
    return float("nan") if at is None else float(curve.scores[at])


def precision_recall(
    scores: Floats, important: NDArray[np.bool_], weights: Floats
) -> tuple[Floats, Floats]:
    """Recall and precision at each distinct score as the threshold, from the highest."""
    curve = _curve(scores, important, weights)
    return curve.kept / curve.kept[-1], curve.kept / curve.forwarded


def reliability(
    scores: Floats, important: NDArray[np.bool_], weights: Floats
) -> list[ReliabilityBin]:
    """For each tenth of [0, 1] that holds events: what the scores say and what is true."""
    tenth = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    mass, said, true = (
        np.bincount(tenth, weights * column, _BINS)
        for column in (np.ones(len(scores)), scores, important.astype(np.float64))
    )
    return [
        ReliabilityBin(
            share=float(mass[at] / weights.sum()),
            mean_score=float(said[at] / mass[at]),
            important_share=float(true[at] / mass[at]),
        )
        for at in np.flatnonzero(mass).tolist()
    ]


def calibration_error(scores: Floats, important: NDArray[np.bool_], weights: Floats) -> float:
    """Expected calibration error: by tenths, |mean score - share of important|, weighted by how
    many events are there."""
    return sum(
        each.share * abs(each.mean_score - each.important_share)
        for each in reliability(scores, important, weights)
    )


def _runs(ordered: Floats) -> NDArray[np.int64]:
    """Where each run of equal scores begins, in scores sorted upwards."""
    return np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))


def _auc_of_sorted(runs: NDArray[np.int64], important: NDArray[np.bool_], weights: Floats) -> float:
    positive = np.add.reduceat(weights * important, runs)
    negative = np.add.reduceat(weights * ~important, runs)
    pairs = positive.sum() * negative.sum()
    if not pairs:
        return float("nan")
    below = np.cumsum(negative) - negative / 2
    return float((positive * below).sum() / pairs)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Curve:
    """What each distinct score keeps as the threshold, downwards. All of one shape."""

    scores: Floats
    kept: Floats
    """Weight of the important events at or above it."""
    forwarded: Floats
    """Weight of all of them."""

    def reaching(self, recall: float) -> int | None:
        """The place of the highest score that keeps `recall`; None without important events."""
        if not self.kept[-1]:
            return None
        # Sums of weights are not exact: half a millionth of an event is none.
        enough = np.flatnonzero(self.kept >= recall * self.kept[-1] * (1 - 1e-9))
        return int(enough[0])


def _curve(scores: Floats, important: NDArray[np.bool_], weights: Floats) -> _Curve:
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
    return _Curve(
        scores=ordered[last],
        kept=np.cumsum(weights[order] * important[order])[last],
        forwarded=np.cumsum(weights[order])[last],
    )
