"""Splits: what belongs together is on one side, whatever the labels, groups and times."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.splits import FOLDS, held_out_folds, unsplit_groups
from stream_filter.core.errors import ConfigError


def events(
    rows: list[tuple[int, int | None, bool]], times: list[float] | None = None
) -> LabelledEvents:
    """Of (text, group, important)."""
    codes = np.unique([text for text, _, _ in rows], return_inverse=True)[1].astype(np.int32)
    groups = [
        code if group is None else -1 - group
        for code, (_, group, _) in zip(codes, rows, strict=True)
    ]
    return LabelledEvents(
        texts=[f"text {n}" for n in range(int(codes.max()) + 1)],
        codes=codes,
        important=np.array([label for _, _, label in rows], np.int8),
        weights=np.ones(len(rows)),
        groups=np.array(groups, np.int64),
        times_s=np.array(times) if times else np.full(len(rows), np.nan),
        slices={},
        without_text=0,
        contradicted=0,
        sha256="",
    )


ROWS = st.lists(
    st.tuples(st.integers(0, 60), st.none() | st.integers(0, 30), st.booleans()),
    min_size=1,
    max_size=120,
)


@settings(deadline=None)  # a shared machine stalls now and then
@given(ROWS, st.booleans())
def test_nothing_is_split(rows: list[tuple[int, int | None, bool]], timed: bool) -> None:
    """No text and no group is both trained and tested on, chains included; every event without a
    time is tested once."""
    found = events(rows, [float(n) for n in range(len(rows))] if timed else None)
    try:
        folds, _ = held_out_folds(found, seed=1)
    except ConfigError:
        return
    for tested in folds:
        for column in (found.codes, found.groups):
            assert not set(column[tested]) & set(column[~tested])
    if not timed:
        assert (np.sum(folds, axis=0) == 1).all()


def test_groups_are_linked_by_texts() -> None:
    """Two groups that share a text are one; a text without a group is its own."""
    found = unsplit_groups(
        events([(1, 1, True), (2, 1, True), (2, 2, True), (3, 2, True), (4, None, True)])
    )
    assert found[:4].tolist() == [found[0]] * 4
    assert found[4] != found[0]


def test_by_time_the_latest_are_held_out() -> None:
    """With times, what begins last tests what came before."""
    rows = [(n, None, n % 2 == 0) for n in range(100)]
    (tested,), said = held_out_folds(events(rows, [1000.0 - n for n in range(100)]), seed=1)
    assert np.flatnonzero(tested).tolist() == list(range(20))
    assert "by time" in said


def test_folds_share_the_important() -> None:
    """Each of the five folds has its part of the few important groups."""
    rows = [(n, None, n < 10) for n in range(200)]
    folds, _ = held_out_folds(events(rows), seed=3)
    assert [int(tested[:10].sum()) for tested in folds] == [2] * FOLDS


def test_too_few_labels() -> None:
    """Where a class cannot be dealt to all folds, the user is told how many there are."""
    rows = [(n, None, n < 4) for n in range(200)]
    with pytest.raises(ConfigError, match="4 different important texts"):
        held_out_folds(events(rows), seed=3)


def test_groups_may_hold_both_classes() -> None:
    """Where every group has important and other events, groups are dealt all the same."""
    rows = [(10 * group + n, group, n == 0) for group in range(7) for n in range(3)]
    folds, _ = held_out_folds(events(rows), seed=1)
    important = np.array([label for _, _, label in rows])
    for tested in folds:
        for side in (tested, ~tested):
            assert 0 < important[side].sum() < side.sum()
    timed = events(rows, [float(group) for _, group, _ in rows])
    (late,), said = held_out_folds(timed, seed=1)
    assert "time" in said
    assert set(timed.groups[late]) == {-7}
