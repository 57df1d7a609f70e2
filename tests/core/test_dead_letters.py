"""The difference between a bad record and a bad deploy."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.dead_letters import DeadLetterLimit, DeadLetterTally

LIMIT = DeadLetterLimit(max_run=10, max_share=0.5, window=100)


def tally_of(*batches: list[bool], limit: DeadLetterLimit = LIMIT) -> DeadLetterTally:
    tally = DeadLetterTally()
    for batch in batches:
        tally = tally.add(np.array(batch, np.bool_), limit)
    return tally


@given(st.lists(st.booleans(), max_size=80), st.data())
def test_batch_borders_do_not_matter(flags: list[bool], data: st.DataObject) -> None:
    """The run at the end is the same however the records came in batches."""
    cut = data.draw(st.integers(0, len(flags)))
    assert tally_of(flags[:cut], flags[cut:]) == tally_of(flags)
    run = 0
    for flag in flags:
        run = run + 1 if flag else 0
    assert tally_of(flags).run == run


def test_run_is_exceeded() -> None:
    """One dead letter in a row more than the limit stops; as many as the limit do not."""
    assert tally_of([True] * 10).exceeds(LIMIT) is None
    said = tally_of([True] * 6, [True] * 5).exceeds(LIMIT)
    assert said == "11 records in a row cannot be decoded (limit 10)"


def test_one_good_record_ends_a_run() -> None:
    """A record that can be decoded begins the run anew."""
    assert tally_of([True] * 10, [False], [True] * 10).exceeds(LIMIT) is None


def test_share_is_exceeded() -> None:
    """More than half of the window stops, without any long run; exactly half does not."""
    half, more = [True, False] * 50, [True, False] * 49 + [True, True]
    assert tally_of(half).exceeds(LIMIT) is None
    said = tally_of(more).exceeds(LIMIT)
    assert said == "51% of 100 records cannot be decoded (limit 50%)"


def test_share_waits_for_the_window() -> None:
    """Before the window is full, a share says nothing."""
    assert tally_of([True, True, False] * 33).exceeds(LIMIT) is None


def test_a_calm_hour_is_forgotten() -> None:
    """A bad deploy is seen within two windows, however long all was well before."""
    calm = [[False] * 100] * 1000
    bad = [[True, True, False] * 33] * 4
    assert tally_of(*calm).exceeds(LIMIT) is None
    assert tally_of(*calm, *bad).exceeds(LIMIT) is not None


def test_a_huge_batch_is_halved_until_it_fits() -> None:
    """The counts stay below two windows, whatever the batch's size."""
    tally = tally_of([False] * 100_000)
    assert tally.seen < 200
