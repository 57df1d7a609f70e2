"""The cheap stage counts as much as it helps."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.blending import first_share
from stream_filter.core.ranking import auc


def odds(rng: np.random.Generator, important: "np.ndarray", worth: float) -> "np.ndarray":
    return rng.normal(size=len(important)) + worth * important


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(0, 3))
def test_the_blend_ranks_no_worse_than_the_second_stage(
    seed: int, first: float, second: float
) -> None:
    """Whatever the stages are worth, together they have at least the second's mean AUC."""
    rng = np.random.default_rng(seed)
    important = np.append(rng.random(98) < 0.3, (True, False))
    a, b = odds(rng, important, first), odds(rng, important, second)
    weightings = np.ones(100), rng.exponential(size=100)
    share = first_share(a, b, important, weightings)
    assert 0.0 <= share <= 0.3
    both = share * a + (1 - share) * b
    assert sum(auc(both, important, w) for w in weightings) >= sum(
        auc(b, important, w) for w in weightings
    )


def test_a_first_stage_that_knows_nothing_does_not_count() -> None:
    """Noise has no share; a stage that is as good as the second has the largest."""
    rng = np.random.default_rng(3)
    important = rng.random(4_000) < 0.3
    second = odds(rng, important, 2.0)
    noise, as_good = (odds(rng, important, worth) for worth in (0.0, 2.0))
    weightings = [np.ones(4_000)]
    assert first_share(noise, second, important, weightings) == 0.0
    assert first_share(as_good, second, important, weightings) == 0.3
