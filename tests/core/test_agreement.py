"""How far two judges agree, beside worked examples and simulation."""

import numpy as np
import pytest

from stream_filter.core.agreement import Agreement, agreement, share_with_interval


def test_kappa_of_a_worked_example() -> None:
    """50 grant applications, two readers (Wikipedia, "Cohen's kappa"): 20 both yes, 15 both no."""
    found = Agreement(both=20, only_first=5, only_second=10, neither=15)
    assert found.kappa() == pytest.approx(0.4)
    lower, upper = found.kappa_interval() or (0.0, 0.0)
    assert lower == pytest.approx(0.4 - 1.96 * 0.1262, abs=0.005)
    assert upper == pytest.approx(0.4 + 1.96 * 0.1262, abs=0.005)


@pytest.mark.parametrize(
    ("cells", "kappa"),
    [((10, 0, 0, 90), 1.0), ((25, 25, 25, 25), 0.0), ((0, 50, 50, 0), -1.0), ((0, 0, 0, 9), None)],
)
def test_kappa_at_its_ends(cells: tuple[int, int, int, int], kappa: float | None) -> None:
    """Always, by chance, never; and not defined where both always say the same one thing."""
    both, first, second, neither = cells
    found = Agreement(both=both, only_first=first, only_second=second, neither=neither)
    assert found.kappa() == kappa
    assert (found.kappa_interval() is None) is (kappa is None)


def test_intervals_hold_what_they_promise() -> None:
    """Of 500 samples of 300 events, the true kappa lies in 95 % of the intervals, give or take, and
    the true share in at least 95 % of the exact ones."""
    dice = np.random.default_rng(1)

    def drawn(n: int) -> Agreement:
        truth = dice.random(n) < 0.2
        return agreement(truth, truth ^ (dice.random(n) < 0.1))

    true = drawn(3_000_000).kappa()
    assert true is not None
    inside = exact = 0
    for _ in range(500):
        found = drawn(300)
        lower, upper = found.kappa_interval() or (1.0, -1.0)
        inside += lower <= true <= upper
        _, least, most = found.differs()
        exact += least <= 0.1 <= most
    assert inside / 500 > 0.91
    assert exact / 500 > 0.93


def test_a_share_of_nothing_is_unknown() -> None:
    """From nothing, nothing follows."""
    assert share_with_interval(0, 0) == (0.0, 0.0, 1.0)
    share, lower, upper = share_with_interval(0, 100)
    assert (share, lower) == (0.0, 0.0)
    assert upper == pytest.approx(1 - 0.025 ** (1 / 100), rel=1e-6)
