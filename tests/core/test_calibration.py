"""Calibration: the threshold by its definition, and everything that must be refused."""

import math
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.binomial import binomial_cdf
from stream_filter.core.calibration import Calibration, calibrate, sample_threshold

GOOD: dict[str, Any] = {"recall": 0.95, "failure_probability": 0.05}


def labelled(positives: int, negatives: int = 200) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(positives)
    scores = np.concatenate((rng.beta(6, 2, positives), rng.beta(1, 6, negatives)))
    return scores, np.repeat([1, 0], [positives, negatives])


def production(
    positives: int, *, holdout: float, threshold: float = 0.3
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    scores, important = labelled(positives, positives)
    chance = np.where(scores >= threshold, 1.0, holdout)
    seen = np.random.default_rng(1).random(len(scores)) < chance
    return scores[seen], important[seen], chance[seen]


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=200), st.floats(0.5, 0.99), st.floats(0.01, 0.5)
)
def test_uniform_labels_follow_the_definition(
    positives: list[float], recall: float, delta: float
) -> None:
    """The threshold is the k-th lowest positive, k the largest with P(Bin(n, 1 − γ) < k) ≤ δ."""
    found = calibrate(
        [*positives, 0.0], [*[1] * len(positives), 0], recall=recall, failure_probability=delta
    )
    n = len(positives)
    orders = [k for k in range(1, n + 1) if binomial_cdf(k - 1, n, 1 - recall) <= delta]
    assert found.certifiable == bool(orders)
    if orders:
        assert found.threshold == sorted(positives)[orders[-1] - 1]
    else:
        assert found.threshold == 0.0
        assert found.expected_forwarded_share == 1.0
    assert found.certifiable == (found.positives >= found.positives_needed)


@pytest.mark.parametrize(
    ("recall", "needed"), [(0.95, 59), (0.99, 299), (0.9, 29)], ids=["95", "99", "90"]
)
def test_least_number_of_positives(recall: float, needed: int) -> None:
    """At δ = 0.05 the published numbers are needed: with one fewer everything is forwarded."""
    below = calibrate(*labelled(needed - 1), recall=recall, failure_probability=0.05)
    assert below == Calibration(
        threshold=0.0,
        certifiable=False,
        positives=needed - 1,
        positives_needed=needed,
        expected_forwarded_share=1.0,
    )
    scores, important = labelled(needed)
    enough = calibrate(scores, important, recall=recall, failure_probability=0.05)
    assert enough.certifiable
    assert enough.threshold == scores[important == 1].min()


def test_no_positive_at_all() -> None:
    """Labels without an important event certify nothing, and are no error."""
    found = calibrate([0.1, 0.9], [0, 0], **GOOD)
    assert (found.threshold, found.certifiable, found.positives) == (0.0, False, 0)


def test_everything_is_forwarded_also_below_zero() -> None:
    """Not certifiable means forward everything, also where scores are not shares."""
    assert calibrate([-3.0, 2.0], [1, 0], **GOOD).threshold == -3.0


@given(st.permutations(range(80)))
def test_order_does_not_matter(order: list[int]) -> None:
    """Labels in another order give the same calibration."""
    scores, important = labelled(70, 10)
    shuffled = calibrate(scores[order], important[order], **GOOD)
    assert shuffled == calibrate(scores, important, **GOOD)


def test_ties_are_forwarded() -> None:
    """All that share the threshold's score are forwarded."""
    scores = np.repeat([0.2, 0.5, 0.8], [3, 200, 97])
    found = calibrate(np.append(scores, 0.1), np.append(np.ones(300), 0), **GOOD)
    assert found.threshold == 0.5
    assert found.expected_forwarded_share == pytest.approx(297 / 301)


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.float32, np.uint64])
def test_labels_of_any_number_type(dtype: Any) -> None:
    """Labels may be booleans or numbers, scores of any precision."""
    scores, important = labelled(100)
    expected = calibrate(scores.astype(np.float32), important, **GOOD)
    assert calibrate(scores.astype(np.float32), important.astype(dtype), **GOOD) == expected


def test_equal_chances_are_uniform() -> None:
    """Only ratios of chances matter: a random tenth of a stream is a stream."""
    scores, important = labelled(100)
    expected = calibrate(scores, important, **GOOD)
    for chance in (0.1, 1.0):
        given_chances = np.full(len(scores), chance)
        assert calibrate(scores, important, **GOOD, probabilities=given_chances) == expected
    scores, important, chances = production(9_000, holdout=0.05)
    assert calibrate(scores, important, **GOOD, probabilities=chances) == calibrate(
        scores, important, **GOOD, probabilities=chances / 2
    )


@pytest.mark.parametrize(("holdout", "needed"), [(0.01, 7_771), (0.05, 1_520), (0.2, 342)])
def test_positives_needed_from_production(holdout: float, needed: int) -> None:
    """With drops seen at π, as many positives are needed as for the certificate, to 1 %."""
    scores, important, chances = production(needed * 2, holdout=holdout)
    found = calibrate(scores, important, **GOOD, probabilities=chances)
    assert found.positives_needed == pytest.approx(needed, rel=0.01)
    assert found.certifiable
    few = production(needed // 2, holdout=holdout)
    short = calibrate(few[0], few[1], **GOOD, probabilities=few[2])
    assert not short.certifiable
    assert short.threshold == 0.0


def test_nothing_missed_keeps_the_threshold_in_force() -> None:
    """Where the holdout found nothing, and the forwarded are few, the threshold in force stays."""
    scores, important, chances = production(800, holdout=0.1)
    keep = (important == 0) | (chances == 1.0)
    found = calibrate(scores[keep][:2_000], important[keep], **GOOD, probabilities=chances[keep])
    assert found.certifiable
    assert found.threshold >= scores[keep][chances[keep] == 1.0].min()


@pytest.mark.parametrize("holdout", [0.05, 0.2, 0.5])
def test_forwarded_share_is_weighted(holdout: float) -> None:
    """The expected forwarded share counts each label for the events that it stands for."""
    rng = np.random.default_rng(2)
    important = rng.random(60_000) < 0.2
    scores = np.where(important, rng.beta(6, 2, 60_000), rng.beta(1, 6, 60_000))
    chance = np.where(scores >= 0.3, 1.0, holdout)
    seen = rng.random(60_000) < chance
    found = calibrate(scores[seen], important[seen], **GOOD, probabilities=chance[seen])
    true_share = float((scores >= found.threshold).mean())
    assert found.expected_forwarded_share == pytest.approx(true_share, rel=0.05)
    assert found.certifiable
    assert (scores[important] >= found.threshold).mean() >= 0.95


def test_close_chances_are_one_stratum() -> None:
    """Chances that hardly differ cost next to nothing against one chance for all."""
    scores, important, chances = production(9_000, holdout=0.05)
    rng = np.random.default_rng(3)
    jitter = np.where(chances < 1.0, chances * rng.uniform(1.0, 1.1, len(chances)), 1.0)
    one = calibrate(scores, important, **GOOD, probabilities=chances)
    many = calibrate(scores, important, **GOOD, probabilities=jitter)
    assert many.positives_needed == pytest.approx(one.positives_needed, rel=0.01)
    assert many.threshold <= one.threshold


def test_higher_targets_forward_more() -> None:
    """A higher recall or a smaller δ never raises the threshold."""
    scores, important, chances = production(9_000, holdout=0.2)
    for columns in ((*labelled(3_000), None), (scores, important, chances)):
        thresholds = [
            calibrate(
                columns[0], columns[1], recall=g, failure_probability=d, probabilities=columns[2]
            ).threshold
            for g, d in ((0.9, 0.2), (0.9, 0.05), (0.95, 0.05), (0.95, 0.01), (0.99, 0.01))
        ]
        assert thresholds == sorted(thresholds, reverse=True)


SCORES, LABELS = [0.1, 0.9, 0.5], [0, 1, 1]
BAD: list[tuple[dict[str, Any], str]] = [
    ({"scores": []}, "scores: is empty"),
    ({"scores": [], "important": []}, "scores: is empty"),
    ({"scores": [0.1, math.nan, math.nan]}, "scores: NaN in 2 of 3"),
    ({"scores": [0.1, math.inf, 0.5]}, "scores: must be finite"),
    ({"scores": [0.1, 0.9]}, "important and scores differ in length: 3 and 2"),
    ({"scores": [[0.1], [0.9], [0.5]]}, "scores: must have one dimension, not 2"),
    ({"scores": ["0.1", "0.9", "0.5"]}, "scores: must be numbers"),
    ({"scores": [True, False, True]}, "scores: must be numbers, not bool"),
    ({"scores": [0.1, None, 0.5]}, "scores: must be numbers"),
    ({"important": [0, 1, 2]}, "important: labels must be 0 or 1, not 2"),
    ({"important": [0, 1, -1]}, "important: labels must be 0 or 1, not -1"),
    ({"important": [0, 1, 0.5]}, "important: labels must be 0 or 1, not 0.5"),
    ({"important": [0, 1, math.nan]}, "important: NaN in 1 of 3"),
    ({"important": []}, "important: is empty"),
    ({"important": ["no", "yes", "yes"]}, "important: must be numbers"),
    ({"important": [0, 1, None]}, "important: must be numbers"),
    ({"probabilities": [1, 1]}, "probabilities and scores differ in length: 2 and 3"),
    ({"probabilities": [1, 0, 1]}, "probabilities: must be above 0 and at most 1, not 0"),
    ({"probabilities": [1, 1.01, 1]}, "probabilities: must be above 0 and at most 1, not 1.01"),
    ({"probabilities": [1, -0.1, 1]}, "probabilities: must be above 0"),
    ({"probabilities": [1, math.nan, 1]}, "probabilities: NaN in 1 of 3"),
    ({"probabilities": []}, "probabilities: is empty"),
    ({"probabilities": ["a", "b", "c"]}, "probabilities: must be numbers"),
    ({"recall": 0.0}, "recall: must lie between 0 and 1"),
    ({"recall": 1.0}, "recall: must lie between 0 and 1"),
    ({"recall": 95}, "recall: must lie between 0 and 1, both excluded, not 95"),
    ({"failure_probability": 0.0}, "failure_probability: must lie between 0 and 1"),
    ({"failure_probability": math.nan}, "failure_probability: must lie between 0 and 1"),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=[str(change) for change, _ in BAD])
def test_bad_input_is_named(changes: dict[str, Any], said: str) -> None:
    """Whatever is wrong is a ValueError that names the argument and what is wrong with it."""
    arguments = {"scores": SCORES, "important": LABELS, **GOOD, **changes}
    with pytest.raises(ValueError, match=said):
        calibrate(**arguments)


def test_sample_threshold() -> None:
    """The naive threshold has the recall asked for on its own labels, and no higher one has."""
    scores, important = labelled(100)
    positive = np.sort(scores[important == 1])
    assert sample_threshold(scores, important, recall=0.95) == positive[5]
    assert sample_threshold([0.4, 0.6], [0, 0], recall=0.95) == 0.0


def test_a_column_with_gaps_says_so() -> None:
    """As pandas gives it: objects are taken where all are numbers, and a gap is named."""
    scores, important = labelled(60)
    objects = important.astype(bool).astype(object)
    assert calibrate(scores, objects, **GOOD) == calibrate(scores, important, **GOOD)
    objects[3] = math.nan
    with pytest.raises(ValueError, match="important: NaN in 1 of 260"):
        calibrate(scores, objects, **GOOD)


def test_chances_that_all_differ_take_no_longer() -> None:
    """Strata are found in the sorted chances: once a chance, 200,000 took a quarter of a minute."""
    rng = np.random.default_rng(2)
    scores, important = rng.random(200_000), rng.random(200_000) < 0.05
    began_s = time.process_time()
    found = calibrate(scores, important, probabilities=rng.uniform(1e-3, 1.0, 200_000), **GOOD)
    assert found.certifiable
    assert time.process_time() - began_s < 5.0
