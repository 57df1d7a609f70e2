"""From scores to decisions: what the policy concludes and where each record goes."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.policy import Mode, Thresholds


class _Coded(IntEnum):
    """A closed list whose codes are what the ledger stores and whose labels people read."""

    @property
    def label(self) -> str:
        return self.name.lower()


class Verdict(_Coded):
    """What the policy concludes from the score."""

    KEEP = 0
    DROP = 1
    ABSTAIN = 2


class Route(_Coded):
    """Where the record goes. `DEFER` and `FOLD` are reserved for budgets and folds."""

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
    forwarded for certain, the holdout's π for a would-be drop, 0 for a dead letter."""


def decide(
    score: NDArray[np.float32],
    *,
    decodable: NDArray[np.bool_],
    readable: NDArray[np.bool_],
    held_out: NDArray[np.bool_],
    thresholds: Thresholds,
    mode: Mode,
    holdout: float,
) -> Decisions:
    """Decide a batch. All arrays have shape (n,).

    `readable` is False where a decoded record has no text to read. A record without a score
    (NaN) is forwarded as `degraded`: the gate fails open. `held_out` is consulted for would-be
    drops only; in shadow mode these are forwarded as `shadow`, whatever it says.
    """
    scored = decodable & readable & ~np.isnan(score)
    with np.errstate(invalid="ignore"):
        keep = scored & (score >= thresholds.keep_above)
        drop = scored & (score < thresholds.drop_below)

    verdict = np.full(score.shape, Verdict.ABSTAIN, np.uint8)
    verdict[keep] = Verdict.KEEP
    verdict[drop] = Verdict.DROP

    reason = np.full(score.shape, Reason.AMBIGUOUS, np.uint8)
    reason[keep] = Reason.IMPORTANT
    reason[np.isnan(score)] = Reason.DEGRADED
    reason[~readable] = Reason.UNREADABLE
    reason[~decodable] = Reason.UNDECODABLE

    route = np.full(score.shape, Route.FORWARD, np.uint8)
    route[~decodable] = Route.DEAD_LETTER
    probability = np.ones(score.shape, np.float32)
    probability[~decodable] = 0.0

    if mode is Mode.SHADOW:
        reason[drop] = Reason.SHADOW
    else:
        reason[drop] = Reason.BELOW_THRESHOLD
        route[drop] = Route.DISCARD
        probability[drop] = holdout
        spared = drop & held_out
        reason[spared] = Reason.HOLDOUT
        route[spared] = Route.FORWARD

    return Decisions(
        score=score, verdict=verdict, route=route, reason=reason, probability=probability
    )


def forward_all(rows: int, reason: Reason) -> Decisions:
    """Every record of a batch forwarded unread: its topic is paused, or no policy is known."""
    return Decisions(
        score=np.full(rows, np.nan, np.float32),
        verdict=np.full(rows, Verdict.ABSTAIN, np.uint8),
        route=np.full(rows, Route.FORWARD, np.uint8),
        reason=np.full(rows, reason, np.uint8),
        probability=np.ones(rows, np.float32),
    )
