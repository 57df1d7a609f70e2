"""Folds: the first few of a text and window go on, the rest are counted, to the last one."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.clock import PartitionClock, record_times
from stream_filter.core.entry import Entry
from stream_filter.core.fold_window import MAX_SPAN, FoldWindow
from stream_filter.core.folds import Folds
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import Fold

NOW_MS = 1_000_000
FOLD = Fold(window_ms=100, keep=2)
TIMES = st.one_of(
    st.integers(0, 700),
    st.sampled_from([-1, 0, 1 << 62, -(1 << 62), NOW_MS, NOW_MS + 5, 10**15]),
)
ROWS = st.lists(st.tuples(st.integers(-1, 2), TIMES, st.booleans()), max_size=50)
"""A text (-1: none), a timestamp, and whether the record may be folded."""
Row = tuple[int, int, bool]
Summary = tuple[int, int, int, int, int, str]


@dataclass
class Partition:
    """One partition's folds as the gate drives them."""

    folds: Folds = field(default_factory=Folds)
    clock: PartitionClock = field(default_factory=PartitionClock)
    fold: Fold = FOLD
    next_offset: int = 0
    summaries: list[Summary] = field(default_factory=list)

    def take(self, rows: Sequence[Row], spared: Sequence[bool] = ()) -> NDArray[np.bool_]:
        """Which rows are duplicates. `spared`: those of them that are forwarded all the same."""
        distinct = sorted({text for text, _, _ in rows if text >= 0}, reverse=True)
        batch = Occurrences(
            offsets=np.arange(self.next_offset, self.next_offset + len(rows), dtype=np.int64),
            codes=np.array([distinct.index(t) if t >= 0 else -1 for t, _, _ in rows], np.int32),
            digests=np.array([text + 1 for text in distinct], np.uint64),
            texts=[f"text {text}" for text in distinct],
        )
        times_ms = record_times(np.array([time for _, time, _ in rows], np.int64), NOW_MS)
        admission = self.folds.admit(
            batch,
            np.array([eligible for _, _, eligible in rows], np.bool_),
            times_ms=times_ms,
            clock_ms=self.clock.advance(times_ms),
            fold=self.fold,
        )
        folded = admission.is_duplicate.copy()
        folded[: len(spared)] &= ~np.array(spared, np.bool_)
        self._note(self.folds.settle(batch, admission, folded, self.clock.at_ms))
        self.next_offset += len(rows)
        return admission.is_duplicate

    def end(self) -> None:
        self._note(self.folds.end_all())

    def _note(self, ended: Sequence[FoldWindow]) -> None:
        self.summaries += [
            (w.digest, w.start_ms, w.folded, w.first_folded, w.last_folded, w.text) for w in ended
        ]

    def reloaded(self) -> "Partition":
        """Another owner's, from all that was saved."""
        other = Partition(fold=self.fold, next_offset=self.next_offset, summaries=self.summaries)
        other.folds.apply(self.folds.everything())
        other.clock.apply(self.clock.everything())
        return other


def storm(n: int, *, text: int = 0, at_ms: int = 50) -> list[Row]:
    """Equal records at one time."""
    return [(text, at_ms, True)] * n


@given(ROWS)
def test_counts_add_up(rows: list[Row]) -> None:
    """Whatever the timestamps: every duplicate stands in exactly one summary, with its text, and
    first and last are the ends of what it counts."""
    partition = Partition()
    duplicate = partition.take(rows)
    partition.end()
    counted = Counter[int]()
    for digest, _, folded, first, last, text in partition.summaries:
        counted[digest] += folded
        assert text == f"text {digest - 1}"
        assert duplicate[first]
        assert duplicate[last]
        assert rows[first][0] == rows[last][0] == digest - 1
        assert folded <= last - first + 1
    expected = Counter(rows[i][0] + 1 for i in np.flatnonzero(duplicate).tolist())
    assert counted == expected
    assert sum(counted.values()) == int(duplicate.sum())
    firsts = [first for _, _, _, first, _, _ in partition.summaries]
    assert len(firsts) == len(set(firsts)), "no record begins two summaries"


@given(ROWS, st.data())
def test_batches_and_reloads_do_not_matter(rows: list[Row], data: st.DataObject) -> None:
    """Any batching gives the same duplicates and the same summaries, also where the memory was
    saved and loaded in between, by its changes or as a whole."""
    whole = Partition()
    expected = whole.take(rows).tolist() if rows else []
    whole.end()

    partition, replica = Partition(), Partition()
    found: list[bool] = []
    while len(found) < len(rows):
        n = data.draw(st.integers(1, len(rows) - len(found)))
        found += partition.take(rows[len(found) : len(found) + n]).tolist()
        replica.folds.apply(partition.folds.changes())
        replica.clock.apply(partition.clock.changes())
        replica.next_offset, replica.summaries = partition.next_offset, partition.summaries
        assert sorted(replica.folds.everything()) == sorted(partition.folds.everything())
        assert replica.clock.at_ms == partition.clock.at_ms
        if data.draw(st.booleans()):
            partition, replica = replica.reloaded(), replica.reloaded()
    partition.end()
    assert found == expected
    assert sorted(partition.summaries) == sorted(whole.summaries)


@given(st.lists(st.integers(0, 2), max_size=40), st.integers(1, 4))
def test_in_order(texts: list[int], keep: int) -> None:
    """Records in order: of each text and window the first `keep` go on and the others are folded,
    and there is one summary for each window that folded something."""
    times = [7 * i for i in range(len(texts))]
    partition = Partition(fold=Fold(window_ms=100, keep=keep))
    duplicate = partition.take([(x, t, True) for x, t in zip(texts, times, strict=True)])
    partition.end()
    places = [(text + 1, time // 100 * 100) for text, time in zip(texts, times, strict=True)]
    expected = [places[:i].count(place) >= keep for i, place in enumerate(places)]
    assert duplicate.tolist() == expected
    by_place = {(digest, start): folded for digest, start, folded, *_ in partition.summaries}
    assert len(by_place) == len(partition.summaries)
    over = {place: n - keep for place, n in Counter(places).items() if n > keep}
    assert by_place == over


@given(ROWS, st.lists(st.booleans(), min_size=50, max_size=50))
def test_what_was_spared_is_not_counted(rows: list[Row], spared: list[bool]) -> None:
    """Duplicates that are forwarded after all (shadow, ramp) take their place in the window, and
    no summary counts them."""
    one, other = Partition(), Partition()
    duplicate = one.take(rows)
    assert (other.take(rows, spared[: len(rows)]) == duplicate).all()
    other.end()
    expected = int((duplicate & ~np.array(spared[: len(rows)], np.bool_)).sum())
    assert sum(folded for _, _, folded, *_ in other.summaries) == expected


def test_a_window_ends_as_the_clock_passes_its_end() -> None:
    """The summary comes with the first record of any text at or after the window's end."""
    partition = Partition()
    partition.take(storm(5))
    partition.take([(1, 99, False)])
    assert partition.summaries == []
    partition.take([(-1, 100, False)])
    assert partition.summaries == [(1, 0, 3, 2, 4, "text 0")]
    assert partition.take(storm(1, at_ms=150)).tolist() == [False], "a new window, a new account"


def test_out_of_order_records_find_their_window() -> None:
    """A record behind the clock belongs to its own window: a late storm is folded like any other,
    and its window ends when the clock has moved on by a window's length."""
    partition = Partition()
    partition.take([(1, 500, True)])
    assert partition.take(storm(5, at_ms=50)).sum() == 3
    partition.take([(1, 599, True)])
    assert partition.take(storm(2, at_ms=50)).all(), "still open"
    partition.take([(1, 600, True)])
    assert partition.summaries == [(1, 0, 5, 3, 8, "text 0")]


def test_the_future_is_now() -> None:
    """A record that claims to be from the far future blocks nothing: later storms have windows
    that end as the present goes on."""
    partition = Partition()
    partition.take([(1, 1 << 62, True)])
    assert partition.clock.at_ms == NOW_MS
    assert partition.take(storm(5, at_ms=NOW_MS - 250)).sum() == 3
    later = record_times(np.array([NOW_MS + 100]), NOW_MS + 100)
    partition.clock.advance(later)
    partition.take([(-1, 0, False)])
    assert [summary[2] for summary in partition.summaries] == [3]


def test_no_window_is_open_for_ever() -> None:
    """Where the clock stands still, a window ends after MAX_SPAN offsets."""
    partition = Partition()
    partition.take([(1, NOW_MS, True)])
    partition.take(storm(5, at_ms=0))
    partition.next_offset = MAX_SPAN
    partition.take([(-1, 0, False)])
    assert partition.summaries == []
    partition.next_offset = MAX_SPAN + 1
    assert partition.take(storm(1, at_ms=0)).tolist() == [False]
    assert [summary[2] for summary in partition.summaries] == [3]


@given(st.lists(st.integers(0, 300), max_size=200))
def test_bounded(texts: list[int]) -> None:
    """Of more windows than the limit those opened first end early: nothing that was folded goes
    uncounted, and nothing is folded that would not be without the limit."""
    small, unbounded = Partition(folds=Folds(limit=5)), Partition()
    folded = 0
    for batch in (texts[i : i + 9] for i in range(0, len(texts), 9)):
        rows = [(text, 50, True) for text in batch]
        duplicate = small.take(rows)
        assert (~duplicate | unbounded.take(rows)).all()
        folded += int(duplicate.sum())
        assert len(small.folds) <= 5
    small.end()
    assert sum(summary[2] for summary in small.summaries) == folded


def test_windows_without_folds_leave_no_trace() -> None:
    """A window in which nothing was folded ends without a summary, and holds no text."""
    partition = Partition()
    partition.take(storm(2))
    assert [entry.text for entry in partition.folds.everything()] == [""]
    partition.end()
    assert partition.summaries == []
    assert len(partition.folds) == 0
    assert [entry.numbers for entry in partition.folds.changes()] == [()]


def test_another_window_length() -> None:
    """A policy with another window length leaves open windows as they are until their end."""
    partition = Partition()
    partition.take(storm(5))
    partition.fold = Fold(window_ms=1_000, keep=2)
    partition.take([(1, 150, True)])
    assert [summary[:3] for summary in partition.summaries] == [(1, 0, 3)]


GOOD = (100, 100, 0, 5, 3, 2, 4)


@pytest.mark.parametrize(
    "entry",
    [
        Entry(-1, 0, GOOD),
        Entry(1, 0, GOOD[:-1]),
        Entry(1, 1 << 63, GOOD),
        Entry(1, 0, (100, 100, -5, 5, 3, 2, 4)),
        Entry(1, 0, (100, 100, 0, 5, 6, 2, 4)),
        Entry(1, 0, (100, 100, 0, 5, -1, 2, 4)),
    ],
    ids=str,
)
def test_impossible_entries_are_refused(entry: Entry) -> None:
    """What no memory ever saved is an error."""
    with pytest.raises(ValueError, match=r"\w"):
        Folds().apply([entry])
    Folds().apply([Entry(1, 0, GOOD)])
