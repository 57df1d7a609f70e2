"""When a certificate will be reached: the odds of a count of misses staying under its bound."""

import math

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.bounds import kept_needed, missed_bounds

_FARTHEST = 2_000
"""Misses to look ahead for. Whoever needs more runs so close to the target that the forecast
would be a guess."""
_NEGLIGIBLE = 1e-12
_LEAST_HOLDOUT, _MOST_HOLDOUT, _STEP = 1e-7, 0.5, 1.05


def kept_until_certified(
    *,
    recall: float,
    failure_probability: float,
    holdout: float,
    true_recall: float,
    kept: int = 0,
    found: int = 0,
    quantile: float = 0.5,
) -> int | None:
    """K, the important events forwarded, by which the lower bound has been at `recall` once,
    with probability `quantile`; None where that is not in sight.

    `holdout`: π, in (0, 1]. `true_recall`: at which the gate runs, in (0, 1]. `kept`, `found`:
    K and x so far.

    With each important event forwarded, Poisson((1 − R)/R · π) more are found in the holdout. At
    x found the bound needs K_x = γ/(1 − γ) · M_upper(x) events. So the certificate is first
    reached at one of the K_x, when no more than x have been found by then; the chance of each
    follows from that of the one before.
    """
    per_kept = (1.0 - true_recall) / true_recall * holdout
    ahead = np.arange(found, found + _FARTHEST)
    _, upper = missed_bounds(ahead, holdout, failure_probability=failure_probability)
    at, reached = kept, 0.0
    waiting = np.ones(1)  # chance of found, found + 1, … without a certificate so far
    for most in upper:
        needed = max(kept_needed(float(most), recall), at)
        waiting = np.convolve(waiting, _poisson(per_kept * (needed - at)))
        reached, waiting, at = reached + float(waiting[0]), waiting[1:], needed
        if reached >= quantile:
            return at
        likely = np.flatnonzero(waiting > _NEGLIGIBLE)
        if not len(likely):
            return None
        waiting = waiting[: likely[-1] + 1]
    return None


def least_holdout(
    *, recall: float, failure_probability: float, true_recall: float, kept: float
) -> float | None:
    """The least π, up to 0.5 and to within 5 % from above, by which the certificate will as likely
    as not have been reached with `kept` important events forwarded; None where none will do.

    That is the holdout for a certificate within a wanted time: `kept` is the rate of important
    events forwarded times that time. The other arguments are those of `kept_until_certified`.
    """

    def is_enough(holdout: float) -> bool:
        needed = kept_until_certified(
            recall=recall,
            failure_probability=failure_probability,
            holdout=holdout,
            true_recall=true_recall,
        )
        return needed is not None and needed <= kept

    low, high = _LEAST_HOLDOUT, _MOST_HOLDOUT
    if not is_enough(high):
        return None
    while high / low > _STEP:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if is_enough(middle) else (middle, high)
    return high


def _poisson(mean: float) -> NDArray[np.float64]:
    """Chances of 0, 1, … as far as they matter."""
    if not mean:
        return np.ones(1)
    counts = np.arange(1, int(mean + 10.0 * math.sqrt(mean)) + 15)
    log_mass = np.concatenate(([0.0], np.cumsum(math.log(mean) - np.log(counts))))
    mass: NDArray[np.float64] = np.exp(log_mass - mean)
    return mass
