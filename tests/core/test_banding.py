"""A band never costs more than it may, under any weighting that it was chosen by."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.banding import ALL, Fold, choose_band
from stream_filter.core.ranking import auc


def folds(seed: int, first: float, second: float) -> list[Fold]:
    """Two folds, with stages that are worth so much."""
    rng = np.random.default_rng(seed)
    found = []
    for n in (120, 80):
        important = np.append(rng.random(n - 2) < 0.3, (True, False))
        by_first, by_second = (
            1 / (1 + np.exp(-(rng.normal(size=n) + worth * important))) for worth in (first, second)
        )
        found.append(
            Fold(
                first=by_first,
                second=by_second,
                unseen=rng.choice([0.0, 0.004, 0.015, 0.1, 0.5], n),
                important=important,
                weightings=(np.ones(n), rng.exponential(size=n)),
            )
        )
    return found


@settings(max_examples=100)
@given(st.integers(0, 10_000), st.floats(0, 3), st.floats(0, 3), st.floats(0, 0.1))
def test_the_cascade_loses_at_most_what_is_allowed(
    seed: int, first: float, second: float, most: float
) -> None:
    """Whatever the stages are worth, the mean loss of AUC stays within what is said and allowed."""
    held_out = folds(seed, first, second)
    band = choose_band(held_out, most_loss=most)
    assert band.auc_loss <= most
    for weighting in (0, 1):
        losses = []
        for fold in held_out:
            staged = np.where(fold.unseen >= band.unseen, fold.second, fold.first)
            columns = fold.important, fold.weightings[weighting]
            losses.append(auc(fold.second, *columns) - auc(staged, *columns))
        assert np.mean(losses) <= band.auc_loss + 1e-12


def test_the_second_stage_reads_what_is_new_to_the_first() -> None:
    """Where the first stage is right on what it knows, and guesses on what it does not, the second
    reads the latter alone."""
    rng = np.random.default_rng(6)
    n = 2_000
    important = rng.random(n) < 0.3
    strange = rng.random(n) < 0.15
    guessed = rng.random(n) < 0.5
    fold = Fold(
        first=np.where(np.where(strange, guessed, important), 0.9, 0.1) + rng.random(n) * 0.05,
        second=np.where(important, 0.8, 0.2) + rng.random(n) * 0.1,
        unseen=np.where(strange, 0.15, 0.0) + rng.random(n) * 0.04,
        important=important,
        weightings=(np.ones(n),),
    )
    band = choose_band([fold], most_loss=0.002)
    assert band.unseen == pytest.approx(0.1)
    assert np.array_equal(fold.unseen >= band.unseen, strange)


def test_the_second_stage_reads_all_where_the_first_is_no_good() -> None:
    """Where the first stage is wrong even on what it knows, and the second right, it is not asked;
    where both are alike, it has the most that is tried."""
    truth = np.arange(100) % 4 == 0
    columns = {"important": truth, "weightings": (np.ones(100),), "unseen": np.zeros(100)}
    right, wrong = truth * 0.9, 0.9 - truth * 0.9
    bad = Fold(first=wrong, second=right, **columns)
    assert choose_band([bad, bad], most_loss=0.005).unseen == ALL
    assert choose_band([Fold(first=right, second=right, **columns)], most_loss=0.0).unseen > 0.1
