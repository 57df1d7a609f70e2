"""A band never costs more than it may, under any weighting that it was chosen by."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.banding import choose_band, is_unsure
from stream_filter.core.ranking import auc, forwarded_share


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(0, 3))
def test_the_cascade_loses_at_most_what_is_allowed(seed: int, first: float, second: float) -> None:
    """Whatever the stages are worth, AUC and forwarded share stay within the loss that is said."""
    rng = np.random.default_rng(seed)
    n = 120
    important = np.append(rng.random(n - 2) < 0.3, (True, False))
    a, b = (
        1 / (1 + np.exp(-(rng.normal(size=n) + worth * important))) for worth in (first, second)
    )
    weightings = np.ones(n), rng.exponential(size=n)
    unseen = rng.choice([0.0, 0.1, 0.5], n)
    band = choose_band(
        a, unseen, b, important, weightings, np.ones(n, np.bool_), recall=0.9, most_loss=0.01
    )
    inside = is_unsure(a, unseen, band)
    staged = np.where(inside, b, a)
    assert inside.mean() == band.read_share
    for weights in weightings:
        loss = auc(b, important, weights) - auc(staged, important, weights)
        assert loss <= band.auc_loss + 1e-12
        assert loss <= 0.01 + 1e-12
        spent = [forwarded_share(scores, important, weights, 0.9) for scores in (staged, b)]
        assert spent[0] <= spent[1] + 0.01 + 1e-12


def test_the_second_stage_reads_only_what_the_first_cannot_tell() -> None:
    """Where the first stage is sure and right about most, the second reads the rest alone."""
    rng = np.random.default_rng(5)
    n = 2_000
    important = rng.random(n) < 0.3
    unsure = rng.random(n) < 0.1
    first = np.where(unsure, 0.5, np.where(important, 0.9, 0.1)) + rng.random(n) * 0.05
    second = np.where(important, 0.8, 0.2) + rng.random(n) * 0.1
    band = choose_band(
        first,
        np.zeros(n),
        second,
        important,
        [np.ones(n)],
        np.ones(n, np.bool_),
        recall=0.99,
        most_loss=0.002,
    )
    assert band.read_share <= 0.2
    inside = (first >= band.low) & (first < band.high)
    assert inside[unsure].mean() >= 0.9


def test_the_second_stage_reads_what_is_new_to_the_first() -> None:
    """Where the first stage is sure of everything, and wrong on texts unlike those it has seen, the
    second reads these, and hardly any other."""
    rng = np.random.default_rng(6)
    n = 2_000
    important = rng.random(n) < 0.3
    strange = rng.random(n) < 0.15
    guessed = rng.random(n) < 0.5
    first = np.where(np.where(strange, guessed, important), 0.9, 0.1) + rng.random(n) * 0.05
    unseen = np.where(strange, 0.4, 0.0) + rng.random(n) * 0.1
    second = np.where(important, 0.8, 0.2) + rng.random(n) * 0.1
    band = choose_band(
        first,
        unseen,
        second,
        important,
        [np.ones(n)],
        np.ones(n, np.bool_),
        recall=0.99,
        most_loss=0.002,
    )
    assert band.read_share <= 0.2
    assert is_unsure(first, unseen, band)[strange].mean() >= 0.9
