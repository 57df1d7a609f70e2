"""Labels that a pack gives: from its scores of events that nobody has labelled."""

import os
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.sampling import sampled
from stream_filter.app.scout_training import MOST_TEXTS
from stream_filter.models.pack import ModelPack
from stream_filter.models.staged_scorer import StagedScorer


def taught(teacher: ModelPack, events: LabelledEvents, *, seed: int) -> LabelledEvents:
    """The events, or of very many a sample, labelled by `teacher`. Raises ScorerError."""
    events = sampled(events, most_texts=MOST_TEXTS, seed=seed)
    scorer = StagedScorer(teacher, threads=os.cpu_count() or 1)
    return labelled_by(scorer.score(events.texts), events)


def labelled_by(scores: NDArray[np.float32], events: LabelledEvents) -> LabelledEvents:
    """`events`, each as two: important with the weight of its score, and not with the rest. So a
    student learns how sure its teacher was, and figures are those to expect if the teacher is
    calibrated. `scores`: shape (distinct texts,). Labels that the events have are not read.
    """
    share = scores.astype(np.float64)[events.codes]
    weights = np.concatenate([events.weights * share, events.weights * (1 - share)])
    there = weights > 0

    def twice(column: Any) -> Any:
        return np.concatenate([column, column])[there]

    count = len(events.codes)
    return replace(
        events,
        codes=twice(events.codes),
        important=np.repeat(np.array([1, 0], np.int8), count)[there],
        weights=weights[there],
        groups=twice(events.groups),
        times_s=twice(events.times_s),
        slices={},
        # That a teacher is unsure contradicts nothing.
        contradicted=0,
    )
