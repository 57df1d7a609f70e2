"""What rules conclude: the decisions on the records that a rule decides, and their holdout."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.policy import Rule


def decide_by_rules(
    decisions: Decisions, rules: Sequence[Rule], rule: NDArray[np.int16]
) -> Decisions:
    """Let rules decide before scores. `rule`: index of the first that holds, or -1, shape (n,).

    A record that a rule decides has no score, so that what it says does not depend on what else
    is in the batch. What cannot be decoded stays a dead letter.
    """
    rule = np.where(decisions.route == Route.DEAD_LETTER, np.int16(-1), rule)
    ruled = rule >= 0
    # The last stands for no rule: the index -1 leads there.
    verdicts = np.array([*(Verdict[r.then.upper()] for r in rules), Verdict.ABSTAIN], np.uint8)
    verdict = verdicts[rule]
    dropped = ruled & (verdict == Verdict.DROP)
    decisions = replace(
        decisions,
        score=np.where(ruled, np.float32(np.nan), decisions.score),
        verdict=np.where(ruled, verdict, decisions.verdict),
        rule=rule,
    )
    decisions = decisions.rerouted(ruled, Route.FORWARD, Reason.RULE, probability=1.0)
    return decisions.rerouted(dropped, Route.DISCARD, Reason.RULE, probability=0.0)


def holdout_of(
    rules: Sequence[Rule], rule: NDArray[np.int16] | None, holdout: float
) -> float | NDArray[np.float64]:
    """π of the records if they are dropped: the deciding rule's own, else the topic's `holdout`.
    A number where it is the same for all, else of shape (n,)."""
    if rule is None or all(each.holdout is None for each in rules):
        return holdout
    own = [holdout if each.holdout is None else each.holdout for each in rules]
    by_record: NDArray[np.float64] = np.array([*own, holdout])[rule]
    return by_record
