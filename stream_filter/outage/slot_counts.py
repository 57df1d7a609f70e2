"""Counts by key and slot of time, of the newest slots only."""

from collections.abc import Hashable
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Key = TypeVar("Key", bound=Hashable)
_FIRST_ROWS = 64


class SlotCounts(Generic[Key]):
    """A ring of `slots` columns; a row for each key, at most `most_keys`."""

    def __init__(self, slots: int, most_keys: int) -> None:
        self._slots = slots
        self._most = most_keys
        self._rows: dict[Key, int] = {}
        self._counts = np.zeros((_FIRST_ROWS, slots), np.int64)
        self._newest: int | None = None

    def advance(self, slot: int) -> None:
        """Time has come to `slot`: what is older than the ring is forgotten."""
        if self._newest is None:
            self._newest = slot
        elif slot > self._newest:
            new = min(slot - self._newest, self._slots)
            self._counts[:, np.arange(slot - new + 1, slot + 1) % self._slots] = 0
            self._newest = slot

    def add(self, key: Key, slot: int) -> bool:
        """One more; False where the slot is outside the ring, or there are too many keys."""
        if self._newest is None or not self._newest - self._slots < slot <= self._newest:
            return False
        row = self._rows.get(key)
        if row is None:
            row = self._new_row(key)
            if row is None:
                return False
        self._counts[row, slot % self._slots] += 1
        return True

    def keys(self) -> list[Key]:
        """In the order of the rows of `between`."""
        return list(self._rows)

    def between(self, first: int, end: int) -> NDArray[np.int64]:
        """Counts of all keys in the slots [first, end) that the ring holds; (keys, slots)."""
        if self._newest is None:
            return np.zeros((0, 0), np.int64)
        first = max(first, self._newest - self._slots + 1)
        columns = np.arange(first, max(first, min(end, self._newest + 1))) % self._slots
        rows = np.fromiter(self._rows.values(), np.int64, len(self._rows))
        picked: NDArray[np.int64] = self._counts[rows[:, None], columns[None, :]]
        return picked

    def forget_empty(self) -> list[Key]:
        """Drop the keys that have no count left; which they were."""
        alive = {key: row for key, row in self._rows.items() if self._counts[row].any()}
        gone = [key for key in self._rows if key not in alive]
        if gone:
            kept = np.fromiter(alive.values(), np.int64, len(alive))
            counts = np.zeros((max(_FIRST_ROWS, 2 * len(alive)), self._slots), np.int64)
            counts[: len(alive)] = self._counts[kept]
            self._counts = counts
            self._rows = dict(zip(alive, range(len(alive)), strict=True))
        return gone

    def _new_row(self, key: Key) -> int | None:
        row = len(self._rows)
        if row >= self._most:
            return None
        if row == len(self._counts):
            self._counts = np.concatenate((self._counts, np.zeros_like(self._counts)))
        self._rows[key] = row
        return row
