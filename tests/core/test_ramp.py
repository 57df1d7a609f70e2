"""The ramp: the share is as asked, and whoever is enforced stays so while it grows."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.holdout import held_out
from stream_filter.core.ramp import is_enforced, is_key_enforced

PERCENT = st.floats(0, 100, allow_nan=False)


def side(offsets: NDArray[np.int64], percent: float, key: bytes = b"secret") -> NDArray[np.bool_]:
    """Enforced offsets of partition 3 of `logs`."""
    return is_enforced(offsets, topic="logs", partition=3, percent=percent, key=key)


@given(st.lists(st.integers(0, 2**62), min_size=1, max_size=50), PERCENT, PERCENT)
def test_growing_keeps_sides(offsets: list[int], one: float, other: float) -> None:
    """Nothing enforced at a lower ramp is unenforced at a higher."""
    array = np.array(offsets, np.int64)
    lower, higher = side(array, min(one, other)), side(array, max(one, other))
    assert (~lower | higher).all()


def test_ramp_of_a_rollout() -> None:
    """0 → 10 → 50 → 100: at each step the share is within five standard deviations of a binomial,
    and the sides are nested."""
    offsets = np.arange(200_000)
    before = np.zeros(len(offsets), np.bool_)
    for percent in (0, 10, 50, 100):
        enforced = side(offsets, percent)
        share = percent / 100
        allowed = 5 * math.sqrt(len(offsets) * share * (1 - share))
        assert abs(int(enforced.sum()) - share * len(offsets)) <= allowed
        assert enforced[before].all()
        before = enforced


def test_independent_of_the_holdout() -> None:
    """The share of held-out records is the same on both sides of the ramp."""
    offsets = np.arange(200_000)
    held = held_out(offsets, topic="logs", partition=3, probability=0.1, key=b"secret")
    enforced = side(offsets, 50)
    for part in (held[enforced], held[~enforced]):
        assert abs(part.mean() - 0.1) < 5 * math.sqrt(0.09 / len(part))


@pytest.mark.parametrize("percent", [0.0, 100.0])
def test_ends(percent: float) -> None:
    """0 enforces nothing and 100 everything."""
    assert (side(np.arange(1_000), percent) == (percent == 100.0)).all()


def test_the_key_decides() -> None:
    """Another key draws other sides."""
    offsets = np.arange(1_000)
    assert (side(offsets, 50) != side(offsets, 50, b"other")).any()


def key_side(keys: list[bytes | None], percent: float) -> NDArray[np.bool_]:
    """Which records of these keys are enforced; those without one are where they stand even."""
    by_position = (
        np.arange(len(keys)) % 2 == 0
        if 0 < percent < 100
        else np.full(len(keys), percent >= 100, np.bool_)
    )
    return is_key_enforced(keys, by_position, percent=percent, key=b"secret")


KEYS = st.lists(st.one_of(st.none(), st.binary(max_size=3)), max_size=50)


@given(KEYS, PERCENT, PERCENT)
def test_growing_keeps_the_sides_of_keys(
    keys: list[bytes | None], one: float, other: float
) -> None:
    """By key nothing enforced at a lower ramp is unenforced at a higher, and all records of a key
    are on one side."""
    lower, higher = key_side(keys, min(one, other)), key_side(keys, max(one, other))
    keyed = np.array([each is not None for each in keys], np.bool_)
    assert (~lower | higher)[keyed].all()
    for each in set(keys) - {None}:
        assert len({bool(s) for s, k in zip(higher, keys, strict=True) if k == each}) == 1


def test_the_share_of_keys_is_as_asked() -> None:
    """Of 100,000 keys the share enforced is within five standard deviations of a binomial; a record
    without a key is where its position says."""
    keys: list[bytes | None] = [b"key-%d" % n for n in range(100_000)]
    for percent in (0.0, 10.0, 50.0, 100.0):
        share = percent / 100
        allowed = 5 * math.sqrt(len(keys) * share * (1 - share))
        assert abs(int(key_side(keys, percent).sum()) - share * len(keys)) <= allowed
    assert key_side([None] * 4, 50.0).tolist() == [True, False, True, False]
