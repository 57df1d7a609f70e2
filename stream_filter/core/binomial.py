"""Exact binomial tails: how few successes are too few to be chance."""

import numpy as np
from numpy.typing import NDArray

_BISECTIONS = 44


def binomial_cdf(successes: int, trials: int, chance: float) -> float:
    """P(X ≤ successes) for X ~ Binomial(trials, chance), 0 < chance < 1."""
    if successes < 0:
        return 0.0
    if successes >= trials:
        return 1.0
    return float(np.exp(_log_cdf(successes, trials, chance)[-1]))


def most_below(trials: int, chance: float, failure_probability: float) -> int:
    """The largest x with P(X ≤ x) ≤ failure_probability, X ~ Binomial(trials, chance);
    −1 where not even x = 0 has it."""
    # Beyond the mean by this much the tail is 1 to double precision.
    reach = trials * chance + 10.0 * np.sqrt(trials * chance * (1.0 - chance)) + 40.0
    log_cdf = _log_cdf(min(trials - 1, int(reach)), trials, chance) if trials else np.empty(0)
    return int(np.searchsorted(log_cdf, np.log(failure_probability), side="right")) - 1


def binomial_upper(successes: int, trials: int, failure_probability: float) -> float:
    """The largest chance under which so few successes are not too few: an upper bound at
    1 − failure_probability (Clopper and Pearson 1934), never below the exact one.

    With failure_probability q it is also the (1 − q)-quantile of Beta(successes + 1,
    trials − successes).
    """
    if successes >= trials:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        if binomial_cdf(successes, trials, middle) > failure_probability:
            low = middle
        else:
            high = middle
    return high


def _log_cdf(last: int, trials: int, chance: float) -> NDArray[np.float64]:
    """log P(X ≤ x) for x = 0 … last, where last < trials; shape (last + 1,)."""
    x = np.arange(last, dtype=np.float64)  # trials may be beyond any integer type
    steps = np.log((trials - x) / (x + 1.0)) + np.log(chance) - np.log1p(-chance)
    log_mass = trials * np.log1p(-chance) + np.concatenate(([0.0], np.cumsum(steps)))
    peak = log_mass.max()
    with np.errstate(divide="ignore"):  # what underflows beside the peak has log 0
        log_cdf: NDArray[np.float64] = peak + np.log(np.cumsum(np.exp(log_mass - peak)))
    return np.minimum(log_cdf, 0.0)
