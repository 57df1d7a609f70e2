"""Binomial tails against sums of fractions."""

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.binomial import binomial_cdf, binomial_upper, most_below

shares = st.floats(0.001, 0.999)


def exact_cdf(successes: int, trials: int, chance: float) -> float:
    p = Fraction(chance)
    return float(
        sum(math.comb(trials, j) * p**j * (1 - p) ** (trials - j) for j in range(successes + 1))
    )


@given(st.integers(1, 60), st.data(), shares)
def test_equals_the_sum(trials: int, data: st.DataObject, chance: float) -> None:
    """The tail is the sum of its terms."""
    successes = data.draw(st.integers(0, trials))
    expected = exact_cdf(successes, trials, chance)
    assert binomial_cdf(successes, trials, chance) == pytest.approx(expected, rel=1e-9)


def test_ends() -> None:
    """Fewer than none is impossible, all or fewer is certain."""
    assert binomial_cdf(-1, 10, 0.5) == 0.0
    assert binomial_cdf(10, 10, 0.5) == 1.0
    assert binomial_cdf(0, 0, 0.5) == 1.0


@given(st.integers(0, 3_000), shares, st.floats(0.001, 0.6))
def test_most_below_is_the_last(trials: int, chance: float, limit: float) -> None:
    """The count found has the tail asked for, and the next has not."""
    most = most_below(trials, chance, limit)
    assert -1 <= most < max(trials, 1)
    assert binomial_cdf(most, trials, chance) <= limit * (1 + 1e-9)
    assert binomial_cdf(most + 1, trials, chance) >= limit * (1 - 1e-9)


def test_large_numbers() -> None:
    """With ten million trials the order is the normal one to a thousandth of its deviation."""
    n, p = 10**7, 0.05
    sd = math.sqrt(n * p * (1 - p))
    assert most_below(n, p, 0.05) == pytest.approx(n * p - 1.6449 * sd, abs=0.01 * sd)


@given(st.integers(1, 200), st.data(), st.floats(0.01, 0.99))
def test_upper_bound_is_exact(trials: int, data: st.DataObject, alpha: float) -> None:
    """At the bound the tail is α; no success at all has the bound in closed form."""
    successes = data.draw(st.integers(0, trials - 1))
    bound = binomial_upper(successes, trials, alpha)
    assert binomial_cdf(successes, trials, bound) == pytest.approx(alpha, rel=1e-6)
    assert binomial_upper(0, trials, alpha) == pytest.approx(1.0 - alpha ** (1.0 / trials))


def test_upper_bound_of_all() -> None:
    """If all trials succeeded nothing is excluded."""
    assert binomial_upper(7, 7, 0.05) == 1.0
