"""Which texts the second stage of a cascade reads: those of which the first is unsure."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ranking import Floats, auc, forwarded_share

_SCORE_STEPS = 12
_UNSEEN_STEPS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenBand:
    """The second stage reads texts whose first score is in [low, high), and texts of which a
    greater share than `unseen` is new to the first stage."""

    low: float
    high: float
    unseen: float
    read_share: float
    """Of the distinct texts."""
    auc_loss: float
    """AUC of `the second stage reads all`, less that of the cascade."""


class Limits(Protocol):
    """What a band says of the texts in it."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...
    @property
    def unseen(self) -> float: ...


def is_unsure(
    first: NDArray[np.floating], unseen: NDArray[np.floating], band: Limits
) -> NDArray[np.bool_]:
    """Shape (n,): which texts the second stage reads."""
    unsure: NDArray[np.bool_] = (unseen > band.unseen) | ((first >= band.low) & (first < band.high))
    return unsure


def choose_band(
    first: Floats,
    unseen: Floats,
    second: Floats,
    important: NDArray[np.bool_],
    weightings: Sequence[Floats],
    is_text: NDArray[np.bool_],
    *,
    recall: float,
    most_loss: float,
) -> ChosenBand:
    """The band that reads the fewest texts of those that lose at most `most_loss` in AUC, and in
    the share that is forwarded at `recall`, against the second stage alone: under each of the
    `weightings`. By events alone, a few frequent texts would choose it, and by texts alone rare
    ones.

    All of shape (n,), of events; scores and `unseen` in [0, 1]; `is_text` is True at one event of
    each distinct text. Where there is no such band, the one that holds all.
    """
    edges = _edges(first[is_text], _SCORE_STEPS, beyond=1.01)
    tried = [
        ChosenBand(low=low, high=high, unseen=share, read_share=0.0, auc_loss=0.0)
        for share in _edges(unseen[is_text], _UNSEEN_STEPS, beyond=1.0)
        for low in edges
        for high in edges
        # Empty ones are alike.
        if low < high or low == high == 0
    ]
    reads = [is_unsure(first[is_text], unseen[is_text], band).mean() for band in tried]
    most = [
        (auc(second, important, weights), forwarded_share(second, important, weights, recall))
        for weights in weightings
    ]
    # The fewest first, so that the first that will do is the best.
    for at in np.argsort(reads, kind="stable").tolist():
        staged = np.where(is_unsure(first, unseen, tried[at]), second, first)
        loss = max(
            area - auc(staged, important, weights)
            for weights, (area, _) in zip(weightings, most, strict=True)
        )
        if loss <= most_loss and all(
            forwarded_share(staged, important, weights, recall) <= share + most_loss
            for weights, (_, share) in zip(weightings, most, strict=True)
        ):
            chosen: ChosenBand = replace(tried[at], read_share=float(reads[at]), auc_loss=loss)
            return chosen
    raise AssertionError("the band from 0 on holds all, and loses nothing")


def _edges(values: Floats, steps: int, *, beyond: float) -> list[float]:
    found: list[float] = np.unique(
        np.append(np.quantile(values, np.linspace(0, 1, steps)), (0.0, beyond))
    ).tolist()
    return found
