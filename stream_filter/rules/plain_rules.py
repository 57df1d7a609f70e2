"""The `RuleSet` port on plain functions: the in-memory twin, for tests."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.template import FieldPath
from stream_filter.gate.ports import Column, FieldRead, Record

PlainRule: TypeAlias = Callable[[Record, Mapping[FieldPath, object]], bool]
"""Of a record and the fields that it has."""


class PlainRules:
    """Asks each function about each record, in order."""

    def __init__(self, paths: Sequence[FieldPath], rules: Sequence[PlainRule]) -> None:
        self._reads = tuple(map(FieldRead, paths))
        self._rules = tuple(rules)

    @property
    def reads(self) -> tuple[FieldRead, ...]:
        return self._reads

    def first_match(
        self, records: Sequence[Record], columns: Sequence[Column]
    ) -> NDArray[np.int16]:
        first = np.full(len(records), -1, np.int16)
        for row, record in enumerate(records):
            fields = {
                read.path: column.values[column.codes[row]]
                for read, column in zip(self._reads, columns, strict=True)
                if column.codes[row] >= 0
            }
            matching = (i for i, rule in enumerate(self._rules) if rule(record, fields))
            first[row] = next(matching, -1)
        return first
