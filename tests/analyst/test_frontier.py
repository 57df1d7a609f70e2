"""Offsets: never beyond what has no outcome, and nothing done is forgotten."""

from hypothesis import given
from hypothesis import strategies as st

from stream_filter.analyst.frontier import MOST_SPAN, Frontier, read_metadata


@given(
    st.lists(st.integers(0, 3), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
    st.integers(0, 60),
)
def test_a_successor_repeats_exactly_what_was_not_done(steps, dice, finished) -> None:  # type: ignore[no-untyped-def]
    """Whatever order outcomes come in, over gaps: position and metadata name the rest."""
    offsets = [10 + sum(steps[: n + 1]) + n for n in range(len(steps))]
    frontier = Frontier(offsets[0])
    assert all(frontier.take(offset) for offset in offsets)
    done = set(dice.sample(offsets, min(finished, len(offsets))))
    for offset in done:
        frontier.finish(offset)
    open_offsets = [offset for offset in offsets if offset not in done]
    assert frontier.position == min(open_offsets, default=offsets[-1] + 1)
    successor = Frontier(frontier.position, read_metadata(frontier.position, frontier.metadata()))
    read = [offset for offset in offsets if offset >= frontier.position]
    assert [offset for offset in read if successor.take(offset)] == open_offsets


def test_the_successor_passes_on_what_it_was_told() -> None:
    """Done beyond the position stays done through a second takeover."""
    first = Frontier(0)
    for offset in range(6):
        first.take(offset)
    for offset in (2, 4):
        first.finish(offset)
    second = Frontier(first.position, read_metadata(first.position, first.metadata()))
    assert [second.take(offset) for offset in range(3)] == [True, True, False]
    second.finish(0)
    third = Frontier(second.position, read_metadata(second.position, second.metadata()))
    assert [n for n in range(1, 6) if third.take(n)] == [1, 3, 5]


def test_metadata_fits_what_a_broker_keeps() -> None:
    """At the widest span, every second one done: the worst to compress stays below 4,096 bytes."""
    import random

    frontier, dice = Frontier(0), random.Random(1)
    for offset in range(MOST_SPAN):
        frontier.take(offset)
    for offset in range(1, MOST_SPAN):
        if dice.random() < 0.5:
            frontier.finish(offset)
    assert len(frontier.metadata()) < 4096


def test_foreign_metadata_says_nothing() -> None:
    """What another program committed is no list of offsets."""
    for metadata in ("", "hello", "1:", "1:!!", "1:AAAA", "2:eJw="):
        assert read_metadata(5, metadata) == set()


def test_what_is_read_again_is_not_taken_twice() -> None:
    """An offset before the next one was taken already."""
    frontier = Frontier(3)
    assert frontier.take(3)
    assert not frontier.take(3)
