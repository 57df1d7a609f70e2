"""The test of excess holds its rate of false alarms, and sees what is there."""

import numpy as np
import pytest

from stream_filter.outage.excess import p_values, surprise, usual
from stream_filter.outage.onset import onset_slot
from stream_filter.outage.slot_counts import SlotCounts

WINDOW = 30
BASELINE = 360


def clumped(dice: np.random.Generator, rate: float, shape: tuple[int, int]) -> np.ndarray:
    """Counts by key and slot: rates that wander from window to window, events in clumps."""
    keys, slots = shape
    wander = np.repeat(dice.gamma(4.0, 0.25, (keys, slots // WINDOW)), WINDOW, axis=1)
    heads = dice.poisson(rate * wander)
    return heads + dice.negative_binomial(np.maximum(heads, 1), 0.67) * (heads > 0)


@pytest.mark.parametrize("rate", [0.01, 0.1, 1.0, 10.0])
@pytest.mark.parametrize("is_clumped", [False, True])
def test_false_alarms_are_as_rare_as_stated(rate: float, is_clumped: bool) -> None:
    """Of 5,000 keys that go on as before, at most a thousandth is below 0.001, also where events
    come in clumps and rates wander."""
    dice = np.random.default_rng(5)
    shape = (5_000, BASELINE + WINDOW)
    counts = clumped(dice, rate, shape) if is_clumped else dice.poisson(rate, shape)
    found = p_values(counts[:, BASELINE:], usual(counts[:, :BASELINE], WINDOW))
    assert (found <= 0.001).mean() <= 0.001


def test_twice_as_much_is_no_excess() -> None:
    """A rate that doubles is within what is taken as usual."""
    dice = np.random.default_rng(6)
    counts = dice.poisson(1.0, (2_000, BASELINE + WINDOW))
    counts[:, BASELINE:] = dice.poisson(2.0, (2_000, WINDOW))
    found = p_values(counts[:, BASELINE:], usual(counts[:, :BASELINE], WINDOW))
    assert (found <= 0.001).mean() <= 0.002


def test_what_is_new_and_goes_on_is_an_excess() -> None:
    """Ten of a text that was never seen, spread over the window; the same ten at once are none."""
    counts = np.zeros((2, BASELINE + WINDOW), np.int64)
    counts[0, BASELINE : BASELINE + 30 : 3] = 1
    counts[1, -1] = 10
    spread, burst = p_values(counts[:, BASELINE:], usual(counts[:, :BASELINE], WINDOW))
    assert spread < 1e-6
    assert burst == 1.0


def test_too_little_history_says_nothing() -> None:
    """Less than three windows of it."""
    counts = np.full((1, 2 * WINDOW), 1)
    counts[0, WINDOW:] = 50
    assert not usual(counts[:, :WINDOW], WINDOW).is_enough
    assert p_values(counts[:, WINDOW:], usual(counts[:, :WINDOW], WINDOW)).tolist() == [1.0]


def test_surprise_is_of_more_than_expected_only() -> None:
    """And grows with the count, and with how little was to be expected."""
    values = surprise(np.array([3, 3, 30, 1]), np.array([0.0, 1.0, 1.0, 8.0]))
    assert values[3] == 0.0
    assert 0.0 < values[1] < values[0] < values[2]


@pytest.mark.parametrize("shape", ["step", "ramp"])
def test_an_onset_is_found_where_it_is(shape: str) -> None:
    """Mostly within three slots of a step, and within half a window of where a ramp begins; in
    95 of 100 within a window."""
    dice = np.random.default_rng(7)
    off = []
    for _ in range(100):
        rates = np.full(BASELINE + WINDOW, 0.05)
        since = np.arange(90)
        rates[300:] += 1.0 if shape == "step" else since / 45.0
        off.append(abs(onset_slot(dice.poisson(rates)) - 300))
    assert np.median(off) <= (3 if shape == "step" else 15)
    assert np.quantile(off, 0.95) <= 30


def test_a_ring_forgets_what_is_old_and_keeps_the_rest() -> None:
    """Counts by slot are those of the newest slots, in order; keys without a count are dropped."""
    ring: SlotCounts[str] = SlotCounts(4, 3)
    ring.advance(10)
    assert ring.add("a", 10)
    assert ring.add("a", 7)
    assert not ring.add("a", 6)
    assert not ring.add("a", 11)
    assert ring.between(0, 99).tolist() == [[1, 0, 0, 1]]
    ring.advance(12)
    assert ring.add("b", 12)
    assert ring.between(9, 13).tolist() == [[0, 1, 0, 0], [0, 0, 0, 1]]
    ring.advance(15)
    assert ring.forget_empty() == ["a"]
    assert ring.keys() == ["b"]
    assert [ring.add(name, 15) for name in "cde"] == [True, True, False]
