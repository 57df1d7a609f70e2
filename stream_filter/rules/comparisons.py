"""Comparisons of cells: true, false or an error, as in CEL.

A missing value is an error, and so is an order between kinds; equality between kinds is false.
Of an integer and a double, the integer is compared as a double, as the reference does it.
https://github.com/google/cel-spec/blob/master/doc/langdef.md (equality; numeric values)
"""

from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

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
    cells,
)

FALSE, ERROR, TRUE = np.uint8(0), np.uint8(1), np.uint8(2)
_CLASS = np.array([0, 1, 2, 2, 3, 4, 5, 6], np.uint8)
"""By kind: kinds of one class compare. Integers and doubles do."""


def equal_to_any(left: Cells, literals: Sequence[Cells]) -> NDArray[np.bool_]:
    """Where a cell equals one of the literals (cells of length 1). Shape (m,)."""
    found = np.zeros(len(left), np.bool_)
    for literal in literals:
        if literal.kinds[0] == STRING and left.are_distinct_strings:
            place = left.string_places.get(literal.objects[0])
            if place is not None:
                found[place] = True
        else:
            found |= equal(left, literal)
    return found


def equal(left: Cells, right: Cells) -> NDArray[np.bool_]:
    """Cell by cell, or all cells of one with the one of the other. Missing cells equal nothing."""
    same = (_CLASS[left.kinds] == _CLASS[right.kinds]) & ~left.are(MISSING)
    found: NDArray[np.bool_] = same & (left.ints == right.ints)
    if (numbers := same & left.are(INT, DOUBLE)).any():
        found[numbers] = _number_order(*_pairs(left, right, numbers))[1]
    for kind in (STRING, LIST, OBJECT):
        if (both := same & left.are(kind)).any():
            a, b = _pairs(left, right, both)
            alike = _same if kind != STRING else str.__eq__
            found[both] = [alike(x, y) for x, y in zip(a.objects, b.objects, strict=True)]
    return found


def less(left: Cells, right: Cells, *, or_equal: bool) -> NDArray[np.uint8]:
    """TRUE, FALSE or ERROR, cell by cell as `equal`: numbers, strings, booleans, timestamps."""
    same = _CLASS[left.kinds] == _CLASS[right.kinds]
    result = np.full(same.shape, ERROR)
    for kinds in ((INT, DOUBLE), (STRING,), (BOOL,), (TIMESTAMP,)):
        both = same & left.are(*kinds)
        if not both.any():
            continue
        a, b = _pairs(left, right, both)
        if kinds == (INT, DOUBLE):
            is_less, is_equal = _number_order(a, b)
            found = is_less | is_equal if or_equal else is_less
        elif kinds == (STRING,):
            # By code points, which is the order of UTF-8 bytes.
            found = a.objects <= b.objects if or_equal else a.objects < b.objects
        else:
            found = a.ints <= b.ints if or_equal else a.ints < b.ints
        result[both] = np.where(found, TRUE, FALSE)
    return result


def _pairs(left: Cells, right: Cells, at: NDArray[np.bool_]) -> tuple[Cells, Cells]:
    """The cells of both sides at these places of the longer one."""
    places = np.flatnonzero(at)
    first = np.zeros(len(places), np.intp)
    return (
        left.take(first if len(left) < len(at) else places),
        right.take(first if len(right) < len(at) else places),
    )


def _number_order(left: Cells, right: Cells) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Where left is less, and where they are equal. NaN is neither."""
    left_is_int, right_is_int = left.kinds == INT, right.kinds == INT
    a = np.where(left_is_int, left.ints.astype(np.float64), left.doubles)
    b = np.where(right_is_int, right.ints.astype(np.float64), right.doubles)
    both = left_is_int & right_is_int
    is_less = np.where(both, left.ints < right.ints, a < b)
    is_equal = np.where(both, left.ints == right.ints, a == b)
    return is_less, is_equal


def _same(left: object, right: object) -> bool:
    """Equality of what lists and objects hold: true is not 1, and 1 is 1.0."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_same(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_same, left, right))
    if {type(left), type(right)} == {int, float}:
        return float(left) == float(right)  # type: ignore[arg-type]  # numbers, as just asked
    return type(left) is type(right) and left == right


def holding(collections: Cells, literal: Cells) -> NDArray[np.uint8]:
    """Which lists hold the literal (one cell) and which objects have it as a key."""
    result = np.full(len(collections), ERROR)
    lists = collections.at(LIST)
    if len(lists):
        elements = collections.objects[lists]
        lengths = np.fromiter(map(len, elements), np.intp, len(lists))
        flat = cells(list(chain.from_iterable(elements)))
        owners = np.repeat(np.arange(len(lists)), lengths)[equal_to_any(flat, [literal])]
        result[lists] = FALSE
        result[lists[owners]] = TRUE
    objects = collections.at(OBJECT)
    key = literal.objects[0] if literal.kinds[0] == STRING else None
    for index in objects.tolist():
        result[index] = TRUE if key in collections.objects[index] else FALSE
    return result
