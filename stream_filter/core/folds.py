"""Folds: in a storm of equal texts, a few go on and the others are counted.

Time is cut into windows of equal length. Of a text's records in a window the first few are
forwarded, the rest folded; when the window ends, one summary stands for them. A record belongs to
the window that its own timestamp says, so records out of order find theirs as long as it is open.

A window ends when the partition's clock passes its end. One that is opened when that has already
happened (a late record) stays open for one window's length. Whatever the timestamps are, a window
ends after `MAX_SPAN` offsets. The memory is bounded: of more windows than it holds, those
opened first end early. A text whose window ended early is forwarded again: errors are forwards.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.entry import Entry, check_entry
from stream_filter.core.fold_window import COLUMNS, FoldWindow, from_entry, to_entry
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import Fold

WINDOWS_LIMIT = 5_000
"""Open windows of one partition."""
_FAR = 1 << 62


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


@dataclass(slots=True)
class _Runs:
    """Consecutive records, in the order of texts and windows, that share a window."""

    windows: list[FoldWindow] = field(default_factory=list)
    text_codes: list[int] = field(default_factory=list)
    begins: list[int] = field(default_factory=list)
    room: list[int] = field(default_factory=list)
    """How many of a run the window still lets go on."""

    def add(self, window: FoldWindow, text_code: int, begin: int, keep: int) -> None:
        self.windows.append(window)
        self.text_codes.append(text_code)
        self.begins.append(begin)
        self.room.append(keep - window.seen)

    def places(self, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """For each of the n records its run, and its place in it."""
        begins = np.array(self.begins, np.int64)
        run_of = np.searchsorted(begins, np.arange(n), side="right") - 1
        return run_of, np.arange(n) - begins[run_of]


class Folds:
    """The open windows. A part of the partition's memory."""

    kind = "fold"
    columns = COLUMNS

    def __init__(self, *, limit: int = WINDOWS_LIMIT) -> None:
        self._limit = limit
        self._open: dict[tuple[int, int], FoldWindow] = {}
        self._ended: list[FoldWindow] = []
        self._changed: set[tuple[int, int]] = set()
        # No window ends before both of these.
        self._next_due_ms = _FAR
        self._next_end_offset = _FAR

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
        rows = np.flatnonzero(eligible & (batch.codes >= 0))
        starts = times_ms[rows] // fold.window_ms * fold.window_ms
        # By text and window; stable, so that the rows of one stay in order.
        order = np.lexsort((starts, batch.codes[rows]))
        rows, starts, codes = rows[order], starts[order], batch.codes[rows[order]]
        clocks, offsets = clock_ms[rows], batch.offsets[rows]
        is_first = np.ones(len(rows), np.bool_)
        is_first[1:] = (np.diff(codes) != 0) | (np.diff(starts) != 0)
        first = np.flatnonzero(is_first)
        runs = _Runs()
        for begin, end, code, digest, start_ms in zip(
            first.tolist(),
            np.append(first, len(rows))[1:].tolist(),
            codes[first].tolist(),
            batch.digests[codes[first]].tolist(),
            starts[first].tolist(),
            strict=True,
        ):
            at = begin
            while at < end:
                window = self._open_at((digest, start_ms), clocks[at], offsets[at], fold.window_ms)
                until = end
                if clocks[end - 1] >= window.due_ms or offsets[end - 1] >= window.end_offset:
                    until = at + min(
                        int(np.searchsorted(clocks[at:end], window.due_ms)),
                        int(np.searchsorted(offsets[at:end], window.end_offset)),
                    )
                runs.add(window, code, at, fold.keep)
                window.seen += until - at
                at = until

        run_of, place = runs.places(len(rows))
        is_duplicate = np.zeros(eligible.shape, np.bool_)
        is_duplicate[rows] = place >= np.array(runs.room, np.int64)[run_of]
        window_codes = np.full(eligible.shape, -1, np.int32)
        window_codes[rows] = run_of
        return Admission(
            is_duplicate=is_duplicate,
            window_codes=window_codes,
            windows=runs.windows,
            text_codes=runs.text_codes,
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
            to_entry(self._open[place]) if place in self._open else Entry(*place, ())
            for place in sorted(self._changed)
        ]
        self._changed.clear()
        return found

    def everything(self) -> list[Entry]:
        return [to_entry(window) for window in self._open.values()]

    def apply(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            check_entry(entry, len(COLUMNS))
            self._open.pop((entry.key, entry.at), None)
            if entry.numbers:
                window = from_entry(entry)
                self._open[entry.key, entry.at] = window
                self._next_due_ms = min(self._next_due_ms, window.due_ms)
                self._next_end_offset = min(self._next_end_offset, window.end_offset)

    def _open_at(
        self, place: tuple[int, int], clock_ms: int, offset: int, length_ms: int
    ) -> FoldWindow:
        """The window at a place that is open for a record; a new one where there is none."""
        found = self._open.get(place)
        if found is not None and (clock_ms >= found.due_ms or offset >= found.end_offset):
            self._end(found)
            found = None
        self._changed.add(place)
        if found is None:
            digest, start_ms = place
            end_ms = start_ms + length_ms
            due_ms = end_ms if end_ms > clock_ms else int(clock_ms) + length_ms
            found = FoldWindow(digest, start_ms, end_ms, due_ms, int(offset))
            self._open[place] = found
            self._next_due_ms = min(self._next_due_ms, due_ms)
            self._next_end_offset = min(self._next_end_offset, found.end_offset)
        return found

    def _end_due(self, clock_ms: int, offset: int) -> None:
        if clock_ms < self._next_due_ms and offset < self._next_end_offset:
            return
        for window in list(self._open.values()):
            if clock_ms >= window.due_ms or offset >= window.end_offset:
                self._end(window)
        windows = self._open.values()
        self._next_due_ms = min((window.due_ms for window in windows), default=_FAR)
        self._next_end_offset = min((window.end_offset for window in windows), default=_FAR)

    def _end(self, window: FoldWindow) -> None:
        place = (window.digest, window.start_ms)
        del self._open[place]
        self._changed.add(place)
        self._ended.append(window)

    def _take_ended(self) -> list[FoldWindow]:
        ended, self._ended = self._ended, []
        return [window for window in ended if window.folded]
