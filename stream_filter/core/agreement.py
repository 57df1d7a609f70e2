"""How far two judges agree: Cohen's kappa (Cohen 1960) with its large-sample interval, and the
share in which one differs from the other, with an exact one.

Kappa is agreement beyond chance: 1 where they always agree, 0 where they agree as often as two who
do not look. Where one in a hundred events is important, two judges who always say no agree in all.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.binomial import binomial_upper


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Two judges on the same events."""

    both: int
    """Both say important."""
    only_first: int
    only_second: int
    neither: int

    @property
    def events(self) -> int:
        return self.both + self.only_first + self.only_second + self.neither

    @property
    def agreed(self) -> int:
        return self.both + self.neither

    def kappa(self) -> float | None:
        """Cohen's kappa; None where it is not defined: no events, or both always say the same one
        thing."""
        n = self.events
        if not n:
            return None
        first, second = (self.both + self.only_first) / n, (self.both + self.only_second) / n
        by_chance = first * second + (1 - first) * (1 - second)
        return None if by_chance == 1.0 else (self.agreed / n - by_chance) / (1 - by_chance)

    def kappa_interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """By the delta method (Fleiss, Cohen and Everitt 1969, formula 16), clipped to [−1, 1];
        None where there is no kappa. Where they never differ, or always, it has no width: look at
        `differs`."""
        kappa, n = self.kappa(), self.events
        if kappa is None:
            return None
        cells = np.array([[self.both, self.only_first], [self.only_second, self.neither]]) / n
        rows, columns = cells.sum(axis=1), cells.sum(axis=0)
        by_chance = float(rows @ columns)
        on_diagonal = sum(
            cells[i, i] * (1 - (rows[i] + columns[i]) * (1 - kappa)) ** 2 for i in range(2)
        )
        off = (1 - kappa) ** 2 * sum(
            cells[i, j] * (columns[i] + rows[j]) ** 2 for i in range(2) for j in range(2) if i != j
        )
        rest = (kappa - by_chance * (1 - kappa)) ** 2
        variance = max(0.0, float(on_diagonal + off - rest)) / (n * (1 - by_chance) ** 2)
        reach = NormalDist().inv_cdf(0.5 + confidence / 2) * math.sqrt(variance)
        return max(-1.0, kappa - reach), min(1.0, kappa + reach)

    def differs(self, confidence: float = 0.95) -> tuple[float, float, float]:
        """The share of events in which they differ, and its exact interval (Clopper and
        Pearson)."""
        return share_with_interval(self.only_first + self.only_second, self.events, confidence)


def agreement(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Agreement:
    """Of two columns of verdicts on the same events, shape (n,). Raises ValueError where they
    differ in length."""
    if first.shape != second.shape:
        raise ValueError("first and second differ in length")
    return Agreement(
        both=int((first & second).sum()),
        only_first=int((first & ~second).sum()),
        only_second=int((~first & second).sum()),
        neither=int((~first & ~second).sum()),
    )


def share_with_interval(
    count: int, of: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """A share and its exact interval; (0, 0, 1) where there is nothing."""
    if not of:
        return 0.0, 0.0, 1.0
    tail = (1 - confidence) / 2
    lower = 1.0 - binomial_upper(of - count, of, tail)
    return count / of, lower, binomial_upper(count, of, tail)
