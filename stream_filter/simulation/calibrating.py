"""Calibration, over and over: how often the chosen threshold meets its target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.calibration import Calibration, calibrate, sample_threshold
from stream_filter.simulation.setting import Setting

_MOST_OTHERS = 10_000
"""Labels that are not important move no threshold: no more of them are made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Over the streams of a setting."""

    met: float
    """Share of streams whose recall at the chosen threshold is at the target or above."""
    met_in_sample: float
    """Likewise of the important events that the labels were drawn from."""
    naive_met: float
    """The same for the threshold that has the target recall on the labels themselves."""
    certifiable: float
    recall: float
    """Median, at the chosen threshold."""
    forwarded_share: float
    """Median, of all events."""
    recalls: NDArray[np.float64]
    """Of each stream, shape (streams,)."""
    thresholds: NDArray[np.float64]


def calibrate_from_labels(
    setting: Setting, rng: np.random.Generator, *, positives: int
) -> Calibrated:
    """Labels drawn at random: so many positives, and the others that come with them."""
    others = round(positives * (1.0 - setting.prevalence) / setting.prevalence)
    negatives = min(max(others, 1), _MOST_OTHERS)
    is_important = np.repeat([True, False], [positives, negatives])
    runs = _Runs(setting)
    for _ in range(setting.streams):
        scores = setting.draw_scores(rng, is_important)
        calibration = calibrate(
            scores,
            is_important,
            recall=setting.recall,
            failure_probability=setting.failure_probability,
        )
        naive = sample_threshold(scores, is_important, recall=setting.recall)
        runs.add(calibration, naive, scores[:positives])
    return runs.summary()


def calibrate_from_production(setting: Setting, rng: np.random.Generator) -> Calibrated:
    """Labels from a running gate: forwarded events for certain, drops by the holdout. The gate's
    threshold has the setting's operating recall; the naive threshold takes labels as they come."""
    in_force = setting.threshold_at(rng, setting.operating_recall)
    is_important = np.repeat([True, False], [setting.important, setting.important])
    runs = _Runs(setting)
    for _ in range(setting.streams):
        scores = setting.draw_scores(rng, is_important)
        chance = np.where(scores >= in_force, 1.0, setting.holdout)
        seen = rng.random(len(scores)) < chance
        calibration = calibrate(
            scores[seen],
            is_important[seen],
            recall=setting.recall,
            failure_probability=setting.failure_probability,
            probabilities=chance[seen],
        )
        naive = sample_threshold(scores[seen], is_important[seen], recall=setting.recall)
        runs.add(calibration, naive, scores[: setting.important])
    return runs.summary()


class _Runs:
    """Thresholds of one stream after another, beside the truth that the setting knows."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._calibrations: list[Calibration] = []
        self._naive: list[float] = []
        self._in_sample: list[float] = []

    def add(self, calibration: Calibration, naive: float, population: NDArray[np.float64]) -> None:
        self._calibrations.append(calibration)
        self._naive.append(naive)
        self._in_sample.append(float((population >= calibration.threshold).mean()))

    def summary(self) -> Calibrated:
        setting, target = self._setting, self._setting.recall
        thresholds = np.array([c.threshold for c in self._calibrations])
        recalls = setting.share_at(thresholds, is_important=True)
        others = setting.share_at(thresholds, is_important=False)
        naive = setting.share_at(np.array(self._naive), is_important=True)
        prevalence = setting.prevalence
        return Calibrated(
            met=float((recalls >= target).mean()),
            met_in_sample=float((np.array(self._in_sample) >= target).mean()),
            naive_met=float((naive >= target).mean()),
            certifiable=float(np.mean([c.certifiable for c in self._calibrations])),
            recall=float(np.median(recalls)),
            forwarded_share=float(np.median(prevalence * recalls + (1.0 - prevalence) * others)),
            recalls=recalls,
            thresholds=thresholds,
        )
