"""Offsets as ranges say the same as the offsets."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.offset_ranges import contained, ranges_of

OFFSETS = st.sets(st.integers(0, 60)).map(sorted)


@given(OFFSETS, st.integers(1, 9))
def test_ranges_hold_every_offset(offsets: list[int], gap: int) -> None:
    """With a gap of 1 they hold nothing else; with more, nothing twice, and gaps are larger."""
    ranges = ranges_of(np.array(offsets, np.int64), gap=gap)
    unfolded = [n for first, last in ranges for n in range(first, last + 1)]
    assert set(offsets) <= set(unfolded)
    assert unfolded == sorted(set(unfolded))
    assert gap > 1 or unfolded == offsets
    for (_, last), (first, _) in pairwise(ranges):
        assert first - last > gap


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9))), OFFSETS)
def test_contained_as_if_unfolded(spans: list[tuple[int, int]], offsets: list[int]) -> None:
    """Whatever ranges overlap or repeat."""
    ranges = [(first, first + more) for first, more in spans]
    unfolded = {n for first, last in ranges for n in range(first, last + 1)}
    found = contained(np.array(offsets, np.int64), ranges)
    assert found.tolist() == [n in unfolded for n in offsets]


def test_a_range_of_all_offsets() -> None:
    """Costs no more than any other."""
    assert contained(np.array([5, 1 << 62], np.int64), [(0, (1 << 63) - 1)]).all()
