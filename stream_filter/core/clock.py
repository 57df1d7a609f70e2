"""A partition's clock: the greatest time of its records so far, never beyond the present."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.entry import Entry, check_entry

NEVER = -(1 << 62)
"""The time before the first record."""


def record_times(timestamps: NDArray[np.int64], now_ms: int) -> NDArray[np.int64]:
    """Timestamps (Unix ms, -1 = none), shape (n,), with those of the future set back to now, and
    now where there is none.

    So one absurd record cannot put the clock, or a window, where the stream will not come for
    years.
    """
    return np.where(timestamps < 0, now_ms, np.minimum(timestamps, now_ms))


class PartitionClock:
    """Moves forward only. A part of the partition's memory."""

    kind = "clock"
    columns = ("at_ms",)

    def __init__(self) -> None:
        self.at_ms = NEVER
        self._is_changed = False

    def __len__(self) -> int:
        return int(self.at_ms != NEVER)

    def advance(self, times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """What the clock shows after each record, shape (n,)."""
        shown = np.maximum.accumulate(np.maximum(times_ms, self.at_ms))
        if len(shown) and shown[-1] > self.at_ms:
            self.at_ms = int(shown[-1])
            self._is_changed = True
        return shown

    def changes(self) -> list[Entry]:
        was_changed, self._is_changed = self._is_changed, False
        return self.everything() if was_changed else []

    def everything(self) -> list[Entry]:
        return [Entry(0, 0, (self.at_ms,))] if len(self) else []

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            check_entry(entry, len(self.columns))
            self.at_ms = entry.numbers[0] if entry.numbers else NEVER
