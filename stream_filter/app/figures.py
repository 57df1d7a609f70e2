"""The figures of scores on labelled events: for a pack's manifest and for an evaluation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ranking import (
    Interval,
    auc_interval,
    calibration_error,
    forwarded_share,
)

RECALLS = (0.9, 0.95, 0.99)
_TROUBLE = re.compile(
    "error|fail|fatal|critical|panic|exception|denied|refused|timeout|corrupt|crash|abort|killed"
    "|unreachable|severe",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Of one scorer on some events. NaN where they are of one class only."""

    events: int
    important: int
    auc: Interval
    forwarded: dict[float, float]
    """By recall: the share of all events that it costs."""
    calibration_error: float


def figures(
    scores: NDArray[np.float64],
    important: NDArray[np.bool_],
    weights: NDArray[np.float64],
    groups: NDArray[np.int64],
    *,
    seed: int = 0,
) -> Figures:
    """All of shape (n,), n ≥ 1; the scores in [0, 1]."""
    return Figures(
        events=len(scores),
        important=int(important.sum()),
        auc=auc_interval(scores, important, weights, groups, seed=seed),
        forwarded={
            recall: forwarded_share(scores, important, weights, recall) for recall in RECALLS
        },
        calibration_error=calibration_error(scores, important, weights),
    )


def keyword_scores(texts: Sequence[str]) -> NDArray[np.float64]:
    """The rule that one would write first: 1 where a text names trouble, else 0. Shape (texts,)."""
    return np.array([float(_TROUBLE.search(text) is not None) for text in texts])
