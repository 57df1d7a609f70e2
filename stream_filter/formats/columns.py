"""Columns for rules: the values of a field, each distinct one once."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from stream_filter.gate.ports import Column

_NUMBERS = {bool, int, float}


def column_of(values: Sequence[Any]) -> Column:
    """A column of JSON values; None is missing."""
    codes = _Codes({None: -1})
    try:
        found = np.fromiter(map(codes.__getitem__, values), np.int32, len(values))
    except TypeError:  # a list or an object among them: no key of a dict
        return _by_type(values)
    distinct = list(codes)[1:]
    if any(type(value) is not str for value in distinct) and (
        # To a dict, 1, 1.0 and True are one key.
        len(_NUMBERS.intersection(map(type, values))) > 1
    ):
        return _by_type(values)
    return Column(codes=found, values=distinct)


class _Codes(dict[Any, int]):
    """Numbers its keys in the order in which they are asked for, from 0; None has -1 already."""

    def __missing__(self, value: Any) -> int:
        code = self[value] = len(self) - 1
        return code


def _by_type(values: Sequence[Any]) -> Column:
    codes: list[int] = []
    distinct: list[object] = []
    known: dict[tuple[type, Any], int] = {}
    for value in values:
        if value is None:
            codes.append(-1)
            continue
        code = len(distinct)
        if not isinstance(value, list | dict):
            code = known.setdefault((type(value), value), code)
        if code == len(distinct):
            distinct.append(value)
        codes.append(code)
    return Column(codes=np.array(codes, np.int32), values=distinct)
