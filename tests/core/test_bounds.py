"""The bounds on what was dropped: exact, monotone, and right where counts are large."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.bounds import (
    kept_needed,
    missed_bounds,
    missed_lower,
    missed_upper,
    missed_upper_of_strata,
    recall_bound,
)

PUBLISHED = {
    0.01: {0: 409, 1: 704, 3: 1_133, 10: 2_315, 50: 7_711},
    0.05: {0: 80, 1: 138, 3: 223, 10: 458, 50: 1_531},
    0.20: {0: 18, 1: 32, 3: 52, 10: 109, 50: 372},
}
"""M_upper at α = 0.05, by π and x, as the method's page has them."""

chances = st.floats(1e-4, 0.999)
alphas = st.floats(1e-6, 0.5)


def log_ratio(found: int, total: float, chance: float) -> float:
    """The inequality's left side as it is printed."""

    def log_beta(u: float, v: float) -> float:
        return math.lgamma(u) + math.lgamma(v) - math.lgamma(u + v)

    a, b = 0.5, 0.5 / chance
    return (
        log_beta(found + a, total - found + b)
        - log_beta(a, b)
        - found * math.log(chance)
        - (total - found) * math.log1p(-chance)
    )


@pytest.mark.parametrize("chance", PUBLISHED)
def test_published_table(chance: float) -> None:
    """The method's table is reproduced to 1 %."""
    for found, expected in PUBLISHED[chance].items():
        bound = missed_upper(found, chance, failure_probability=0.05)
        assert bound == pytest.approx(expected, rel=0.01, abs=1.0)


def test_kept_events_that_certify() -> None:
    """With nothing missed, 0.95 takes the published numbers of forwarded events, to 1 %."""
    for chance, expected in ((0.01, 7_771), (0.05, 1_520), (0.20, 342)):
        missed = missed_upper(0, chance, failure_probability=0.05)
        assert kept_needed(missed, 0.95) == pytest.approx(expected, rel=0.01)


@given(st.integers(0, 2_000), chances, alphas)
def test_bounds_are_the_ends_of_the_inequality(found: int, chance: float, alpha: float) -> None:
    """Both bounds satisfy the printed inequality, and their neighbours outside do not."""
    limit = math.log(1.0 / alpha)
    lower = missed_lower(found, chance, failure_probability=alpha)
    upper = missed_upper(found, chance, failure_probability=alpha)
    noise = 1e-6  # of the printed form, which loses digits
    assert lower == math.floor(lower)
    assert upper == math.floor(upper)
    assert found <= lower <= upper
    assert log_ratio(found, upper, chance) < limit + noise
    assert log_ratio(found, upper + 1, chance) >= limit - noise
    assert log_ratio(found, lower, chance) < limit + noise
    if lower > found:
        assert log_ratio(found, lower - 1, chance) >= limit - noise


@given(st.integers(0, 5_000), chances, alphas)
def test_bounds_are_monotone(found: int, chance: float, alpha: float) -> None:
    """One found more moves neither bound down; a smaller α widens; a greater π narrows above."""
    lower, upper = missed_bounds([found, found + 1], chance, failure_probability=alpha)
    assert lower[0] <= lower[1]
    assert upper[0] < upper[1]
    assert missed_upper(found, chance, failure_probability=alpha / 2) >= upper[0]
    assert missed_lower(found, chance, failure_probability=alpha / 2) <= lower[0]
    assert missed_upper(found, chance + 0.001, failure_probability=alpha) <= upper[0]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=20), chances)
def test_columns_equal_single_values(found: list[int], chance: float) -> None:
    """Many counts at once give what each alone gives."""
    lower, upper = missed_bounds(found, chance, failure_probability=0.05)
    for index, x in enumerate(found):
        assert missed_lower(x, chance, failure_probability=0.05) == lower[index]
        assert missed_upper(x, chance, failure_probability=0.05) == upper[index]


@pytest.mark.parametrize("found", [0, 1, 17, 10**6])
def test_everything_shown(found: int) -> None:
    """Where every drop was shown, what was found is all there was."""
    assert missed_upper(found, 1.0, failure_probability=0.05) == found
    assert missed_lower(found, 1.0, failure_probability=0.05) == found


@pytest.mark.parametrize("chance", [0.999_999, 1.0 - 1e-12])
def test_nearly_everything_shown(chance: float) -> None:
    """Close to π = 1 the bounds close on what was found, without losing their digits."""
    assert missed_upper(3, chance, failure_probability=0.05) == 3.0
    assert missed_upper(0, chance, failure_probability=0.05) == 0.0


@pytest.mark.parametrize(("found", "chance"), [(10**6, 1e-3), (10**6, 1e-4), (10**5, 1e-4)])
def test_large_counts(found: int, chance: float) -> None:
    """Beyond 10⁹ events the bounds lie t standard deviations from x/π, t²/2 = log(1/α) + ½ log x
    + ½ (Laplace's approximation of the mixture), to 1 %."""
    lower = missed_lower(found, chance, failure_probability=0.05)
    upper = missed_upper(found, chance, failure_probability=0.05)
    deviations = math.sqrt(2.0 * (math.log(20.0) + 0.5 * math.log(found) + 0.5))
    expected = deviations * math.sqrt(found * (1.0 - chance)) / chance
    assert upper - found / chance == pytest.approx(expected, rel=0.01)
    assert found / chance - lower == pytest.approx(expected, rel=0.01)


def test_neighbouring_large_counts_differ() -> None:
    """At 10¹⁰ events one more found still moves the bound by about 1/π."""
    first = missed_upper(10**6, 1e-4, failure_probability=0.05)
    second = missed_upper(10**6 + 1, 1e-4, failure_probability=0.05)
    assert second - first == pytest.approx(1e4, rel=0.01)


def test_strata_are_bounded_apart_and_added() -> None:
    """Strata share α and add up; none means that nothing was dropped."""
    apart = missed_upper(3, 0.01, failure_probability=0.025) + missed_upper(
        0, 0.2, failure_probability=0.025
    )
    assert missed_upper_of_strata([3, 0], [0.01, 0.2], failure_probability=0.05) == apart
    assert missed_upper_of_strata([], [], failure_probability=0.05) == 0.0


@given(st.floats(0, 1e9), st.floats(0.01, 0.999))
def test_kept_needed_is_least(missed: float, recall: float) -> None:
    """So many kept events reach the recall, and one fewer does not."""
    needed = kept_needed(missed, recall)
    assert recall_bound(needed, missed) >= recall
    assert not needed or recall_bound(needed - 1, missed) < recall


BAD: list[tuple[tuple[Any, ...], str]] = [
    ((-1, 0.1, 0.05), "found: must be whole numbers"),
    ((1.5, 0.1, 0.05), "found: must be whole numbers"),
    ((math.nan, 0.1, 0.05), "found: must be whole numbers"),
    (("3", 0.1, 0.05), "found: must be numbers"),
    ((3, 0.0, 0.05), "probability: must be above 0"),
    ((3, 1.1, 0.05), "probability: must be above 0 and at most 1, not 1.1"),
    ((3, math.nan, 0.05), "probability: must be above 0"),
    ((3, 0.1, 0.0), "failure_probability: must lie between 0 and 1"),
    ((3, 0.1, 1.0), "failure_probability: must lie between 0 and 1"),
    ((3, 0.1, None), "failure_probability: must be numbers"),
]


@pytest.mark.parametrize(("arguments", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_input_is_named(arguments: tuple[Any, ...], said: str) -> None:
    """What is no count, no chance or no α is a ValueError that names it."""
    found, chance, alpha = arguments
    for bound in (missed_upper, missed_lower):
        with pytest.raises(ValueError, match=said):
            bound(found, chance, failure_probability=alpha)


def test_strata_that_differ_in_length() -> None:
    """A stratum without a chance is refused."""
    with pytest.raises(ValueError, match="differ in length: 2 and 1"):
        missed_upper_of_strata([1, 2], [0.1], failure_probability=0.05)


def test_counts_of_numpy_and_python() -> None:
    """A count may be any whole number type."""
    for found in (3, 3.0, np.int64(3), np.uint8(3)):
        assert missed_upper(found, 0.05, failure_probability=0.05) == 223.0


@pytest.mark.parametrize("probability", [1e-9, 1e-18, 1e-100, 1e-300])
def test_a_holdout_next_to_nothing_still_has_a_bound(probability: float) -> None:
    """Beyond 2**53 whole numbers lie further apart than 1: the search ends all the same."""
    assert missed_upper(0, probability, failure_probability=0.05) >= 4.1 / probability
    assert missed_lower(0, probability, failure_probability=0.05) == 0.0
