"""`size()`, `int()` and `double()` of CEL on cells. What has no result is missing: an error."""

import re

import numpy as np

from stream_filter.rules.cells import (
    BOOL,
    DOUBLE,
    INT,
    LIST,
    MISSING,
    OBJECT,
    STRING,
    TIMESTAMP,
    Cells,
)

_SPACE = "[ \t\n\v\f\r]*"
_INT = re.compile(rf"{_SPACE}[+-]?[0-9]{{1,30}}{_SPACE}")
_DOUBLE = re.compile(rf"{_SPACE}[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?{_SPACE}")
_LIMIT_CHARACTERS = 400
"""The longest string that is taken for a number."""


def sizes(of: Cells) -> Cells:
    """Code points of strings, elements of lists, members of objects."""
    sized = of.are(STRING, LIST, OBJECT)
    ints = np.zeros(len(of), np.int64)
    ints[sized] = np.fromiter(map(len, of.objects[sized].tolist()), np.int64)
    return Cells(np.where(sized, np.uint8(INT), np.uint8(MISSING)), ints=ints)


def to_int(of: Cells) -> Cells:
    """Doubles are cut towards zero, timestamps become Unix seconds, true becomes 1."""
    ints = of.ints.copy()
    converted = (of.kinds == INT) | (of.kinds == BOOL) | (of.kinds == TIMESTAMP)
    ints[of.kinds == TIMESTAMP] //= 1000
    within = (of.kinds == DOUBLE) & (of.doubles > -(2.0**63)) & (of.doubles < 2.0**63)
    ints[within] = of.doubles[within].astype(np.int64)
    converted |= within
    for index in of.at(STRING).tolist():
        text = of.objects[index]
        if len(text) <= _LIMIT_CHARACTERS and _INT.fullmatch(text):
            value = int(text)
            if -(2**63) <= value < 2**63:
                ints[index] = value
                converted[index] = True
    return Cells(np.where(converted, np.uint8(INT), np.uint8(MISSING)), ints=ints)


def to_double(of: Cells) -> Cells:
    """Strings in decimal notation, not hexadecimal, `nan` or `inf`."""
    doubles = of.doubles.copy()
    whole = of.kinds == INT
    doubles[whole] = of.ints[whole].astype(np.float64)
    converted = whole | (of.kinds == DOUBLE)
    for index in of.at(STRING).tolist():
        text = of.objects[index]
        if len(text) <= _LIMIT_CHARACTERS and _DOUBLE.fullmatch(text):
            doubles[index] = float(text)
            converted[index] = True
    return Cells(np.where(converted, np.uint8(DOUBLE), np.uint8(MISSING)), doubles=doubles)
