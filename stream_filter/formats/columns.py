"""Columns for rules: the values of a field, each distinct one once."""

from collections import defaultdict
from collections.abc import Sequence
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.gate.ports import Column

_NUMBERS = {bool, int, float}


def column_of(values: Sequence[Any]) -> Column:
    """A column of JSON values; None is missing."""
    builder = ColumnBuilder()
    builder.add(values)
    return builder.column(range(len(values)), len(values))


class ColumnBuilder:
    """Takes a batch's values a chunk at a time."""

    def __init__(self) -> None:
        # Numbers its keys from 0 in the order in which they are asked for, without a step in
        # Python; None has -1 already.
        self._codes: defaultdict[Any, int] = defaultdict(count().__next__, {None: -1})
        self._numbers: set[type] = set()
        self._by_type: _ByType | None = None
        self._parts: list[NDArray[np.int32]] = []

    def add(self, values: Sequence[Any]) -> None:
        """The next values; None is missing."""
        self._parts.append(self._encode(values))

    def column(self, at: Sequence[int], size: int) -> Column:
        """The column of n = `size` records of which those `at` have been added, in order."""
        codes = np.concatenate([*self._parts, np.array([], np.int32)])
        if len(at) < size:
            spread = np.full(size, -1, np.int32)
            spread[at] = codes
            codes = spread
        values = list(self._codes)[1:] if self._by_type is None else self._by_type.values
        return Column(codes=codes, values=values)

    def _encode(self, values: Sequence[Any]) -> NDArray[np.int32]:
        if self._by_type is None:
            before = len(self._codes)
            try:
                found = np.fromiter(map(self._codes.__getitem__, values), np.int32, len(values))
            except TypeError:  # a list or an object among them: no key of a dict
                pass
            else:
                if self._tells_apart(values, list(self._codes)[before:]):
                    return found
            self._by_type = _ByType(list(self._codes)[1:])
        return self._by_type.encode(values)

    def _tells_apart(self, values: Sequence[Any], added: list[Any]) -> bool:
        """To a dict, 1, 1.0 and True are one key."""
        if self._numbers or not set(map(type, added)) <= {str}:
            self._numbers |= _NUMBERS.intersection(map(type, values))
        return len(self._numbers) <= 1


class _ByType:
    """The slow way, for fields that hold numbers of several types, lists or objects."""

    def __init__(self, values: list[object]) -> None:
        self.values = values
        self._known: dict[tuple[type, Any], int] = {
            (type(value), value): code for code, value in enumerate(values)
        }

    def encode(self, values: Sequence[Any]) -> NDArray[np.int32]:
        codes: list[int] = []
        for value in values:
            if value is None:
                codes.append(-1)
                continue
            code = len(self.values)
            if not isinstance(value, list | dict):
                code = self._known.setdefault((type(value), value), code)
            if code == len(self.values):
                self.values.append(value)
            codes.append(code)
        return np.array(codes, np.int32)
