"""From labelled events to a threshold that keeps a promise: recall ≥ γ, but for a chance of δ.

Forwarding the scores at or above a threshold misses the important events below it. How many may
be missed is decided by what the labels can show:

*Uniform labels*, where every event had the same chance to be labelled. Of n positives sorted
upwards take the k-th, k the largest with P(Binomial(n, 1 − γ) ≤ k − 1) ≤ δ. That is the
distribution-free tolerance bound of Wilks (1941); ties only help. With fewer than
log δ / log γ positives there is no such k.

*Labels from production*, where events had different chances: forwarded ones 1, drops the
holdout's π. Two things must hold at a threshold. Of the events that have passed, at least γ of
the important ones would have been forwarded: `missed_upper` of the missed that were seen by
chance, plus the missed that were seen for certain; valid also if labels are looked at while they
come in. And the stream they came from has that recall: an exact binomial bound on each share of
missed events among the positives found. The first alone forgets that the events that have passed
are themselves a sample; thresholds above the one in force would then promise too much.

The thresholds are tried upwards and the last before the first that fails is taken. Recall only
falls on that way, so the first false promise is reached through true ones, and a single test
decides whether it is made: no correction for the number tried (fixed-sequence testing).
"""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_filter.core.binomial import binomial_cdf, binomial_upper
from stream_filter.core.bounds import missed_upper_of_strata, recall_bound
from stream_filter.core.checks import require_finite_column, require_labels, require_open_share

_CLOSE = 1.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A threshold and what is promised of it."""

    threshold: float
    """Forward scores at or above. Where nothing is certifiable: 0, or the lowest score if that
    is below 0; everything is forwarded."""
    certifiable: bool
    """Whether the labels suffice for a threshold with the wanted recall."""
    positives: int
    """Important events among the labels."""
    positives_needed: int
    """The least number of important events with which labels like these certify anything."""
    expected_forwarded_share: float
    """Share of all events, the unlabelled included, with a score at or above the threshold."""


def calibrate(
    scores: ArrayLike,
    important: ArrayLike,
    *,
    recall: float,
    failure_probability: float,
    probabilities: ArrayLike | None = None,
) -> Calibration:
    """Choose the highest threshold whose recall is at least `recall`, except with
    `failure_probability`.

    `scores`: shape (n,), finite; higher is more likely important. `important`: shape (n,),
    0 or 1. `probabilities`: shape (n,), in (0, 1], the chance under which each event came to be
    labelled; None promises that all had the same. Only their ratios matter: a random share of a
    stream is a stream. The order of the labels does not matter.

    Raises ValueError, naming what is wrong: an argument that is empty, NaN, of another length,
    not a label, not a probability, or outside (0, 1).
    """
    gamma = require_open_share("recall", recall)
    delta = require_open_share("failure_probability", failure_probability)
    score = require_finite_column("scores", scores)
    label = require_labels("important", important)
    _require_as_long("important", label, score)
    chance = np.ones(len(score))
    if probabilities is not None:
        chance = require_finite_column("probabilities", probabilities)
        _require_as_long("probabilities", chance, score)
        if not ((chance > 0.0) & (chance <= 1.0)).all():
            wrong = float(chance[(chance <= 0.0) | (chance > 1.0)][0])
            raise ValueError(f"probabilities: must be above 0 and at most 1, not {wrong!r}")
        chance = chance / chance.max()

    promise = _Promise(score, label, chance, gamma, delta)
    kept = promise.highest_kept()
    threshold = min(0.0, float(score.min())) if kept is None else kept
    weights = 1.0 / chance
    return Calibration(
        threshold=threshold,
        certifiable=kept is not None,
        positives=int(label.sum()),
        positives_needed=promise.positives_needed(),
        expected_forwarded_share=float(weights[score >= threshold].sum() / weights.sum()),
    )


def sample_threshold(scores: ArrayLike, important: ArrayLike, *, recall: float) -> float:
    """The highest threshold with that recall on the labels themselves: what is commonly done,
    and misses its target in about half of the streams. For comparison only."""
    gamma = require_open_share("recall", recall)
    score = require_finite_column("scores", scores)
    label = require_labels("important", important)
    _require_as_long("important", label, score)
    positive = np.sort(score[label])
    if not len(positive):
        return min(0.0, float(score.min()))
    return float(positive[math.floor(len(positive) * (1.0 - gamma) + 1e-9)])


class _Promise:
    """The positives of one calibration, ascending, and the test of a threshold on them."""

    def __init__(
        self,
        score: NDArray[np.float64],
        label: NDArray[np.bool_],
        chance: NDArray[np.float64],
        recall: float,
        failure_probability: float,
    ) -> None:
        chance = _stratify(chance)
        # Most thresholds leave a stratum as the one before left it.
        self._share_upper = cache(_share_upper)
        self._missed_upper = cache(_missed_upper)
        ascending = np.argsort(score[label], kind="stable")
        self._scores = score[label][ascending]
        self._chances = chance[label][ascending]
        self._recall = recall
        self._failure = failure_probability
        self._lowest = {float(c): float(score[chance == c].min()) for c in np.unique(chance)}
        """By chance of being seen, the lowest score seen under it: from which strata a threshold
        takes events is a matter of how labels were drawn, not of what they say."""

    def highest_kept(self) -> float | None:
        """The highest threshold that keeps the promise; None where none does."""
        candidates = np.unique(np.concatenate((self._scores, list(self._lowest.values()))))
        # Holds at `low`, fails at `high`: the bounds only grow on the way up.
        low, high = -1, len(candidates)
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._holds(candidates[middle]) else (low, middle)
        return float(candidates[low]) if low >= 0 else None

    def positives_needed(self) -> int:
        """The least number of positives with which nothing missed is enough."""
        nothing = dict.fromkeys(self._below(min(self._lowest.values())), 0)
        low, high = 0, 1
        while not self._shown(nothing, high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self._shown(nothing, middle) else (middle, high)
        return high

    def _holds(self, threshold: float) -> bool:
        below = self._chances[: np.searchsorted(self._scores, threshold)]  # ties are forwarded
        missed = {chance: int((below == chance).sum()) for chance in self._below(threshold)}
        return self._shown(missed, len(self._scores))

    def _below(self, threshold: float) -> list[float]:
        """The strata that events below a threshold come from. Those of the lowest score count
        always: the labels have none below it, the stream may."""
        lowest = min(self._lowest.values())
        return [c for c, score in self._lowest.items() if score < threshold or score == lowest]

    def _shown(self, missed: dict[float, int], positives: int) -> bool:
        """Whether so many found below a threshold, by chance of being seen, of so many found in
        all show that at most 1 − γ of the important events lie there."""
        return self._is_of_the_stream(missed, positives) and self._is_of_what_passed(
            missed, positives
        )

    def _is_of_the_stream(self, missed: dict[float, int], positives: int) -> bool:
        """An upper bound on each stratum's share at δ / strata; that of the last need not be
        found, only compared with the room that the others leave."""
        *others, last = missed
        each = self._failure / len(missed)
        room = 1.0 - self._recall
        for chance in others:
            room -= self._share_upper(missed[chance], positives, each, chance)
        if room <= 0.0:
            return False
        return binomial_cdf(missed[last], positives, _seen_share(room, last)) <= each

    def _is_of_what_passed(self, missed: dict[float, int], positives: int) -> bool:
        by_chance = tuple((chance, count) for chance, count in missed.items() if chance < 1.0)
        if not by_chance:
            return True  # all were seen, and the stream's bound is the stricter one
        bound = self._missed_upper(by_chance, self._failure)
        kept = positives - sum(missed.values())
        return recall_bound(kept, bound + missed.get(1.0, 0)) >= self._recall


def _share_upper(count: int, positives: int, failure_probability: float, chance: float) -> float:
    return _true_share(binomial_upper(count, positives, failure_probability), chance)


def _missed_upper(missed: tuple[tuple[float, int], ...], failure_probability: float) -> float:
    return missed_upper_of_strata(
        [count for _, count in missed],
        [chance for chance, _ in missed],
        failure_probability=failure_probability,
    )


def _stratify(chance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chances that are close become the least of them: a bound that holds for the least seen
    holds for all, and each stratum costs a share of δ. Certainty stays apart."""
    distinct, place = np.unique(chance, return_inverse=True)
    strata, at = distinct.copy(), 0
    while at < len(distinct):
        end = int(np.searchsorted(distinct, min(distinct[at] * _CLOSE, 1.0), side="right"))
        if distinct[at] < 1.0 and distinct[end - 1] == 1.0:
            end -= 1
        strata[at:end] = distinct[at]
        at = end
    return strata[place]


def _seen_share(share: float, chance: float) -> float:
    """Of the positives found, at least this share is missed where `share` of all is, and the
    missed are seen with `chance`, the others with at most 1."""
    return share * chance / (share * chance + 1.0 - share)


def _true_share(seen: float, chance: float) -> float:
    """The inverse of `_seen_share`."""
    return seen / (seen + chance * (1.0 - seen))


def _require_as_long(name: str, column: NDArray[np.generic], scores: NDArray[np.float64]) -> None:
    if len(column) != len(scores):
        raise ValueError(f"{name} and scores differ in length: {len(column)} and {len(scores)}")
