"""Novelty: the first k would-be drops of a text, and no more."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.entry import Entry
from stream_filter.core.novelty import NoveltyCounts
from stream_filter.core.occurrences import Occurrences, ranks

ROWS = st.lists(st.tuples(st.integers(-1, 4), st.booleans()), max_size=60)
"""A text (-1: none) and whether the record would be dropped."""
Row = tuple[int, bool]


def occurrences(texts: Sequence[int], first_offset: int = 0) -> Occurrences:
    """A batch that holds these texts, in codes of its own."""
    distinct = sorted({text for text in texts if text >= 0}, reverse=True)
    return Occurrences(
        offsets=np.arange(first_offset, first_offset + len(texts), dtype=np.int64),
        codes=np.array([distinct.index(t) if t >= 0 else -1 for t in texts], np.int32),
        digests=np.array([(text + 1) * 0x123456789ABCDEF for text in distinct], np.uint64),
        texts=[f"text {text}" for text in distinct],
    )


def take(
    counts: NoveltyCounts, rows: Sequence[Row], k: int, first_offset: int = 0
) -> NDArray[np.bool_]:
    """Which rows are novel."""
    batch = occurrences([text for text, _ in rows], first_offset)
    return counts.take_first(batch, np.array([dropped for _, dropped in rows], np.bool_), k)


def expected(rows: Sequence[Row], k: int) -> list[bool]:
    """The definition, a row at a time."""
    seen: Counter[int] = Counter()
    novel = []
    for text, dropped in rows:
        counted = dropped and text >= 0
        novel.append(counted and seen[text] < k)
        seen[text] += counted
    return novel


@given(ROWS, st.integers(1, 4))
def test_definition(rows: list[Row], k: int) -> None:
    """Of a text's would-be drops exactly the first k are novel, and nothing else is."""
    assert take(NoveltyCounts(), rows, k).tolist() == expected(rows, k)


@given(ROWS, st.integers(1, 4), st.data())
def test_batches_and_reloads_do_not_matter(rows: list[Row], k: int, data: st.DataObject) -> None:
    """Any batching gives the same, and so does a memory that was saved and loaded in between, by
    its changes or as a whole."""
    counts, replica = NoveltyCounts(), NoveltyCounts()
    found: list[bool] = []
    at = 0
    while at < len(rows):
        n = data.draw(st.integers(1, len(rows) - at))
        found += take(counts, rows[at : at + n], k, at).tolist()
        at += n
        replica.apply(counts.changes())
        if data.draw(st.booleans()):
            counts, replica = replica, NoveltyCounts()
            replica.apply(counts.everything())
    assert found == expected(rows, k)
    assert {e.key: e.numbers[0] for e in replica.everything()} == {
        e.key: e.numbers[0] for e in counts.everything()
    }


@given(st.lists(st.integers(0, 60), max_size=300), st.integers(1, 3))
def test_bounded_and_forgetting_forwards(texts: list[int], k: int) -> None:
    """It never holds more than its limit, and forgetting only ever makes more novel."""
    small, unbounded = NoveltyCounts(limit=20), NoveltyCounts()
    replica = NoveltyCounts(limit=20)
    for at in range(0, len(texts), 7):
        rows = [(text, True) for text in texts[at : at + 7]]
        novel = take(small, rows, k, at)
        assert (novel | ~take(unbounded, rows, k, at)).all()
        assert len(small) <= 20
        replica.apply(small.changes())
        assert {e.key for e in replica.everything()} == {e.key for e in small.everything()}


def test_the_texts_seen_last_are_kept() -> None:
    """A text that keeps coming is not forgotten, however many others come and go."""
    counts = NoveltyCounts(limit=20)
    take(counts, [(0, True)], 1)
    for other in range(1, 200):
        assert not take(counts, [(0, True), (other, True)], 1, 10 * other)[0]


def test_unchanged_is_not_saved() -> None:
    """Texts whose first k are through cost nothing to save."""
    counts = NoveltyCounts()
    take(counts, [(0, True), (1, True)], 2)
    assert len(counts.changes()) == 2
    take(counts, [(0, True), (0, True)], 2, 2)
    assert [entry.numbers[0] for entry in counts.changes()] == [2]
    take(counts, [(0, True)], 2, 4)
    assert counts.changes() == []


def test_two_texts_of_one_digest() -> None:
    """Texts that share a digest share an entry; nothing breaks."""
    batch = Occurrences(
        offsets=np.arange(2),
        codes=np.array([0, 1], np.int32),
        digests=np.array([7, 7], np.uint64),
        texts=["a", "b"],
    )
    counts = NoveltyCounts()
    assert counts.take_first(batch, np.array([True, True]), 1).all()
    assert not counts.take_first(batch, np.array([True, True]), 1).any()
    assert len(counts) == 1


@pytest.mark.parametrize(
    "entry",
    [
        Entry(-1, 0, (1, 1)),
        Entry(1 << 64, 0, (1, 1)),
        Entry(1, 0, (1,)),
        Entry(1, 0, (1, 1, 1)),
        Entry(1, 0, (-1, 1)),
        Entry(1, 0, (1, 1 << 63)),
    ],
    ids=str,
)
def test_impossible_entries_are_refused(entry: Entry) -> None:
    """What no memory ever saved is an error, and not taken over."""
    with pytest.raises(ValueError, match=r"\w"):
        NoveltyCounts().apply([entry])


@given(st.lists(st.integers(0, 5), max_size=40))
def test_ranks(values: list[int]) -> None:
    """A rank is the number of equal values before."""
    found = ranks(np.array(values, np.int32)).tolist()
    assert found == [values[:i].count(value) for i, value in enumerate(values)]
