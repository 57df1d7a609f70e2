"""One setting of a simulation: the stream, its model, the holdout and the analyst."""

import math
from dataclasses import dataclass
from enum import StrEnum
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.checks import require_open_share, require_probability

_NORMAL = NormalDist()
_TIED_STEPS = 10
_CONSTANT = 0.98
_QUANTILE_SAMPLE = 400_000


class ScoreKind(StrEnum):
    """How the model's scores fall."""

    CONTINUOUS = "continuous"
    TIED = "tied"
    """In steps of 0.1: ties everywhere."""
    CONSTANT = "constant"
    """The same for 98 % of events, whatever they are; the others as continuous."""


class Drift(StrEnum):
    """What happens to the scores while the stream lasts."""

    NONE = "none"
    SLOW = "slow"
    """All fall, evenly from start to end."""
    SUDDEN = "sudden"
    """All fall half way."""
    POSITIVES = "positives"
    """Those of important events fall half way; nothing else shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Shares are in [0, 1]; a stream has `important` important events by the analyst's account,
    its time runs from 0 to 1."""

    prevalence: float = 0.01
    auc: float = 0.95
    scores: ScoreKind = ScoreKind.CONTINUOUS
    holdout: float = 0.05
    recall: float = 0.95
    """The target."""
    failure_probability: float = 0.05
    operating_recall: float = 0.975
    """What the gate's threshold has before any drift, as far as ties allow."""
    drift: Drift = Drift.NONE
    drift_size: float = 1.0
    """Standard deviations by which scores have fallen in the end."""
    patience: float = 0.05
    """How much of the stream's time a verdict may take before silence counts."""
    late: float = 0.0
    """Share of verdicts that take longer: up to five times as long."""
    lost: float = 0.0
    doubled: float = 0.0
    wrong: float = 0.0
    """Share of verdicts that are not the truth. Recall is that by the analyst's account."""
    important: int = 2_000
    streams: int = 2_000

    def __post_init__(self) -> None:
        for name in ("prevalence", "auc", "recall", "failure_probability", "operating_recall"):
            require_open_share(name, getattr(self, name))
        require_probability("holdout", self.holdout)
        for name in ("late", "lost", "doubled", "wrong"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name}: must lie in [0, 1), not {getattr(self, name)!r}")
        if self.streams < 1 or self.important < 1:
            raise ValueError("streams and important: must be 1 or more")

    @property
    def apart(self) -> float:
        """Standard deviations between the scores of important and of other events."""
        return math.sqrt(2.0) * _NORMAL.inv_cdf(self.auc)

    @property
    def false_share(self) -> float:
        """Of the events that the analyst calls important, the share that is not."""
        false = self.wrong * (1.0 - self.prevalence)
        return false / (false + (1.0 - self.wrong) * self.prevalence)

    @property
    def prevalence_by_account(self) -> float:
        """Share of events that the analyst calls important."""
        return self.wrong * (1.0 - self.prevalence) + (1.0 - self.wrong) * self.prevalence

    def draw_scores(
        self,
        rng: np.random.Generator,
        is_important: NDArray[np.bool_],
        at: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.float64]:
        """Scores in [0, 1] of events that are or are not important, at times in [0, 1); the
        shapes broadcast."""
        z = rng.normal(size=is_important.shape) + self.apart * (is_important - 0.5)
        if self.drift is Drift.SLOW:
            z -= self.drift_size * at
        elif self.drift is not Drift.NONE:
            falls = is_important | (self.drift is Drift.SUDDEN)
            z -= self.drift_size * (falls & (np.asarray(at) >= 0.5))
        score: NDArray[np.float64] = 1.0 / (1.0 + np.exp(-z))
        if self.scores is ScoreKind.TIED:
            score = np.round(score * _TIED_STEPS) / _TIED_STEPS
        elif self.scores is ScoreKind.CONSTANT:
            score = np.where(rng.random(size=score.shape) < _CONSTANT, 0.5, score)
        return score

    def share_at(
        self, thresholds: NDArray[np.float64], *, is_important: bool
    ) -> NDArray[np.float64]:
        """Before any drift, the chance that such an event scores at or above each threshold."""
        lowest = thresholds
        if self.scores is ScoreKind.TIED:  # the least score that is rounded up to it
            lowest = (np.ceil(thresholds * _TIED_STEPS - 1e-9) - 0.5) / _TIED_STEPS
        mean = self.apart * (is_important - 0.5)
        share = np.array([_chance_at(float(score), mean) for score in lowest])
        if self.scores is ScoreKind.CONSTANT:
            share = _CONSTANT * (thresholds <= 0.5) + (1.0 - _CONSTANT) * share
        return share

    def threshold_at(self, rng: np.random.Generator, recall: float) -> float:
        """The highest threshold with that recall before any drift, by a large sample."""
        scores = self.draw_scores(rng, np.ones(_QUANTILE_SAMPLE, np.bool_))
        return float(np.quantile(scores, 1.0 - recall, method="lower"))


def _chance_at(score: float, mean: float) -> float:
    """Of a logistic score of normal z with this mean."""
    if score <= 0.0:
        return 1.0
    return 0.0 if score >= 1.0 else _NORMAL.cdf(mean - math.log(score / (1.0 - score)))
