"""How many important events were dropped, from those found in the holdout: exact, at any moment.

If m important events were dropped, the number x found among the held-out ones is a sum of m
Bernoulli(π) draws made by the gate, whatever the stream does. Against alternatives mixed by
Beta(a, b), a = 1/2, b = 1/(2π), the likelihood ratio is a martingale of mean 1, and by Ville's
inequality, with probability ≥ 1 − α and for all m at once,

    log B(x + a, m − x + b) − log B(a, b) − x log π − (m − x) log(1 − π) < log(1/α)

(Robbins 1970; Howard, Ramdas, McAuliffe and Sekhon 2021). The left side falls in m up to
x/π − 1/2 and rises from there, so the m that satisfy it are an interval: both its ends hold
together with probability ≥ 1 − α, however often they are looked at.

The same holds of anything counted through a draw of known chance: where the analyst judges
only a random share of the forwarded events, `missed_lower` of those found important bounds
all the important ones among them from below.
"""

import math
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from stream_filter.core.checks import require_counts, require_open_share, require_probability

_Reals: TypeAlias = NDArray[np.float64]


def missed_upper(found: int, probability: float, *, failure_probability: float) -> float:
    """The most important events that may have been dropped, those found included.

    `found`: important events in the holdout, 0 or more. `probability`: π in (0, 1], the chance
    of each drop to be held out; at 1 what was found is all. `failure_probability`: α in (0, 1),
    shared with `missed_lower`. A whole number. Raises ValueError, naming what is wrong.
    """
    ratio = _LogRatio(found, probability, failure_probability)
    return float(ratio.last_inside() if ratio.chance < 1.0 else ratio.found)


def missed_lower(found: int, probability: float, *, failure_probability: float) -> float:
    """The fewest important events that were dropped, those found included: see `missed_upper`."""
    ratio = _LogRatio(found, probability, failure_probability)
    return float(ratio.first_inside() if ratio.chance < 1.0 else ratio.found)


def missed_bounds(
    found: ArrayLike, probability: float, *, failure_probability: float
) -> tuple[_Reals, _Reals]:
    """`missed_lower` and `missed_upper` of many counts at once, each of the shape of `found`."""
    ratio = _LogRatio(found, probability, failure_probability)
    if ratio.chance == 1.0:
        return ratio.found, ratio.found
    return ratio.first_inside(), ratio.last_inside()


def missed_upper_of_strata(
    found: Sequence[int], probabilities: Sequence[float], *, failure_probability: float
) -> float:
    """`missed_upper` where drops were held out with different chances: one bound for each
    stratum at α divided by their number, added up. No strata: nothing was dropped, 0."""
    if len(found) != len(probabilities):
        raise ValueError(
            f"found and probabilities differ in length: {len(found)} and {len(probabilities)}"
        )
    alpha = require_open_share("failure_probability", failure_probability)
    return sum(
        missed_upper(x, chance, failure_probability=alpha / len(found))
        for x, chance in zip(found, probabilities, strict=True)
    )


def recall_bound(kept: float, missed: float) -> float:
    """K / (K + M); 1 where there was nothing to find."""
    return kept / (kept + missed) if kept + missed else 1.0


def kept_needed(missed: float, recall: float) -> int:
    """The K from which K / (K + missed) is at `recall` or above."""
    needed = math.ceil(missed * recall / (1.0 - recall))
    while recall_bound(needed, missed) < recall:  # the last digit of the product
        needed += 1
    while needed and recall_bound(needed - 1, missed) >= recall:
        needed -= 1
    return needed


class _LogRatio:
    """The left side of the inequality for given x and π, as a function of m, and where it is
    below its limit log(1/α)."""

    def __init__(self, found: ArrayLike, probability: float, failure_probability: float) -> None:
        self.found = require_counts("found", found)
        self.chance = require_probability("probability", probability)
        self._limit = -math.log(require_open_share("failure_probability", failure_probability))
        if self.chance == 1.0:
            return
        a, b = 0.5, 0.5 / self.chance
        self._u, self._b = self.found + a, b
        # Whole, and where the ratio is least.
        self._middle = np.maximum(self.found, np.ceil(self.found / self.chance - 0.5)) + 0.0
        log_beta_ab = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
        self._constant = (
            _stirling_error(self._u)
            + a * math.log(self.chance)
            + b * math.log1p(-self.chance)
            + 0.5 * math.log(2.0 * math.pi)
            - log_beta_ab
        )

    def last_inside(self) -> _Reals:
        """The ratio rises beyond the middle: step out until it is over the limit, then halve."""
        step = np.ceil((np.sqrt(self._u) + self._limit) / self.chance)
        inside, outside = self._middle, self._middle + step
        while (short := self._at(outside) < self._limit).any():
            step = step * 2.0
            inside, outside = np.where(short, outside, inside), outside + np.where(short, step, 0.0)
        return self._halve(inside, outside)

    def first_inside(self) -> _Reals:
        """The ratio falls up to the middle, and no fewer than those found were there."""
        whole = self._at(self.found) < self._limit
        first = self._halve(self._middle, np.where(whole, self._middle, self.found))
        return np.where(whole, self.found, first)

    def _halve(self, inside: _Reals, outside: _Reals) -> _Reals:
        """The last whole number on the way from `inside`, where the ratio is under the limit, to
        `outside`, where it is not."""
        while True:
            middle = np.floor((inside + outside) / 2.0)
            # Not by their difference: beyond 2**53 whole numbers are further apart than 1.
            if ((middle == inside) | (middle == outside)).all():
                return inside
            is_inside = self._at(middle) < self._limit
            # A closed pair has its middle on one of its ends: neither end moves.
            inside = np.where(is_inside, middle, inside)
            outside = np.where(is_inside, outside, middle)

    def _at(self, total: _Reals) -> _Reals:
        """By Stirling's formula with its error kept apart: the difference of lgammas as it stands
        loses all digits where the counts are large."""
        u, v = self._u, total - self.found + self._b
        w = u + v
        # u against its expectation wπ: as log(1 + d) where they are close.
        expected = w * self.chance
        off = u - expected
        log_u = _log_quotient(u, expected, off)
        log_v = _log_quotient(v, w * (1.0 - self.chance), -off)
        errors = _stirling_error(v) - _stirling_error(w)
        return u * log_u + v * log_v - 0.5 * np.log(u / w * v) + errors + self._constant


def _log_quotient(value: _Reals, expected: _Reals, off: _Reals) -> _Reals:
    """log(value / expected), where off = value − expected."""
    relative = off / expected
    is_close = np.abs(relative) < 0.5
    if is_close.all():
        return np.log1p(relative)
    return np.where(is_close, np.log1p(np.where(is_close, relative, 0.0)), np.log(value / expected))


def _stirling_error(z: _Reals) -> _Reals:
    """lgamma(z) − ((z − 1/2) log z − z + log(2π)/2), to 1e-13, for z > 0."""
    is_small = z < 10.0
    if not is_small.any():
        inverse = 1.0 / z
        square = inverse * inverse
        series = 1 / 1260 - square * (1 / 1680 - square / 1188)
        return inverse * (1 / 12 - square * (1 / 360 - square * series))
    # lgamma(z) = lgamma(z + 10) − log z(z + 1)…(z + 9)
    near = np.where(is_small, z, 1.0)
    product = np.prod([near + i for i in range(10)], axis=0)
    shifted = (near + 9.5) * np.log(near + 10.0) - 10.0 - np.log(product)
    far = _stirling_error(np.where(is_small, z + 10.0, z))
    return np.where(is_small, far + shifted - (near - 0.5) * np.log(near), far)
