"""A pack on labelled events, beside what is cheaper: what `stream-filter evaluate` does."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.baselines import baseline_scores
from stream_filter.app.figures import Figures, figures
from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.splits import unsplit_groups
from stream_filter.core.errors import ConfigError
from stream_filter.core.ranking import ReliabilityBin, precision_recall, reliability

PACK = "the pack"
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
    left_out: dict[str, str]
    """What is missing beside the pack, and why."""


def evaluate_pack(
    scores: NDArray[np.float32],
    events: LabelledEvents,
    *,
    stages: Mapping[str, NDArray[np.float32]],
    trained_on: LabelledEvents | None,
    threshold: float | None,
    encoder: str,
    seed: int,
    seconds: float,
) -> Evaluation:
    """`scores`, and each of `stages`, what a stage of the pack alone says: shape (distinct texts,).
    `trained_on`, `encoder`, `seed`, `seconds`: for what stands beside the pack. Raises ConfigError
    where the events are of one class, or there is no such encoder."""
    important = events.important == 1
    if important.all() or not important.any():
        raise ConfigError(
            f"all {len(important):,} events are "
            f"{'important' if important.any() else 'unimportant'}: there is nothing to tell apart; "
            "add labelled events of the other class"
        )
    groups = unsplit_groups(events)
    by_event = scores.astype(np.float64)[events.codes]
    alone = {name: column.astype(np.float64)[events.codes] for name, column in stages.items()}
    beside = baseline_scores(
        events, trained_on=trained_on, encoder=encoder, seed=seed, seconds=seconds
    )
    found = {PACK: by_event, **alone, **beside.scores}
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
        left_out=beside.left_out,
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
