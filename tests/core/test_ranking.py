"""Figures of an evaluation, against definitions computed pair by pair."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.ranking import (
    auc,
    auc_interval,
    calibration_error,
    forwarded_share,
    precision_recall,
    reliability,
)

EVENTS = st.lists(
    st.tuples(st.integers(0, 6), st.booleans(), st.sampled_from([0.5, 1.0, 3.0])),
    min_size=1,
    max_size=30,
)


def columns(rows: list[tuple[int, bool, float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores, labels and weights."""
    scores, labels, weights = zip(*rows, strict=True)
    return np.array(scores) / 6, np.array(labels), np.array(weights)


@given(EVENTS)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[int, bool, float]]) -> None:
    """Over all pairs of an important and another event, by weight; ties count half."""
    won = total = 0.0
    for score, label, weight in rows:
        for other, other_label, other_weight in rows:
            if label and not other_label:
                total += weight * other_weight
                won += weight * other_weight * ((score > other) + (score == other) / 2)
    found = auc(*columns(rows))
    assert math.isnan(found) if not total else found == pytest.approx(won / total)


@given(EVENTS, st.sampled_from([0.5, 0.9, 0.99]))
def test_forwarded_share_is_that_of_the_highest_threshold(
    rows: list[tuple[int, bool, float]], recall: float
) -> None:
    """Tried threshold by threshold."""
    scores, labels, weights = columns(rows)
    wanted = math.nan
    for threshold in sorted(set(scores), reverse=True):
        at = scores >= threshold
        if labels.any() and weights[at & labels].sum() >= recall * weights[labels].sum():
            wanted = weights[at].sum() / weights.sum()
            break
    found = forwarded_share(scores, labels, weights, recall)
    assert found == pytest.approx(wanted, nan_ok=True)


def test_calibration_error_by_hand() -> None:
    """Two tenths, one right and one off by 0.3."""
    scores = np.array([0.25, 0.25, 0.25, 0.25, 0.7, 0.7])
    labels = np.array([True, False, False, False, True, True])
    weights = np.array([1.0, 1.0, 1.0, 1.0, 2.0, 2.0])
    bins = reliability(scores, labels, weights)
    assert [(b.share, b.important_share) for b in bins] == [(0.5, 0.25), (0.5, 1.0)]
    assert calibration_error(scores, labels, weights) == pytest.approx(0.5 * 0.3)
    assert len(reliability(np.array([0.0, 1.0]), labels[:2], weights[:2])) == 2


def test_precision_recall_by_hand() -> None:
    """From the highest threshold down."""
    recall, precision = precision_recall(
        np.array([0.9, 0.5, 0.5, 0.1]), np.array([True, True, False, False]), np.ones(4)
    )
    assert recall.tolist() == [0.5, 1.0, 1.0]
    assert precision.tolist() == pytest.approx([1.0, 2 / 3, 0.5])


def test_interval_covers_as_often_as_it_says_and_knows_repeats() -> None:
    """About 95 % of intervals hold the true AUC (of N(1, 1) against N(0, 1): 0.7602), also where
    each text stands five times, which an interval by events would take for evidence."""
    rng = np.random.default_rng(5)
    held = 0
    for trial in range(120):
        labels = np.repeat(rng.random(80) < 0.5, 5)
        scores = np.repeat(rng.normal(labels[::5].astype(float), 1), 5)
        groups = np.repeat(np.arange(80), 5)
        found = auc_interval(scores, labels, np.ones(400), groups, seed=trial, rounds=200)
        assert found.low <= found.value <= found.high
        held += found.low <= 0.7602 <= found.high
    assert held >= 0.88 * 120


def test_interval_is_deterministic() -> None:
    """The same seed gives the same interval."""
    scores, labels = np.linspace(0, 1, 50), np.arange(50) % 3 == 0
    one, other = (
        auc_interval(scores, labels, np.ones(50), np.arange(50), seed=1) for _ in range(2)
    )
    assert one == other
