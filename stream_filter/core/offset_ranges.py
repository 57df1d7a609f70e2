"""Sets of offsets as ranges: few numbers for many offsets, never unfolded."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Range = tuple[int, int]
"""First and last offset, both inside."""


def ranges_of(offsets: NDArray[np.int64], *, gap: int = 1) -> list[Range]:
    """The ranges of offsets that ascend and do not repeat. `gap`: neighbours that differ by no more
    are in one range, which then has other offsets too."""
    if not len(offsets):
        return []
    breaks = np.flatnonzero(np.diff(offsets) > gap)
    firsts = offsets[np.concatenate([[0], breaks + 1])]
    lasts = offsets[np.concatenate([breaks, [len(offsets) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def contained(offsets: NDArray[np.int64], ranges: Iterable[Range]) -> NDArray[np.bool_]:
    """Shape (n,): whether each offset is in any of the ranges, which may overlap."""
    bounds = np.array(sorted(ranges), np.int64).reshape(-1, 2)
    if not len(bounds):
        return np.zeros(len(offsets), np.bool_)
    reach = np.maximum.accumulate(bounds[:, 1])
    before = np.searchsorted(bounds[:, 0], offsets, side="right") - 1
    inside: NDArray[np.bool_] = (before >= 0) & (offsets <= reach[np.maximum(before, 0)])
    return inside
