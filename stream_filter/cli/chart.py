"""Curves in a terminal, as text."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_WIDTH, _HEIGHT = 64, 13
_MARKS = "●○+×"


def chart(
    curves: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    *,
    x_name: str,
    x_ticks: Sequence[float],
    mark_at: float | None = None,
) -> list[str]:
    """Lines of text: shares (0 … 1, upwards) against x, one mark a curve, and a legend.

    `curves`: name to (x, y), x ascending; they are drawn over the range of `x_ticks`.
    `mark_at`: an x that gets a vertical line.
    """
    first, last = x_ticks[0], x_ticks[-1]
    columns = np.linspace(first, last, _WIDTH)
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]
    if mark_at is not None and first <= mark_at <= last:
        for row in grid:
            row[_column(mark_at, first, last)] = "│"
    for symbol, (x, y) in zip(_MARKS, curves.values(), strict=False):
        for column, height in enumerate(np.interp(columns, x, y)):
            grid[round((1.0 - float(height)) * (_HEIGHT - 1))][column] = symbol
    lines = []
    for index, row in enumerate(grid):
        share = 1.0 - index / (_HEIGHT - 1)
        label = f"{100 * share:3.0f} %" if index in {0, _HEIGHT - 1, (_HEIGHT - 1) // 2} else ""
        lines.append(f"{label:>6} ┤{''.join(row).rstrip()}")
    lines.append(" " * 7 + "└" + "─" * _WIDTH)
    ticks = [" "] * (_WIDTH + 8)
    for tick in x_ticks:
        text = f"{tick:g}"
        start = min(_column(tick, first, last), _WIDTH - len(text))
        ticks[start : start + len(text)] = text
    lines.append(" " * 8 + "".join(ticks).rstrip())
    legend = "   ".join(f"{s} {name}" for s, name in zip(_MARKS, curves, strict=False))
    lines.append(" " * 8 + f"{x_name}:   {legend}")
    return lines


def _column(x: float, first: float, last: float) -> int:
    return round((x - first) / (last - first) * (_WIDTH - 1))
