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
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def missed_upper(found: int, probability: float, *, failure_probability: float) -> float:
    """The most important events that may have been dropped, those found included.

    `found`: important events in the holdout, 0 or more. `probability`: π in (0, 1], the chance
    of each drop to be held out; at 1 what was found is all. `failure_probability`: α in (0, 1),
    shared with `missed_lower`. A whole number. Raises ValueError, naming what is wrong.
    """
    return float(missed_bounds(found, probability, failure_probability=failure_probability)[1])


def missed_lower(found: int, probability: float, *, failure_probability: float) -> float:
    """The fewest important events that were dropped, those found included: see `missed_upper`."""
    return float(missed_bounds(found, probability, failure_probability=failure_probability)[0])


def missed_bounds(
    found: ArrayLike, probability: float, *, failure_probability: float
) -> tuple[_Reals, _Reals]:
    """`missed_lower` and `missed_upper` of many counts at once, each of the shape of `found`."""
    counts = require_counts("found", found)
    chance = require_probability("probability", probability)
    alpha = require_open_share("failure_probability", failure_probability)
    if chance == 1.0:
        return counts, counts
    limit = -math.log(alpha)
    lowest = np.maximum(counts, np.ceil(counts / chance - 0.5)) + 0.0  # no -0.0

    # Upper: the ratio rises beyond `lowest`. Step out until it is over the limit, then halve.
    step = np.ceil((np.sqrt(counts + 1.0) + limit) / chance)
    inside, outside = lowest, lowest + step
    while (short := _log_ratio(counts, outside, chance) < limit).any():
        step = step * 2.0
        inside, outside = np.where(short, outside, inside), outside + np.where(short, step, 0.0)
    upper = _halve(counts, inside, outside, chance, limit)

    # Lower: the ratio falls up to `lowest`, and no fewer than those found were there.
    whole = _log_ratio(counts, counts, chance) < limit
    lower = _halve(counts, lowest, np.where(whole, lowest, counts), chance, limit)
    return np.where(whole, counts, lower), upper


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


def _halve(counts: _Reals, inside: _Reals, outside: _Reals, chance: float, limit: float) -> _Reals:
    """The last whole number on the way from `inside`, where the ratio is under the limit, to
    `outside`, where it is not."""
    while (np.abs(outside - inside) > 1.0).any():
        middle = np.floor((inside + outside) / 2.0)
        is_inside = _log_ratio(counts, middle, chance) < limit
        # A closed pair has its middle on one of its ends: neither end moves.
        inside = np.where(is_inside, middle, inside)
        outside = np.where(is_inside, outside, middle)
    return inside


def _log_ratio(found: _Reals, total: _Reals, chance: float) -> _Reals:
    """The left side of the inequality.

    By Stirling's formula with its error kept apart: the difference of lgammas as it stands
    loses all digits where the counts are large.
    """
    a, b = 0.5, 0.5 / chance
    u, v, w = found + a, total - found + b, total + a + b
    # u against its expectation wπ: as log(1 + d) where they are close.
    off = found + a - chance * w
    log_u = _log_quotient(u, w * chance, off)
    log_v = _log_quotient(v, w * (1.0 - chance), -off)
    log_beta_ab = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    constant = a * math.log(chance) + b * math.log1p(-chance) + _HALF_LOG_TWO_PI - log_beta_ab
    errors = _stirling_error(u) + _stirling_error(v) - _stirling_error(w)
    return u * log_u + v * log_v - 0.5 * np.log(u / w * v) + errors + constant


def _log_quotient(value: _Reals, expected: _Reals, off: _Reals) -> _Reals:
    """log(value / expected), where off = value − expected."""
    relative = off / expected
    is_close = np.abs(relative) < 0.5
    return np.where(is_close, np.log1p(np.where(is_close, relative, 0.0)), np.log(value / expected))


def _stirling_error(z: _Reals) -> _Reals:
    """lgamma(z) − ((z − 1/2) log z − z + log(2π)/2), to 1e-13, for z > 0."""
    is_small = z < 10.0
    far = np.where(is_small, z + 10.0, z)
    inverse = 1.0 / far
    square = inverse * inverse
    series = inverse * (
        1 / 12 - square * (1 / 360 - square * (1 / 1260 - square * (1 / 1680 - square / 1188)))
    )
    if not is_small.any():
        return series
    near = np.where(is_small, z, 1.0)
    # lgamma(z) = lgamma(z + 10) − log z(z + 1)…(z + 9)
    product = np.prod([near + i for i in range(10)], axis=0)
    shifted = (near + 9.5) * np.log(near + 10.0) - 10.0 - np.log(product)
    return np.where(is_small, series + shifted - (near - 0.5) * np.log(near), series)
