"""Novelty: the first occurrences of a text that would be dropped are forwarded.

A model says little of texts of a kind that it has never met. So each canonical text is shown to
the analyst a few times before its drops count. The memory is bounded: of more texts than it
holds, those that were not seen for longest are forgotten, and are novel again when they return.
"""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.entry import Entry, check_entry
from stream_filter.core.occurrences import Occurrences, ranks

TEXTS_LIMIT = 100_000
"""Texts remembered for one partition, 24 bytes each."""


class NoveltyCounts:
    """How often each text was forwarded as novel. A part of the partition's memory."""

    kind = "novelty"
    columns = ("count", "last_offset")

    def __init__(self, *, limit: int = TEXTS_LIMIT) -> None:
        self._limit = limit
        self._digests = np.empty(0, np.uint64)  # ascending
        self._counts = np.empty(0, np.int64)
        self._last_seen = np.empty(0, np.int64)  # offset
        self._changed: set[int] = set()

    def __len__(self) -> int:
        return len(self._digests)

    def take_first(
        self, batch: Occurrences, candidates: NDArray[np.bool_], forward_first: int
    ) -> NDArray[np.bool_]:
        """Which of the candidates (shape (n,)) are among the first `forward_first` of their text
        that ever were candidates; they are counted."""
        novel = np.zeros(candidates.shape, np.bool_)
        rows = np.flatnonzero(candidates & (batch.codes >= 0))
        if not len(rows):
            return novel
        codes = batch.codes[rows]
        occurring = np.bincount(codes, minlength=len(batch.digests))
        present = np.flatnonzero(occurring)
        digests = batch.digests[present]
        at, is_known = self._find(digests)
        counts = np.zeros(len(present), np.int64)
        counts[is_known] = self._counts[at[is_known]]
        room = np.zeros(len(batch.digests), np.int64)
        room[present] = np.maximum(forward_first - counts, 0)

        is_open = room[codes] > 0
        rows, codes = rows[is_open], codes[is_open]
        novel[rows[ranks(codes) < room[codes]]] = True
        counted = counts + np.minimum(occurring, room)[present]
        self._last_seen[at[is_known]] = batch.offsets[-1]
        self._put(digests, counted, np.full(len(digests), batch.offsets[-1]), counted != counts)
        return novel

    def changes(self) -> list[Entry]:
        changed = np.array(sorted(self._changed), np.uint64)
        self._changed.clear()
        at, is_known = self._find(changed)
        forgotten = [Entry(digest, 0, ()) for digest in changed[~is_known].tolist()]
        return [*self._entries(at[is_known]), *forgotten]

    def everything(self) -> list[Entry]:
        return self._entries(np.arange(len(self)))

    def apply(self, entries: Iterable[Entry]) -> None:
        latest: dict[int, tuple[int, ...]] = {}
        for entry in entries:
            check_entry(entry, len(self.columns))
            if min(entry.numbers, default=0) < 0:
                raise ValueError("a count or an offset is negative")
            latest[entry.key] = entry.numbers
        if not latest:
            return
        stays = ~np.isin(self._digests, np.array(list(latest), np.uint64))
        self._keep(stays)
        kept = {digest: numbers for digest, numbers in latest.items() if numbers}
        columns = np.array(list(kept.values()), np.int64).reshape(-1, 2)
        self._put(np.array(list(kept), np.uint64), columns[:, 0], columns[:, 1])
        self._changed.clear()

    def _find(self, digests: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
        """Where each digest stands, or would, and whether it is there."""
        at = np.searchsorted(self._digests, digests)
        is_known = at < len(self)
        is_known[is_known] = self._digests[at[is_known]] == digests[is_known]
        return at, is_known

    def _put(
        self,
        digests: NDArray[np.uint64],
        counts: NDArray[np.int64],
        last_seen: NDArray[np.int64],
        is_changed: NDArray[np.bool_] | None = None,
    ) -> None:
        if is_changed is not None:
            digests, counts, last_seen = (
                digests[is_changed],
                counts[is_changed],
                last_seen[is_changed],
            )
        # Two texts may share a digest: one entry serves both.
        digests, first = np.unique(digests, return_index=True)
        counts, last_seen = counts[first], last_seen[first]
        self._changed.update(digests.tolist())
        at, is_known = self._find(digests)
        self._counts[at[is_known]] = counts[is_known]
        self._last_seen[at[is_known]] = last_seen[is_known]
        new, where = ~is_known, at[~is_known]
        self._digests = np.insert(self._digests, where, digests[new])
        self._counts = np.insert(self._counts, where, counts[new])
        self._last_seen = np.insert(self._last_seen, where, last_seen[new])
        if len(self) > self._limit:
            self._forget(len(self) - self._limit * 9 // 10)

    def _forget(self, count: int) -> None:
        """Those that were not seen for longest; several at once, since looking costs."""
        goes = np.argsort(self._last_seen, kind="stable")[:count]
        self._changed.update(self._digests[goes].tolist())
        stays = np.ones(len(self), np.bool_)
        stays[goes] = False
        self._keep(stays)

    def _keep(self, stays: NDArray[np.bool_]) -> None:
        self._digests = self._digests[stays]
        self._counts = self._counts[stays]
        self._last_seen = self._last_seen[stays]

    def _entries(self, at: NDArray[np.intp]) -> list[Entry]:
        columns = (self._digests[at], self._counts[at], self._last_seen[at])
        return [
            Entry(digest, 0, (count, seen))
            for digest, count, seen in zip(*(c.tolist() for c in columns), strict=True)
        ]
