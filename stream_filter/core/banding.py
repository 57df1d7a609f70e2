"""Which texts the second stage of a cascade reads: those that are new to the first."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ranking import Floats, auc

ALL = 0.0
"""As the least share: the second stage reads every text."""
_SHARES = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
"""The first is a single n-gram of a long window."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """What both stages say of events that neither was trained on. All of shape (n,)."""

    first: Floats
    second: Floats
    unseen: Floats
    """The share of n-grams that the first stage had never seen."""
    important: NDArray[np.bool_]
    weightings: Sequence[Floats]
    """By events alone a few frequent texts would choose, by texts alone rare ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenBand:
    """The second stage reads texts of which at least the share `unseen` is new to the first."""

    unseen: float
    auc_loss: float
    """As the function says."""


def choose_band(folds: Sequence[Fold], *, most_loss: float) -> ChosenBand:
    """The greatest share that loses at most `most_loss` in AUC, as all smaller ones do; `ALL` where
    none does.

    Step by step from the safest on, and no farther than the first that loses more: on few groups
    the best of many would be one that is lucky. Of each fold by itself: scores of models that
    were trained apart do not rank each other's events.
    """
    chosen = ChosenBand(unseen=ALL, auc_loss=0.0)
    for share in _SHARES:
        loss = auc_loss(folds, share)
        if loss > most_loss:
            break
        chosen = ChosenBand(unseen=share, auc_loss=loss)
    return chosen


def auc_loss(folds: Sequence[Fold], share: float) -> float:
    """AUC that the cascade loses where the second stage reads texts of which this share is new to
    the first: the mean over the folds, under the weighting where it is greater."""
    return max(
        float(np.mean([_loss(fold, weights, share) for fold, weights in pairs]))
        for pairs in zip(*([(f, w) for w in f.weightings] for f in folds), strict=True)
    )


def _loss(fold: Fold, weights: Floats, share: float) -> float:
    staged = np.where(fold.unseen >= share, fold.second, fold.first)
    both = (auc(scores, fold.important, weights) for scores in (fold.second, staged))
    return next(both) - next(both)
