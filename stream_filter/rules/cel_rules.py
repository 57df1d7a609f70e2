"""The `RuleSet` port on CEL conditions."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.policy import TopicPolicy
from stream_filter.gate.ports import Column, FieldRead, Record
from stream_filter.rules.compiler import compile_condition
from stream_filter.rules.evaluation import Evaluation
from stream_filter.rules.plan import reads


class CelRules:
    """The rules of a topic, compiled. Building it raises ExpressionError where one cannot be."""

    def __init__(self, policy: TopicPolicy) -> None:
        self._conditions = [
            compile_condition(rule.when, reads=policy.format) for rule in policy.rules
        ]
        fields = frozenset[FieldRead]().union(*map(reads, self._conditions))
        self._reads = tuple(sorted(fields, key=repr))

    @property
    def reads(self) -> tuple[FieldRead, ...]:
        return self._reads

    def first_match(
        self, records: Sequence[Record], columns: Sequence[Column]
    ) -> NDArray[np.int16]:
        first = np.full(len(records), -1, np.int16)
        undecided = np.ones(len(records), np.bool_)
        evaluation = Evaluation(records, dict(zip(self._reads, columns, strict=True)))
        for index, condition in enumerate(self._conditions):
            rows = evaluation.rows(condition, True, undecided)
            if rows is None:
                continue
            first[rows] = index
            undecided = undecided & ~rows
            if not undecided.any():
                break
        return first
