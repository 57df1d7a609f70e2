"""What rules conclude: the verdict and the holdout of the records that a rule decides."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.policy import Rule
from stream_filter.core.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleVerdicts:
    """A batch of n records, as far as rules decide it. All arrays have shape (n,)."""

    rule: NDArray[np.int16]
    """Index of the deciding rule in the policy, or -1."""
    verdict: NDArray[np.uint8]
    """Where a rule decides; elsewhere of no meaning."""

    @property
    def decided(self) -> NDArray[np.bool_]:
        return self.rule >= 0


def verdicts_of(rules: Sequence[Rule], rule: NDArray[np.int16]) -> RuleVerdicts:
    """The verdicts of the rules that decide: `rule` as in `RuleVerdicts`."""
    # The last stands for no rule: the index -1 leads there.
    by_rule = np.array([*(Verdict[r.then.upper()] for r in rules), Verdict.ABSTAIN], np.uint8)
    return RuleVerdicts(rule=rule, verdict=by_rule[rule])


def holdouts_of(
    rules: Sequence[Rule], rule: NDArray[np.int16], *, holdout: float
) -> float | NDArray[np.float64]:
    """π of each record if it were dropped: the rule's own, else the topic's `holdout`. A number
    where it is the same for all."""
    if all(each.holdout is None for each in rules):
        return holdout
    own = [holdout if each.holdout is None else each.holdout for each in rules]
    by_record: NDArray[np.float64] = np.array([*own, holdout])[rule]
    return by_record
