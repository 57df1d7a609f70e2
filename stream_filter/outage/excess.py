"""Whether a count is more than usual: an exact test, held against the time before.

Of a key that has come x times in the window and y times in the baseline, given x + y, x is
Binomial(x + y, q) if the rate is the same, q being the window's share of the time (Przyborowski
and Wilenski 1940). Here a rate may also be `RATIO` times as high without being an excess, so
q = RATIO·W / (RATIO·W + H). Events come in clumps and rates wander: counts are divided by how much
more they vary from window to window than Poisson's would, x rounded down and y up. That is the
larger of the key's own variance over mean in the baseline and of c + κ·mean, which all keys
together say: c, the clumps, by those that come less than once a window, κ by the rest.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.binomial import binomial_cdf

RATIO = 2.0
FEWEST_SLOTS = 3
"""An excess is spread over so many slots of the window: one burst is none."""
FEWEST_WINDOWS = 3
"""Of baseline, before anything can be said."""
_FEW = 30
"""Events, of keys that come rarely, that it takes to know their clumps."""
_Ints: TypeAlias = NDArray[np.int64]
_Reals: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Usual:
    """What the baseline says of keys in a row: how often each came, how much that varied."""

    counts: _Ints
    """Shape (keys,)."""
    own: _Reals
    """Variance over mean from window to window, by key."""
    clumps: float
    wander: float
    """c and κ."""
    window_slots: int
    slots: int
    """How long the baseline is."""

    @property
    def is_enough(self) -> bool:
        return self.slots > 0

    def of(self, keys: Sequence[Hashable], wanted: Sequence[Hashable]) -> "Usual":
        """The same for other keys in a row; what was not there came 0 times."""
        row_of = {key: row for row, key in enumerate(keys)}
        rows = np.array([row_of.get(key, -1) for key in wanted], np.int64)
        known = rows >= 0
        counts, own = np.zeros(len(rows), np.int64), np.ones(len(rows), np.float64)
        counts[known], own[known] = self.counts[rows[known]], self.own[rows[known]]
        return replace(self, counts=counts, own=own)

    def dispersion(self, slots: int) -> _Reals:
        """Variance over mean of the counts of so many slots, at least 1; shape (keys,). As if a
        rate that wanders kept on for as long as they last."""
        longer = slots / self.window_slots
        own = 1.0 + np.maximum(self.own - 1.0, 0.0) * longer
        together = self.clumps + self.wander * self.expected(slots)
        found: _Reals = np.maximum(own, together)
        return found

    def expected(self, slots: int) -> _Reals:
        """How often each key would come in so many slots."""
        expected: _Reals = self.counts.astype(np.float64) * (slots / max(1, self.slots))
        return expected


def usual(baseline: _Ints, window_slots: int) -> Usual:
    """`baseline`: counts by key and slot, without times that were not usual."""
    keys, slots = baseline.shape
    windows = slots // window_slots
    if windows < FEWEST_WINDOWS:
        return Usual(np.zeros(keys, np.int64), np.ones(keys), 1.0, 0.0, window_slots, 0)
    by_window = baseline[:, slots - windows * window_slots :]
    by_window = by_window.reshape(keys, windows, window_slots).sum(axis=2)
    means = by_window.mean(axis=1)
    variances = by_window.var(axis=1, ddof=1)
    own = np.divide(variances, means, out=np.ones(keys, np.float64), where=means > 0)
    rare = means < 1.0
    clumps = _ratio(variances[rare], means[rare]) if means[rare].sum() * windows >= _FEW else 0.0
    clumps = max(1.0, clumps or _ratio(variances, means))
    wander = max(0.0, _ratio(variances - clumps * means, means**2))
    return Usual(baseline.sum(axis=1), own, clumps, wander, window_slots, slots)


def _ratio(above: _Reals, below: _Reals) -> float:
    return float(above.sum() / below.sum()) if below.any() else 0.0


def p_values(window: _Ints, before: Usual) -> _Reals:
    """The chance of so many in the window if nothing had changed, by key; 1 where there is no
    sign. `window`: counts by key and slot."""
    keys, slots = window.shape
    found = np.ones(keys)
    if not before.is_enough or not slots:
        return found
    counts = window.sum(axis=1)
    dispersion = before.dispersion(slots)
    high = counts > RATIO * before.expected(slots)
    for key in np.flatnonzero(high & ((window > 0).sum(axis=1) >= FEWEST_SLOTS)):
        spread = dispersion[key]
        x, y = int(counts[key] / spread), int(np.ceil(before.counts[key] / spread))
        share = RATIO * slots / (RATIO * slots + before.slots)
        # P(X ≥ x) by the other outcome: exact where it is tiny.
        found[key] = binomial_cdf(y, x + y, 1.0 - share) if x else 1.0
    return found


def surprise(counts: _Ints, expected: _Reals) -> _Reals:
    """How much a count speaks for a change: Poisson's log-likelihood ratio against what was to be
    expected, 0 where no more came than that."""
    mu = np.maximum(expected, 0.02)
    x = counts.astype(np.float64)
    ratio: _Reals = x * np.log(np.maximum(x, 1e-9) / mu) - (x - mu)
    return np.where(x > mu, ratio, 0.0)
