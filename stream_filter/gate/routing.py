"""The steps from scores to routes, in the order in which they are taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.clock import record_times
from stream_filter.core.decision import (
    Decisions,
    Reason,
    Route,
    can_be_folded,
    can_be_novel,
    decide,
    hold_out,
    leave_unenforced,
)
from stream_filter.core.fold_window import FoldWindow
from stream_filter.core.holdout import held_out
from stream_filter.core.memory import Memory
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import Mode, TopicPolicy
from stream_filter.core.ramp import is_enforced
from stream_filter.core.rules import decide_by_rules, holdout_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """A batch of n records, read and scored."""

    topic: str
    partition: int
    occurrences: Occurrences
    timestamps: NDArray[np.int64]
    """Shape (n,), Unix milliseconds, as the records say."""
    score: NDArray[np.float32]
    """Shape (n,); NaN where there is none."""
    decodable: NDArray[np.bool_]
    rule: NDArray[np.int16] | None
    """Shape (n,): index of the first rule that holds, or -1; None where the topic has none."""


def route_batch(
    rules: TopicPolicy, batch: Scored, memory: Memory, *, key: bytes, now_ms: int
) -> tuple[Decisions, Sequence[FoldWindow]]:
    """Decisions on a batch, and the windows for which a summary is due. Changes the memory."""
    texts = batch.occurrences
    draw: dict[str, Any] = {"topic": batch.topic, "partition": batch.partition, "key": key}
    decisions = decide(
        batch.score,
        decodable=batch.decodable,
        readable=texts.codes >= 0,
        thresholds=rules.thresholds,
    )
    if batch.rule is not None:
        decisions = decide_by_rules(decisions, rules.rules, batch.rule)
    if rules.novelty:
        novel = memory.novelty.take_first(
            texts, can_be_novel(decisions), rules.novelty.forward_first
        )
        decisions = decisions.rerouted(novel, Route.FORWARD, Reason.NOVEL, probability=1.0)
    share = holdout_of(rules.rules, decisions.rule, rules.holdout)
    decisions = hold_out(decisions, held_out(texts.offsets, probability=share, **draw), share)
    if rules.fold is None:
        return leave_unenforced(decisions, _enforced(rules, texts, draw)), memory.folds.end_all()

    times_ms = record_times(batch.timestamps, now_ms)
    admission = memory.folds.admit(
        texts,
        can_be_folded(decisions),
        times_ms=times_ms,
        clock_ms=memory.clock.advance(times_ms),
        fold=rules.fold,
    )
    decisions = decisions.rerouted(
        admission.is_duplicate, Route.FOLD, Reason.DUPLICATE, probability=0.0
    )
    decisions = leave_unenforced(decisions, _enforced(rules, texts, draw))
    folded = decisions.route == Route.FOLD
    return decisions, memory.folds.settle(texts, admission, folded, memory.clock.at_ms)


def _enforced(rules: TopicPolicy, texts: Occurrences, draw: Mapping[str, Any]) -> NDArray[np.bool_]:
    if rules.mode is Mode.SHADOW:
        return np.zeros(texts.offsets.shape, np.bool_)
    return is_enforced(texts.offsets, percent=rules.ramp, **draw)
