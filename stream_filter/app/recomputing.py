"""A recorded decision made again: by the same policy, pack and key, from the record itself.

What a record is by itself is recomputed: text, score, rule, verdict, and the route that mode,
holdout and ramp give it. Novelty, folds, budget, overload and fallen certificates depend on what
else came; what they decided is not disputed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from stream_filter.app.rehearsal import rehearsal_gate, with_all_topics
from stream_filter.app.settings import Settings
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.ports import Record

_BY_STATE = (Reason.NOVEL, Reason.DUPLICATE, Reason.OVER_BUDGET, Reason.TOO_LARGE)
"""Reasons that a record does not have by itself."""
_UNREAD = (Reason.OVERLOADED, Reason.DEGRADED, Reason.PAUSED)
"""The model gave no score, or another stage of it did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OneDecision:
    """What was decided of one record."""

    verdict: str
    route: str
    reason: str
    rule: str | None
    score: float | None
    probability: float
    text_digest: str
    """16 hex digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recomputed:
    """A decision made again."""

    decision: OneDecision
    differences: tuple[str, ...]
    """In what it is not the recorded one."""


def decision_at(block: Block, row: int) -> OneDecision:
    """What a block says of one of its rows."""
    decisions = block.decisions
    rule = -1 if decisions.rule is None else int(decisions.rule[row])
    score = float(decisions.score[row])
    return OneDecision(
        verdict=Verdict(decisions.verdict[row]).label,
        route=Route(decisions.route[row]).label,
        reason=Reason(decisions.reason[row]).label,
        rule=block.rule_labels[rule] if rule >= 0 else None,
        score=None if math.isnan(score) else score,
        probability=float(decisions.probability[row]),
        text_digest=f"{int(block.text_digests[row]):016x}",
    )


def obstacle(policy: Policy, block: Block) -> str | None:
    """Why a block's decisions cannot be made again by a policy; None where they can."""
    header = block.header
    if policy.for_topic(header.topic) is None:
        return f"the policy given does not cover {header.topic}"
    if policy.policy_id != header.policy_id:
        return f"policy {header.policy_id} decided, and the one given is {policy.policy_id}"
    return None


class Recomputer:
    """Decides records again by one policy, with the packs loaded once. Not thread-safe."""

    def __init__(self, policy: Policy, settings: Settings) -> None:
        """Raises ConfigError where a pack cannot be used."""
        self._policy = policy
        self._now_ms = 0
        alone = with_all_topics(policy, novelty=None, fold=None, budget=None, challenger=None)
        self._gate = rehearsal_gate(alone, settings, clock_ms=lambda: self._now_ms)

    def recompute(
        self, block: Block, rows: Sequence[int], records: Sequence[Record]
    ) -> list[Recomputed]:
        """Decide the records of some of a block's rows again, in their order: at least one.
        `obstacle` must have found none."""
        header = block.header
        self._now_ms = header.decided_at_ms
        batch = RecordBatch(
            topic=header.topic,
            partition=header.partition,
            first_offset=records[0].offset,
            next_offset=records[-1].offset + 1,
            records=records,
        )
        again = self._gate.process(batch, {}).block
        return [self._compared(block, row, again, at) for at, row in enumerate(rows)]

    def _compared(self, block: Block, row: int, again: Block, at: int) -> Recomputed:
        header = block.header
        found, recorded = decision_at(again, at), decision_at(block, row)
        # Where there is a target, a fallen certificate may have decided the route.
        rules = self._policy.for_topic(header.topic)
        names = _comparable(recorded, has_target=rules is not None and rules.target is not None)
        differences = [
            f"{name}: recorded is {getattr(recorded, name)}, recomputed {getattr(found, name)}"
            for name in names
            if getattr(recorded, name) != getattr(found, name)
        ]
        pack = again.header.model_id
        if header.model_id and header.model_id != pack:
            differences.append(f"pack {header.model_id} decided, and {pack or 'none'} is there now")
        return Recomputed(decision=found, differences=tuple(differences))


def _comparable(recorded: OneDecision, *, has_target: bool) -> tuple[str, ...]:
    """What of a recorded decision follows from the record alone."""
    by_itself = ("text_digest", "verdict", "rule", "score")
    reason = Reason[recorded.reason.upper()]
    if reason in _UNREAD:
        return ("text_digest",) if reason is not Reason.PAUSED else ()
    if reason in _BY_STATE or has_target:
        return by_itself
    if reason is Reason.SHADOW:
        # What the gate did not act on may be a fold or a budget's refusal.
        return (*by_itself, "route")
    return (*by_itself, "route", "reason", "probability")
