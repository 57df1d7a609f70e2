"""The simulations' own parts: scores as their setting says, and comparisons that are what they
claim to be."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_filter.core.binomial import binomial_cdf
from stream_filter.simulation.setting import Drift, ScoreKind, Setting
from stream_filter.simulation.watching import fixed_time_upper, watch

N = 200_000
SMALL = Setting(streams=50, important=400)


@pytest.mark.parametrize("kind", ScoreKind)
@pytest.mark.parametrize("is_important", [True, False])
def test_shares_are_those_of_the_draws(kind: ScoreKind, is_important: bool) -> None:
    """The exact share at a threshold is that of a large sample, ties included."""
    setting = Setting(scores=kind, auc=0.9)
    scores = setting.draw_scores(np.random.default_rng(1), np.full(N, is_important))
    thresholds = np.array([0.0, 0.1, 0.25, 0.3, 0.5, 0.55, 0.7, 1.0, *scores[:3]])
    drawn = np.array([(scores >= t).mean() for t in thresholds])
    exact = setting.share_at(thresholds, is_important=is_important)
    assert exact == pytest.approx(drawn, abs=5.0 / math.sqrt(4 * N))


@pytest.mark.parametrize("auc", [0.6, 0.9, 0.99])
def test_auc(auc: float) -> None:
    """An important event scores above another with the chance that the setting names."""
    setting = Setting(auc=auc)
    rng = np.random.default_rng(2)
    important = setting.draw_scores(rng, np.ones(N, np.bool_))
    others = setting.draw_scores(rng, np.zeros(N, np.bool_))
    assert (important > others).mean() == pytest.approx(auc, abs=0.005)


@pytest.mark.parametrize(
    ("drift", "important_falls", "others_fall"),
    [(Drift.NONE, 0.0, 0.0), (Drift.SLOW, 0.9, 0.9), (Drift.SUDDEN, 1.0, 1.0),
     (Drift.POSITIVES, 1.0, 0.0)],
)  # fmt: skip
def test_drift(drift: Drift, important_falls: float, others_fall: float) -> None:
    """Late in the stream, scores have fallen by as many deviations as the setting says."""
    setting = Setting(drift=drift)
    for is_important, falls in ((True, important_falls), (False, others_fall)):
        events = np.full(N, is_important)
        early, late = (
            np.mean(np.log(s / (1 - s)))
            for s in (setting.draw_scores(np.random.default_rng(3), events, at) for at in (0, 0.9))
        )
        assert early - late == pytest.approx(falls, abs=1e-6)


def test_threshold_in_force() -> None:
    """The gate's threshold has the recall asked for before any drift."""
    setting = Setting(drift=Drift.SUDDEN)
    threshold = setting.threshold_at(np.random.default_rng(4), 0.9)
    recall = setting.share_at(np.array([threshold]), is_important=True)[0]
    assert recall == pytest.approx(0.9, abs=0.003)


@pytest.mark.parametrize("chance", [0.02, 0.3])
def test_fixed_time_bound_is_exact(chance: float) -> None:
    """The comparison bound is the last m that a single look does not exclude."""
    for x, m in enumerate(fixed_time_upper(12, chance, failure_probability=0.05)):
        assert binomial_cdf(x, int(m), chance) > 0.05
        assert binomial_cdf(x, int(m) + 1, chance) <= 0.05


def test_equal_seeds_give_equal_streams() -> None:
    """All randomness is the generator's."""
    first, second = (watch(SMALL, np.random.default_rng(5)) for _ in range(2))
    assert first == second


def test_doubled_verdicts_change_nothing() -> None:
    """Redelivered verdicts leave every figure as it is."""
    plain = watch(SMALL, np.random.default_rng(6))
    assert watch(replace(SMALL, doubled=0.9), np.random.default_rng(6)).recall == plain.recall
    # Which verdicts come again is drawn too: later draws differ, here those of silence, of which
    # there is none.
    assert watch(replace(SMALL, doubled=0.9), np.random.default_rng(6)) == plain


def test_silence_widens() -> None:
    """Late, lost and wrong verdicts lower what can be claimed."""
    lower = watch(SMALL, np.random.default_rng(7)).recall_lower
    for name in ("late", "lost"):
        changes: dict[str, Any] = {name: 0.2}
        assert watch(replace(SMALL, **changes), np.random.default_rng(7)).recall_lower < lower


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"prevalence": 0.0}, "prevalence: must lie between"),
        ({"holdout": 0.0}, "holdout: must be above 0"),
        ({"lost": 1.0}, "lost: must lie in"),
        ({"streams": 0}, "streams and important"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], said: str) -> None:
    """A setting that cannot be is refused by name."""
    with pytest.raises(ValueError, match=said):
        Setting(**changes)
