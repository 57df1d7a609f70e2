"""From scores to decisions: what the policy concludes and where each record goes.

The steps in their order: `decide`, rules, novelty, `hold_out`, folds, budget, `leave_unenforced`.
Each takes decisions and gives decisions; after the first two, none changes a verdict.
"""

from dataclasses import dataclass, replace
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.budget import Overflow
from stream_filter.core.policy import Thresholds


class _Coded(IntEnum):
    """A closed list whose codes are what the ledger stores and whose labels people read."""

    @property
    def label(self) -> str:
        return self.name.lower()


class Verdict(_Coded):
    """What the policy concludes from rules and score."""

    KEEP = 0
    DROP = 1
    ABSTAIN = 2


class Route(_Coded):
    """Where the record goes."""

    FORWARD = 0
    DISCARD = 1
    DEAD_LETTER = 2
    DEFER = 3
    FOLD = 4


class Reason(_Coded):
    """Why it goes there. Codes are stored: append, never renumber."""

    IMPORTANT = 0
    AMBIGUOUS = 1
    RULE = 2
    NOVEL = 3
    HOLDOUT = 4
    SHADOW = 5
    DEGRADED = 6
    BELOW_THRESHOLD = 7
    DUPLICATE = 8
    OVER_BUDGET = 9
    UNDECODABLE = 10
    UNREADABLE = 11
    TOO_LARGE = 12
    PAUSED = 13
    OVERLOADED = 14
    TEXT_CUT = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """The decisions on one batch, as columns of the batch's length."""

    score: NDArray[np.float32]
    """In [0, 1]; NaN where there is none."""
    verdict: NDArray[np.uint8]
    route: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    probability: NDArray[np.float32]
    """Chance that a record decided like this one is seen by the analyst: 1 where it is
    forwarded for certain or deferred, the holdout's π for a would-be drop, 0 for a dead letter and
    for what is folded."""
    rule: NDArray[np.int16] | None = None
    """Index of the rule that decided, -1 where none did; None where the topic has no rules."""

    def rerouted(
        self,
        where: NDArray[np.bool_],
        route: Route,
        reason: Reason,
        *,
        probability: float | None = None,
    ) -> "Decisions":
        """These decisions with another route and reason in some rows (shape (n,)). The verdict
        never changes; the probability only where one is given."""
        return replace(
            self,
            route=np.where(where, np.uint8(route), self.route),
            reason=np.where(where, np.uint8(reason), self.reason),
            probability=self.probability
            if probability is None
            else np.where(where, np.float32(probability), self.probability),
        )


def decide(
    score: NDArray[np.float32],
    *,
    decodable: NDArray[np.bool_],
    readable: NDArray[np.bool_],
    thresholds: Thresholds,
    is_cut: NDArray[np.bool_] | None = None,
) -> Decisions:
    """Decide a batch by its scores alone: what an enforced topic without holdout would do. All
    arrays have shape (n,).

    `readable` is False where a decoded record has no text to read. A record without a score
    (NaN) is forwarded as `degraded`: the gate fails open. So it does where a text was cut
    (`is_cut`; None: nowhere): its score is that of a part, which may be why to keep it and says
    nothing against the rest; where it does not keep it, the reason is `text_cut`.
    """
    scored = decodable & readable & ~np.isnan(score)
    with np.errstate(invalid="ignore"):
        keep = scored & (score >= thresholds.keep_above)
        drop = scored & (score < thresholds.drop_below)
    if is_cut is not None:
        drop &= ~is_cut

    verdict = np.full(score.shape, Verdict.ABSTAIN, np.uint8)
    verdict[keep] = Verdict.KEEP
    verdict[drop] = Verdict.DROP

    reason = np.full(score.shape, Reason.AMBIGUOUS, np.uint8)
    if is_cut is not None:
        reason[is_cut] = Reason.TEXT_CUT
    reason[keep] = Reason.IMPORTANT
    reason[drop] = Reason.BELOW_THRESHOLD
    reason[np.isnan(score)] = Reason.DEGRADED
    reason[~readable] = Reason.UNREADABLE
    reason[~decodable] = Reason.UNDECODABLE

    route = np.full(score.shape, Route.FORWARD, np.uint8)
    route[drop] = Route.DISCARD
    route[~decodable] = Route.DEAD_LETTER
    probability = np.ones(score.shape, np.float32)
    probability[drop | ~decodable] = 0.0
    return Decisions(
        score=score, verdict=verdict, route=route, reason=reason, probability=probability
    )


def decide_by_scout(
    decisions: Decisions,
    by_scout: NDArray[np.bool_],
    thresholds: Thresholds,
    is_cut: NDArray[np.bool_] | None = None,
) -> Decisions:
    """Decide some rows (shape (n,)) again, by thresholds of their own: those that the scout alone
    has scored. What it leaves open is forwarded as `overloaded`. `is_cut`: as `decide` has it."""
    again = decide(
        decisions.score,
        decodable=decisions.route != Route.DEAD_LETTER,
        readable=decisions.reason != Reason.UNREADABLE,
        thresholds=thresholds,
        is_cut=is_cut,
    )
    reason = np.where(again.reason == Reason.AMBIGUOUS, np.uint8(Reason.OVERLOADED), again.reason)
    return replace(
        decisions,
        verdict=np.where(by_scout, again.verdict, decisions.verdict),
        route=np.where(by_scout, again.route, decisions.route),
        reason=np.where(by_scout, reason, decisions.reason),
        probability=np.where(by_scout, again.probability, decisions.probability),
    )


def hold_out(
    decisions: Decisions, held_out: NDArray[np.bool_], share: float | NDArray[np.float64]
) -> Decisions:
    """Forward the would-be drops that are in the holdout; all would-be drops, drawn or not, get
    the probability `share`, a number or by row."""
    dropped = decisions.route == Route.DISCARD
    probability = np.where(dropped, share, decisions.probability).astype(np.float32)
    decisions = replace(decisions, probability=probability)
    return decisions.rerouted(dropped & held_out, Route.FORWARD, Reason.HOLDOUT)


def can_be_novel(decisions: Decisions) -> NDArray[np.bool_]:
    """Which rows a text's first occurrences are taken from: those that would be dropped."""
    dropped: NDArray[np.bool_] = decisions.reason == Reason.BELOW_THRESHOLD
    return dropped


def can_be_folded(decisions: Decisions) -> NDArray[np.bool_]:
    """Which rows may be folded: forwarded ones, but what the gate forwards to learn from or
    because it does not know."""
    foldable: NDArray[np.bool_] = np.isin(decisions.reason, _FOLDABLE)
    foldable &= decisions.route == Route.FORWARD
    return foldable


def can_be_over_budget(decisions: Decisions, overflow: Overflow) -> NDArray[np.bool_]:
    """Which rows a budget may keep from the analyst: forwarded ones, but what the gate forwards to
    learn from. What it forwards because it does not know may wait, and is never dropped."""
    reasons = _DEFERRABLE if overflow is Overflow.DEFER else _FOLDABLE
    refusable: NDArray[np.bool_] = np.isin(decisions.reason, reasons)
    refusable &= decisions.route == Route.FORWARD
    return refusable


def reason_before_budget(
    decisions: Decisions, is_cut: NDArray[np.bool_] | None = None
) -> NDArray[np.uint8]:
    """For which reason each record would have been forwarded, shape (n,), of records that a budget
    refused. What has no score counts as `degraded`, whatever the cause. `is_cut`: as `decide` has
    it."""
    reason = np.full(decisions.reason.shape, Reason.AMBIGUOUS, np.uint8)
    if is_cut is not None:
        reason[is_cut] = Reason.TEXT_CUT
    reason[decisions.verdict == Verdict.KEEP] = Reason.IMPORTANT
    reason[decisions.verdict == Verdict.DROP] = Reason.NOVEL
    reason[np.isnan(decisions.score)] = Reason.DEGRADED
    if decisions.rule is not None:
        reason[decisions.rule >= 0] = Reason.RULE
    return reason


_FOLDABLE = np.array([Reason.IMPORTANT, Reason.AMBIGUOUS, Reason.RULE, Reason.NOVEL], np.uint8)
_DEFERRABLE = np.array(
    [*_FOLDABLE, Reason.DEGRADED, Reason.UNREADABLE, Reason.OVERLOADED, Reason.TEXT_CUT], np.uint8
)


def leave_unenforced(decisions: Decisions, enforced: NDArray[np.bool_]) -> Decisions:
    """Forward for certain, as `shadow`, whatever the gate does not act on and would not have
    forwarded for certain; dead letters stay."""
    certain = (decisions.route == Route.FORWARD) & (decisions.reason != Reason.HOLDOUT)
    spared = ~enforced & ~certain & (decisions.route != Route.DEAD_LETTER)
    return decisions.rerouted(spared, Route.FORWARD, Reason.SHADOW, probability=1.0)


def forward_all(rows: int, reason: Reason) -> Decisions:
    """Every record of a batch forwarded unread: its topic is paused, or no policy is known."""
    return Decisions(
        score=np.full(rows, np.nan, np.float32),
        verdict=np.full(rows, Verdict.ABSTAIN, np.uint8),
        route=np.full(rows, Route.FORWARD, np.uint8),
        reason=np.full(rows, reason, np.uint8),
        probability=np.ones(rows, np.float32),
    )
