"""Folds: in a storm of equal texts, a few go on and the others are counted.

Time is cut into windows of equal length. Of a text's records in a window the first few are
forwarded, the rest folded; when the window ends, one summary stands for them. A record belongs to
the window that its own timestamp says, so records out of order find theirs as long as it is open.

A window ends when the partition's clock passes its end. One that is opened when that has already
happened (a late record) stays open for one window's length. Whatever the timestamps are, a window
ends after `MAX_SPAN` offsets. The memory is bounded: of more windows than it holds, those
opened first end early. A text whose window ended early is forwarded again: errors are forwards.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.entry import Entry, check_entry
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import Fold

WINDOWS_LIMIT = 5_000
"""Open windows of one partition."""
MAX_SPAN = 10_000_000
"""Offsets from a window's first record, after which it ends."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What became of a batch's records in their windows."""

    is_duplicate: NDArray[np.bool_]
    """Shape (n,): beyond the first few of its text and window."""
    window_codes: NDArray[np.int32]
    """Shape (n,): index into `windows`; -1 where a record is in none."""
    windows: Sequence[FoldWindow]
    text_codes: Sequence[int]
    """The text of each window: index into the batch's distinct texts."""


class Folds:
    """The open windows. A part of the partition's memory."""

    kind = "fold"
    columns = (
        "end_ms",
        "due_ms",
        "opened_at",
        "seen",
        "folded",
        "first_folded",
        "last_folded",
    )

    def __init__(self, *, limit: int = WINDOWS_LIMIT) -> None:
        self._limit = limit
        self._open: dict[tuple[int, int], FoldWindow] = {}
        self._ended: list[FoldWindow] = []
        self._changed: set[tuple[int, int]] = set()

    def __len__(self) -> int:
        return len(self._open)

    def admit(
        self,
        batch: Occurrences,
        eligible: NDArray[np.bool_],
        *,
        times_ms: NDArray[np.int64],
        clock_ms: NDArray[np.int64],
        fold: Fold,
    ) -> Admission:
        """Put the eligible records (shape (n,)) into their windows.

        `times_ms`: the records' times; `clock_ms`: what the clock shows after each of them.
        """
        is_duplicate = np.zeros(eligible.shape, np.bool_)
        window_codes = np.full(eligible.shape, -1, np.int32)
        windows: list[FoldWindow] = []
        text_codes: list[int] = []
        rows = np.flatnonzero(eligible & (batch.codes >= 0))
        starts = times_ms[rows] // fold.window_ms * fold.window_ms
        for members in _groups(rows, batch.codes[rows], starts):
            code = int(batch.codes[members[0]])
            start_ms = int(times_ms[members[0]]) // fold.window_ms * fold.window_ms
            clocks, offsets = clock_ms[members], batch.offsets[members]
            done = 0
            while done < len(members):
                window = self._open_at(
                    (int(batch.digests[code]), start_ms),
                    int(clocks[done]),
                    int(offsets[done]),
                    fold.window_ms,
                )
                until = min(
                    int(np.searchsorted(clocks, window.due_ms)),
                    int(np.searchsorted(offsets, window.opened_at + MAX_SPAN)),
                )
                now = members[done:until]
                is_duplicate[now[max(0, fold.keep - window.seen) :]] = True
                window_codes[now] = len(windows)
                window.seen += len(now)
                windows.append(window)
                text_codes.append(code)
                done = until
        return Admission(
            is_duplicate=is_duplicate,
            window_codes=window_codes,
            windows=windows,
            text_codes=text_codes,
        )

    def settle(
        self, batch: Occurrences, admission: Admission, folded: NDArray[np.bool_], clock_ms: int
    ) -> list[FoldWindow]:
        """Count what was folded in the end (shape (n,), among the duplicates); the windows that
        ended and have something folded, for which a summary is due."""
        rows = np.flatnonzero(folded)
        codes, offsets = admission.window_codes[rows], batch.offsets[rows]
        counts = np.bincount(codes, minlength=len(admission.windows))
        # Of several assignments to one place the last one counts.
        first, last = np.zeros_like(counts), np.zeros_like(counts)
        first[codes[::-1]], last[codes] = offsets[::-1], offsets
        for index in np.flatnonzero(counts).tolist():
            window = admission.windows[index]
            window.text = batch.texts[admission.text_codes[index]]
            if not window.folded:
                window.first_folded = int(first[index])
            window.folded += int(counts[index])
            window.last_folded = int(last[index])
        if len(batch.offsets):
            self._end_due(clock_ms, int(batch.offsets[-1]))
        for window in list(islice(self._open.values(), max(0, len(self) - self._limit))):
            self._end(window)
        return self._take_ended()

    def end_all(self) -> list[FoldWindow]:
        """End every window: the partition is idle, or folds no more."""
        for window in list(self._open.values()):
            self._end(window)
        return self._take_ended()

    def changes(self) -> list[Entry]:
        found = [
            _entry(self._open[place]) if place in self._open else Entry(*place, ())
            for place in sorted(self._changed)
        ]
        self._changed.clear()
        return found

    def everything(self) -> list[Entry]:
        return [_entry(window) for window in self._open.values()]

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            check_entry(entry, len(self.columns))
            self._open.pop((entry.key, entry.at), None)
            if entry.numbers:
                window = _window(entry)
                if window.opened_at < 0 or not 0 <= window.folded <= window.seen:
                    raise ValueError("a window's counts contradict each other")
                self._open[entry.key, entry.at] = window

    def _open_at(
        self, place: tuple[int, int], clock_ms: int, offset: int, length_ms: int
    ) -> FoldWindow:
        """The window at a place that is open for a record; a new one where there is none."""
        found = self._open.get(place)
        if found is not None and (clock_ms >= found.due_ms or offset >= found.opened_at + MAX_SPAN):
            self._end(found)
            found = None
        self._changed.add(place)
        if found is None:
            digest, start_ms = place
            end_ms = start_ms + length_ms
            due_ms = end_ms if end_ms > clock_ms else clock_ms + length_ms
            found = self._open[place] = FoldWindow(digest, start_ms, end_ms, due_ms, offset)
        return found

    def _end_due(self, clock_ms: int, offset: int) -> None:
        ended = [
            window
            for window in self._open.values()
            if clock_ms >= window.due_ms or offset >= window.opened_at + MAX_SPAN
        ]
        for window in ended:
            self._end(window)

    def _end(self, window: FoldWindow) -> None:
        place = (window.digest, window.start_ms)
        del self._open[place]
        self._changed.add(place)
        self._ended.append(window)

    def _take_ended(self) -> list[FoldWindow]:
        ended, self._ended = self._ended, []
        return [window for window in ended if window.folded]


def _groups(
    rows: NDArray[np.intp], codes: NDArray[np.int32], starts: NDArray[np.int64]
) -> Iterator[NDArray[np.intp]]:
    """The rows of each text and window, in order."""
    order = np.lexsort((starts, codes))  # stable: rows of a group stay in order
    codes, starts = codes[order], starts[order]
    cuts = np.flatnonzero((np.diff(codes) != 0) | (np.diff(starts) != 0)) + 1
    if len(rows):
        yield from np.split(rows[order], cuts)


def _entry(window: FoldWindow) -> Entry:
    numbers = tuple(getattr(window, name) for name in Folds.columns)
    return Entry(window.digest, window.start_ms, numbers, window.text)


def _window(entry: Entry) -> FoldWindow:
    numbers = dict(zip(Folds.columns, entry.numbers, strict=True))
    return FoldWindow(digest=entry.key, start_ms=entry.at, text=entry.text, **numbers)
