"""A pack on labelled events, beside what is cheaper: what `stream-filter evaluate` does."""

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.figures import Figures, figures, keyword_scores
from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.scout_training import MOST_TEXTS, train_scout
from stream_filter.app.splits import unsplit_groups
from stream_filter.core.errors import ConfigError
from stream_filter.core.ranking import ReliabilityBin, precision_recall, reliability

PACK, KEYWORDS, NGRAMS = "the pack", "keyword rule", "n-grams, trained on these events"
_SLICES_SHOWN = 10

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class AtThreshold:
    """What a threshold does: both are shares of the events' weight."""

    threshold: float
    recall: float
    forwarded: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What was measured."""

    contenders: dict[str, Figures]
    slices: dict[str, dict[str, Figures]]
    """Of the pack, by key, by value: the largest first."""
    curves: dict[str, tuple[Floats, Floats]]
    """Of each contender, recall and precision at each threshold, from the highest."""
    reliability: list[ReliabilityBin]
    """Of the pack."""
    at: AtThreshold | None
    left_out: str | None
    """Why there are no n-grams beside the pack, where there are none."""


def evaluate_pack(
    scores: NDArray[np.float32],
    events: LabelledEvents,
    *,
    threshold: float | None,
    seed: int,
    seconds: float,
) -> Evaluation:
    """`scores`: shape (distinct texts,). The n-grams are cross-validated by group on these very
    events: they know the stream, as a pack of another stream does not. Raises ConfigError where
    the events are of one class."""
    important = events.important == 1
    if important.all() or not important.any():
        raise ConfigError(
            f"all {len(important):,} events are "
            f"{'important' if important.any() else 'unimportant'}: there is nothing to tell apart; "
            "add labelled events of the other class"
        )
    groups = unsplit_groups(events)
    by_event = scores.astype(np.float64)[events.codes]
    found = {PACK: by_event, KEYWORDS: keyword_scores(events.texts)[events.codes]}
    left_out = None
    if len(events.texts) > MOST_TEXTS:
        left_out = f"{len(events.texts):,} distinct texts, more than {MOST_TEXTS:,}"
    else:
        try:
            untimed = replace(events, times_s=np.full(len(groups), np.nan))
            found[NGRAMS] = train_scout(untimed, recall=0.99, seed=seed, seconds=seconds).scores
        except ConfigError as error:
            left_out = str(error)
    return Evaluation(
        contenders={
            name: figures(column, important, events.weights, groups)
            for name, column in found.items()
        },
        slices={
            key: _by_value(values, by_event, important, events.weights, groups)
            for key, values in events.slices.items()
        },
        curves={
            name: precision_recall(column, important, events.weights)
            for name, column in found.items()
        },
        reliability=reliability(by_event, important, events.weights),
        at=None if threshold is None else _at(threshold, by_event, important, events.weights),
        left_out=left_out,
    )


def _by_value(
    values: list[str],
    scores: Floats,
    important: NDArray[np.bool_],
    weights: Floats,
    groups: NDArray[np.int64],
) -> dict[str, Figures]:
    found = {}
    for value, _ in Counter(values).most_common(_SLICES_SHOWN):
        rows = np.array([each == value for each in values], np.bool_)
        found[value] = figures(scores[rows], important[rows], weights[rows], groups[rows])
    return found


def _at(
    threshold: float, scores: Floats, important: NDArray[np.bool_], weights: Floats
) -> AtThreshold:
    forwarded = scores >= threshold
    return AtThreshold(
        threshold=threshold,
        recall=float(weights[forwarded & important].sum() / weights[important].sum()),
        forwarded=float(weights[forwarded].sum() / weights.sum()),
    )
