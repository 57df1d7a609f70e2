"""What both stages say of held-out events, fold by fold: scores of models that were trained apart
do not rank each other's events."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.core.banding import Fold

Floats = NDArray[np.float64]


def stage_folds(
    events: LabelledEvents,
    folds: Sequence[NDArray[np.bool_]],
    *,
    first: Floats,
    second: Floats,
    unseen: Floats,
) -> list[Fold]:
    """All of shape (n,): the scores of the scout and of the SLM, and how much of an event's text
    was new to the scout. `folds`: which events were held out together."""
    found = []
    for rows in folds:
        weights = events.weights[rows]
        text = np.unique(events.codes[rows], return_inverse=True)[1]
        found.append(
            Fold(
                first=first[rows],
                second=second[rows],
                unseen=unseen[rows],
                important=events.important[rows] == 1,
                # By events, and by texts: each counts the same.
                weightings=(weights, weights / np.bincount(text, weights)[text]),
            )
        )
    return found
