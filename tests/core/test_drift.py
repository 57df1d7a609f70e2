"""The drift signs: the e-detector's arithmetic, and shifts that chance does not explain."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.drift import (
    DriftState,
    RecallWatch,
    novelty_growth,
    score_histogram,
    spread_shift,
    update,
)

WATCH = RecallWatch(recall=0.95, holdout=0.05, failure_probability=1e-4)


def test_share_under_the_target() -> None:
    """p0 is that of the method's formula; with fewer forwarded events judged it is greater."""
    assert pytest.approx(0.05 * 0.05 / (0.95 + 0.05 * 0.05)) == WATCH.holdout_share
    half = RecallWatch(recall=0.95, holdout=0.05, failure_probability=1e-4, judged_share=0.5)
    assert half.holdout_share == pytest.approx(0.0025 / (0.475 + 0.0025))


@given(st.lists(st.booleans(), max_size=60))
def test_state_follows_the_recursion(events: list[bool]) -> None:
    """S ← (1 + S) q(z)/p0(z) for each alternative, and the alarm at an average of 1/α."""
    state = update(DriftState(), events, watch=WATCH)
    sums, alarmed_at = [0.0] * 4, None
    p0 = WATCH.holdout_share
    for number, held_out in enumerate(events, start=1):
        for index, factor in enumerate((2, 5, 20, 100)):
            q = min(factor * p0, 0.99)
            sums[index] = (1 + sums[index]) * (q / p0 if held_out else (1 - q) / (1 - p0))
        if alarmed_at is None and sum(sums) / 4 >= 1e4:
            alarmed_at = number
    assert state.sums == pytest.approx(tuple(sums))
    assert (state.events, state.alarmed_at) == (len(events), alarmed_at)
    assert state.is_alarmed == (alarmed_at is not None)


@given(st.lists(st.booleans(), max_size=60), st.integers(0, 60))
def test_portions_do_not_matter(events: list[bool], cut: int) -> None:
    """A state carried over gives what all events at once give."""
    first = update(DriftState(), events[:cut], watch=WATCH)
    assert update(first, events[cut:], watch=WATCH) == update(DriftState(), events, watch=WATCH)


def test_alarm_stays_up() -> None:
    """An alarm once raised stays, with the event that raised it, and sums stay finite."""
    alarmed = update(DriftState(), [True] * 2_000, watch=WATCH)
    assert alarmed.alarmed_at is not None
    assert all(np.isfinite(alarmed.sums))
    calm = update(alarmed, [False] * 20_000, watch=WATCH)
    assert calm.alarmed_at == alarmed.alarmed_at


@given(st.integers(0, 1_000), st.floats(0.5, 0.99), st.floats(0.001, 0.9))
def test_sums_less_events_are_a_martingale(seed: int, recall: float, holdout: float) -> None:
    """At R = γ the expected next average is the present one plus 1: what makes 1/α the run
    length."""
    watch = RecallWatch(recall=recall, holdout=holdout, failure_probability=1e-3)
    sums = np.random.default_rng(seed).exponential(5.0, size=4)
    p0 = watch.holdout_share
    up, down = (watch.advance(sums, np.asarray(z)) for z in (True, False))
    expected = p0 * up + (1 - p0) * down
    assert expected == pytest.approx(1 + sums, rel=1e-9)
    assert watch.start(3).shape == (3, 4)


@pytest.mark.parametrize("name", ["recall", "holdout", "failure_probability", "judged_share"])
def test_bad_watches_are_named(name: str) -> None:
    """Shares outside their range are refused by name."""
    changes: dict[str, Any] = {
        "recall": 0.95, "holdout": 0.05, "failure_probability": 1e-4, name: 0.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=f"^{name}: "):
        RecallWatch(**changes)


def shifted(rng: np.random.Generator, size: int, by: float) -> "np.ndarray[Any, Any]":
    return score_histogram(np.clip(rng.beta(2, 8, size) + by, 0.0, 1.0))


def test_equal_spreads_stay_silent() -> None:
    """Of 2,000 pairs of samples from one spread, hardly one is found apart at δ = 0.01."""
    rng = np.random.default_rng(4)
    found = [
        spread_shift(shifted(rng, 400, 0.0), shifted(rng, 300, 0.0), failure_probability=0.01)
        for _ in range(2_000)
    ]
    assert np.mean(np.array(found) > 0) <= 0.01


def test_a_shift_is_found_and_never_overstated() -> None:
    """A shifted spread is found, more of it with more events, and never more than there is."""
    rng = np.random.default_rng(5)
    truth = 0.5 * np.abs(shifted(rng, 10**6, 0.0) / 10**6 - shifted(rng, 10**6, 0.15) / 10**6).sum()
    found = [
        spread_shift(shifted(rng, n, 0.0), shifted(rng, n, 0.15), failure_probability=0.01)
        for n in (500, 5_000, 500_000)
    ]
    assert 0.0 < found[0] < found[1] < found[2] <= truth + 0.005
    assert found[2] == pytest.approx(truth, abs=0.02)


def test_histogram_leaves_out_what_has_no_score() -> None:
    """NaN, an event that was not scored, is in no bin; 0 and 1 are in the outermost."""
    counts = score_histogram(np.array([0.0, 0.04, 0.5, 1.0, np.nan], np.float32))
    assert (counts[0], counts[10], counts[19], counts.sum()) == (2, 1, 1, 4)


def test_novelty() -> None:
    """More unseen texts than before are noticed, fewer or equally many are not."""
    common: dict[str, Any] = {"reference_events": 100_000, "events": 20_000}
    for novel, is_noticed in ((200, False), (100, False), (4_000, True)):
        growth = novelty_growth(
            reference_novel=1_000, novel=novel, failure_probability=0.001, **common
        )
        assert (growth > 0.0) == is_noticed
    assert growth <= 0.19


BAD: list[tuple[list[Any], list[Any], str]] = [
    ([1, 2], [1, 2, 3], "differ in shape"),
    ([0, 0], [1, 2], "reference: is empty"),
    ([1, 2], [0, 0], "current: is empty"),
    ([1, -2], [1, 2], "reference: must be whole numbers"),
    ([1, 2], [1, 0.5], "current: must be whole numbers"),
    ([1, 2], [1, float("nan")], "current: must be whole numbers"),
]


@pytest.mark.parametrize(("reference", "current", "said"), BAD)
def test_bad_histograms_are_named(reference: list[Any], current: list[Any], said: str) -> None:
    """What is no histogram is a ValueError that names it."""
    with pytest.raises(ValueError, match=said):
        spread_shift(reference, current, failure_probability=0.01)
