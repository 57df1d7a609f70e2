"""A calibrated threshold meets its target in at least 1 − δ of 2,000 streams."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from stream_filter.simulation.calibrating import (
    Calibrated,
    calibrate_from_labels,
    calibrate_from_production,
)
from stream_filter.simulation.setting import ScoreKind, Setting

pytestmark = pytest.mark.statistics

Say = Callable[[str], None]
SLACK = 2.0 * math.sqrt(0.05 * 0.95 / 2_000)


def report(say: Say, name: str, found: Calibrated) -> None:
    say(
        f"target  {name:<42} met {found.met:6.1%}   naive {found.naive_met:6.1%}   "
        f"median recall {found.recall:.4f}   forwarded {found.forwarded_share:6.1%}   "
        f"certifiable {found.certifiable:4.0%}"
    )


CONTINUOUS, TIED = ScoreKind.CONTINUOUS, ScoreKind.TIED
AT_RANDOM = [
    *((0.95, n, CONTINUOUS) for n in (40, 59, 60, 300, 3_000)),
    *((0.95, n, TIED) for n in (60, 3_000)),
    (0.99, 300, CONTINUOUS),
    (0.99, 3_000, CONTINUOUS),
    (0.99, 300, TIED),
]


@pytest.mark.parametrize(("recall", "positives", "scores"), AT_RANDOM)
def test_labels_drawn_at_random(recall: float, positives: int, scores: ScoreKind, say: Say) -> None:
    """With 1 % positives, with and without ties; with too few of them everything is forwarded.
    The threshold with the target recall on the labels fails in about half of the streams."""
    setting = Setting(prevalence=0.01, recall=recall, scores=scores)
    rng = np.random.default_rng([5, positives, round(100 * recall)])
    found = calibrate_from_labels(setting, rng, positives=positives)
    report(say, f"{recall:g}, {positives:,} positives, {scores}", found)
    assert found.met >= 0.95 - SLACK
    if positives < 59:
        assert found.certifiable == 0.0
        assert found.forwarded_share == 1.0
    elif scores is ScoreKind.CONTINUOUS:
        assert found.certifiable == 1.0
        assert found.naive_met <= 0.6
        # Tight: the order taken is the last that keeps the promise.
        assert found.met <= 0.985
        assert found.recall <= 1.0 - (1.0 - recall) * (
            1.0 - 3.0 / math.sqrt(positives * (1.0 - recall))
        )


def test_nearly_constant_scores() -> None:
    """Scores that say nothing still keep the target: nearly everything is forwarded."""
    setting = Setting(scores=ScoreKind.CONSTANT, auc=0.6)
    found = calibrate_from_labels(setting, np.random.default_rng(6), positives=100)
    assert found.met >= 0.95 - SLACK
    assert found.forwarded_share >= 0.95


PRODUCTION = {
    "threshold too high, π 20 %": Setting(holdout=0.2, operating_recall=0.9, important=1_000),
    "threshold low, π 5 %": Setting(holdout=0.05, operating_recall=0.995, important=2_000),
    "threshold lowest, π 50 %": Setting(holdout=0.5, operating_recall=0.9995, important=5_000),
    "99 %, π 50 %": Setting(holdout=0.5, operating_recall=0.99, recall=0.99, important=1_000),
    "tied, π 20 %": Setting(
        holdout=0.2, operating_recall=0.97, important=1_000, scores=ScoreKind.TIED
    ),
}


@pytest.mark.parametrize("name", PRODUCTION)
def test_labels_from_production(name: str, say: Say) -> None:
    """With the holdout's weights the target is met, of the stream and of the events that passed;
    taking the same labels as if drawn alike fails."""
    setting = PRODUCTION[name]
    found = calibrate_from_production(
        setting, np.random.default_rng([7, list(PRODUCTION).index(name)])
    )
    report(say, f"{setting.recall:g}, production, {name}", found)
    assert found.met >= 0.95 - SLACK
    assert found.met_in_sample >= 0.95 - SLACK
    assert found.certifiable >= 0.9
    if setting.scores is ScoreKind.CONTINUOUS:
        assert found.naive_met <= 0.6


def test_too_little_from_production() -> None:
    """A holdout too small for the events that passed certifies nothing, and forwards everything."""
    setting = replace(PRODUCTION["threshold low, π 5 %"], holdout=0.01, streams=200)
    found = calibrate_from_production(setting, np.random.default_rng(8))
    assert found.certifiable == 0.0
    assert found.forwarded_share == 1.0
