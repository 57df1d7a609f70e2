"""One text in one window of time, and what it is saved as."""

from dataclasses import dataclass
from operator import attrgetter

from stream_filter.core.entry import Entry

MAX_SPAN = 10_000_000
"""Offsets from a window's first record, after which it ends."""
COLUMNS = ("end_ms", "due_ms", "opened_at", "seen", "folded", "first_folded", "last_folded")
"""The numbers of a window's entry. Its key is the digest, its time the window's beginning."""


@dataclass(slots=True)
class FoldWindow:
    """One text in one window. Times in Unix ms; it covers [start_ms, end_ms)."""

    digest: int
    start_ms: int
    end_ms: int
    due_ms: int
    """It ends when the clock shows this: its end, or later where it was opened late."""
    opened_at: int
    """The offset of its first record."""
    seen: int = 0
    folded: int = 0
    first_folded: int = -1
    """Offsets; -1 where nothing was folded."""
    last_folded: int = -1
    text: str = ""
    """Empty until something was folded."""

    @property
    def end_offset(self) -> int:
        """It ends with the record at this offset, whatever the clock shows."""
        return self.opened_at + MAX_SPAN


_numbers_of = attrgetter(*COLUMNS)


def to_entry(window: FoldWindow) -> Entry:
    return Entry(window.digest, window.start_ms, _numbers_of(window), window.text)


def from_entry(entry: Entry) -> FoldWindow:
    """Raises ValueError where the numbers contradict each other."""
    numbers = dict(zip(COLUMNS, entry.numbers, strict=True))
    window = FoldWindow(digest=entry.key, start_ms=entry.at, text=entry.text, **numbers)
    if window.opened_at < 0 or not 0 <= window.folded <= window.seen:
        raise ValueError("a window's counts contradict each other")
    return window
