"""Which texts the second stage of a cascade reads: those on which the first is unsure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ranking import Floats, auc, forwarded_share

_STEPS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenBand:
    """Texts whose first score is in [low, high) are read by the second stage."""

    low: float
    high: float
    read_share: float
    """Of the distinct texts."""
    auc_loss: float
    """AUC of `the second stage reads all`, less that of the cascade."""


def choose_band(
    first: Floats,
    second: Floats,
    important: NDArray[np.bool_],
    weightings: Sequence[Floats],
    is_text: NDArray[np.bool_],
    *,
    recall: float,
    most_loss: float,
    most_read: float = 1.0,
) -> ChosenBand:
    """The band with the fewest texts, at most the share `most_read` of them, such that the cascade
    loses at most `most_loss` in AUC, and in the share that is forwarded at `recall`, against the
    second stage alone: under each of the `weightings`. By events alone, a few frequent texts would
    choose it, and by texts alone rare ones.

    All of shape (n,), of events; scores in [0, 1]; `is_text` is True at one event of each distinct
    text. Where there is no such band, the one that holds all.
    """
    texts = np.sort(first[is_text])
    edges = np.unique(np.append(np.quantile(texts, np.linspace(0, 1, _STEPS)), (0.0, 1.01)))
    bands = [(low, high) for low in edges for high in edges if low <= high]
    reads = [
        float((np.searchsorted(texts, high) - np.searchsorted(texts, low)) / len(texts))
        for low, high in bands
    ]
    most = [
        (auc(second, important, weights), forwarded_share(second, important, weights, recall))
        for weights in weightings
    ]
    # The fewest first, so that the first that will do is the best.
    for at in np.argsort(reads, kind="stable").tolist():
        if reads[at] > most_read:
            break
        low, high = bands[at]
        staged = np.where((first >= low) & (first < high), second, first)
        losses = [
            area - auc(staged, important, weights)
            for weights, (area, _) in zip(weightings, most, strict=True)
        ]
        if max(losses) > most_loss:
            continue
        if all(
            forwarded_share(staged, important, weights, recall) <= share + most_loss
            for weights, (_, share) in zip(weightings, most, strict=True)
        ):
            return ChosenBand(
                low=float(low), high=float(high), read_share=reads[at], auc_loss=max(losses)
            )
    return ChosenBand(low=0.0, high=1.01, read_share=1.0, auc_loss=0.0)
