"""The steps from scores to routes, in the order in which they are taken."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.budget import Limit, Overflow, Unit
from stream_filter.core.clock import record_times
from stream_filter.core.decision import (
    Decisions,
    Reason,
    Route,
    can_be_folded,
    can_be_novel,
    can_be_over_budget,
    decide,
    decide_by_scout,
    hold_out,
    leave_unenforced,
)
from stream_filter.core.fold_window import FoldWindow
from stream_filter.core.folds import Admission
from stream_filter.core.holdout import held_out
from stream_filter.core.memory import Memory
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import Mode, TopicPolicy
from stream_filter.core.ramp import is_enforced, is_key_enforced
from stream_filter.core.rules import decide_by_rules, holdout_of
from stream_filter.core.spending import Share, Wishes
from stream_filter.core.tokens import estimated_tokens
from stream_filter.core.worth import levels_of, spending_order


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
    tokens: NDArray[np.int64]
    """Shape (n,), estimated; read only where the policy has a budget."""
    keys: Sequence[bytes | None]
    """The n records' keys."""
    is_cut: NDArray[np.bool_] | None = None
    """Shape (n,): not all of the text was read; None where that holds for none."""
    drops_only_below: float | None = None
    """The topic's certificate has fallen: nothing is dropped by a rule, and for its score only
    what the model scores below this."""
    by_scout: NDArray[np.bool_]
    """Shape (n,): scored by the pack's scout alone."""
    is_overloaded: bool = False
    """The model was not asked: where there is no score, this is why."""


def route_batch(
    rules: TopicPolicy,
    batch: Scored,
    memory: Memory,
    *,
    shares: Sequence[Share],
    key: bytes,
    now_ms: int,
) -> tuple[Decisions, Sequence[FoldWindow]]:
    """Decisions on a batch, and the windows for which a summary is due. Changes the memory.

    `shares`: the partition's part of each limit of the budget.
    """
    texts = batch.occurrences
    draw: dict[str, Any] = {"topic": batch.topic, "partition": batch.partition, "key": key}
    is_cut = spared(rules, batch.is_cut)
    decisions = decide(
        batch.score,
        decodable=batch.decodable,
        readable=texts.codes >= 0,
        thresholds=rules.thresholds,
        is_cut=is_cut,
    )
    scout = rules.overload.thresholds if rules.overload is not None else None
    if scout is not None and batch.by_scout.any():
        decisions = decide_by_scout(decisions, batch.by_scout, scout, is_cut)
    if batch.is_overloaded:
        unread = decisions.reason == Reason.DEGRADED
        decisions = decisions.rerouted(unread, Route.FORWARD, Reason.OVERLOADED)
    if batch.rule is not None:
        decisions = decide_by_rules(decisions, rules.rules, batch.rule)
    if rules.novelty:
        novel = memory.novelty.take_first(
            texts, can_be_novel(decisions), rules.novelty.forward_first
        )
        decisions = decisions.rerouted(novel, Route.FORWARD, Reason.NOVEL, probability=1.0)
    share = holdout_of(rules.rules, decisions.rule, rules.holdout)
    is_held_out = held_out(texts.offsets, probability=share, **draw)
    decisions = hold_out(decisions, is_held_out, share)
    if batch.drops_only_below is not None:
        is_dropped = ~batch.by_scout & (batch.score < np.float32(batch.drops_only_below))
        if decisions.rule is not None:
            is_dropped &= decisions.rule < 0
        decisions = leave_unenforced(decisions, is_dropped)
    enforced = _enforced(rules, batch, draw)
    if rules.fold is None and rules.budget is None:
        return leave_unenforced(decisions, enforced), memory.folds.end_all()

    times_ms = record_times(batch.timestamps, now_ms)
    clock_ms = memory.clock.advance(times_ms)
    admission: Admission | None = None
    if rules.fold is not None:
        admission = memory.folds.admit(
            texts,
            can_be_folded(decisions),
            times_ms=times_ms,
            clock_ms=clock_ms,
            fold=rules.fold,
        )
        decisions = decisions.rerouted(
            admission.is_duplicate, Route.FOLD, Reason.DUPLICATE, probability=0.0
        )
    if rules.budget is not None:
        decisions = _spend(rules, batch, decisions, memory, shares, clock_ms, is_held_out)
        if rules.budget.overflow is Overflow.WIDEN:
            decisions = hold_out(decisions, is_held_out, share)
    decisions = leave_unenforced(decisions, enforced)
    if admission is None:
        ended = memory.folds.end_all()
    else:
        folded = decisions.route == Route.FOLD
        ended = memory.folds.settle(texts, admission, folded, memory.clock.at_ms)
    charge_summaries(rules, ended, memory, shares)
    return decisions, ended


def spared(rules: TopicPolicy, is_cut: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Of the texts that were cut, those that the policy does not drop for their scores."""
    return is_cut if rules.long_texts == "forward" else None


def _spend(
    rules: TopicPolicy,
    batch: Scored,
    decisions: Decisions,
    memory: Memory,
    shares: Sequence[Share],
    clock_ms: NDArray[np.int64],
    is_held_out: NDArray[np.bool_],
) -> Decisions:
    """Spend the budget on what is worth most; the rest is deferred, dropped or only marked."""
    assert rules.budget is not None, "spends a budget"
    overflow = rules.budget.overflow
    asks = can_be_over_budget(decisions, overflow)
    goes = decisions.route == Route.FORWARD
    if overflow is Overflow.FORWARD:
        certain = goes
    elif overflow is Overflow.WIDEN:
        certain = goes & (~asks | is_held_out)
    else:
        certain = goes & ~asks
    levels = levels_of(decisions)
    fits = memory.spending.spend(
        shares,
        Wishes(
            times_ms=clock_ms,
            order=spending_order(decisions, levels, memory.text_counts.add(batch.occurrences)),
            levels=levels,
            is_asking=asks,
            is_certain=certain,
            costs={share.limit: _costs(rules, batch, decisions, share.limit) for share in shares},
        ),
        is_fenced=rules.has_holdout or rules.fold is not None,
    )
    route = _ROUTE_OVER_BUDGET[overflow]
    return decisions.rerouted(asks & ~fits, route, Reason.OVER_BUDGET)


def _costs(
    rules: TopicPolicy, batch: Scored, decisions: Decisions, limit: Limit
) -> NDArray[np.int64]:
    """What each record takes of a limit."""
    cost = batch.tokens if limit.unit is Unit.TOKENS else np.ones_like(batch.tokens)
    if limit.target is None:
        return cost
    leads_there = np.array([rules.target_of(reason.label) == limit.target for reason in Reason])
    return np.where(leads_there[decisions.reason], cost, 0)


def charge_summaries(
    rules: TopicPolicy, ended: Sequence[FoldWindow], memory: Memory, shares: Sequence[Share]
) -> None:
    """Charge the summaries of windows to the budget: they go on whatever it says."""
    if not ended or not shares:
        return
    sizes = np.array([_SUMMARY_BYTES + len(window.text.encode()) for window in ended])
    tokens = int(estimated_tokens(sizes).sum())
    target = rules.target_of(Reason.DUPLICATE.label)
    costs = {
        share.limit: tokens if share.limit.unit is Unit.TOKENS else len(ended)
        for share in shares
        if share.limit.target in (None, target)
    }
    charged = [share for share in shares if share.limit in costs]
    memory.spending.charge(charged, costs, at_ms=memory.clock.at_ms)


_ROUTE_OVER_BUDGET = {
    Overflow.DEFER: Route.DEFER,
    Overflow.WIDEN: Route.DISCARD,
    Overflow.FORWARD: Route.FORWARD,
}
_SUMMARY_BYTES = 350
"""Of a fold summary, its text apart."""


def _enforced(rules: TopicPolicy, batch: Scored, draw: Mapping[str, Any]) -> NDArray[np.bool_]:
    offsets = batch.occurrences.offsets
    if rules.mode is Mode.SHADOW:
        return np.zeros(offsets.shape, np.bool_)
    by_position = is_enforced(offsets, percent=rules.ramp, **draw)
    if rules.ramp_by == "position":
        return by_position
    return is_key_enforced(batch.keys, by_position, percent=rules.ramp, key=draw["key"])
