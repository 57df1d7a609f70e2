"""Values of mixed types as arrays: one cell a value, its kind beside it."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

MISSING, BOOL, INT, DOUBLE, STRING, TIMESTAMP, LIST, OBJECT = range(8)

_KIND_OF_TYPE = {
    type(None): MISSING,
    bool: BOOL,
    int: INT,
    float: DOUBLE,
    str: STRING,
    list: LIST,
    dict: OBJECT,
}
_INT64 = range(-(2**63), 2**63)
_LIMIT_DEPTH = 100
"""Lists and objects nested deeper read as missing."""


class Cells:
    """m values. `kinds` (m,) uint8; `ints` (m,) int64: integers, booleans as 0 and 1, timestamps
    in Unix milliseconds; `doubles` (m,) float64; `objects` (m,) object: strings, lists, objects.
    Where a cell is of another kind, an array holds anything."""

    def __init__(
        self,
        kinds: NDArray[np.uint8],
        *,
        ints: NDArray[np.int64] | None = None,
        doubles: NDArray[np.float64] | None = None,
        objects: NDArray[np.object_] | None = None,
    ) -> None:
        self.kinds = kinds
        self.ints = np.zeros(len(kinds), np.int64) if ints is None else ints
        self.doubles = np.zeros(len(kinds), np.float64) if doubles is None else doubles
        self.objects = np.full(len(kinds), None, object) if objects is None else objects

    def __len__(self) -> int:
        return len(self.kinds)

    def take(self, at: NDArray[np.intp]) -> "Cells":
        return Cells(
            self.kinds[at], ints=self.ints[at], doubles=self.doubles[at], objects=self.objects[at]
        )

    def are(self, *kinds: int) -> NDArray[np.bool_]:
        """Which cells are of one of these kinds. Shape (m,)."""
        found: NDArray[np.bool_] = self.kinds == kinds[0]
        for kind in kinds[1:]:
            found |= self.kinds == kind
        return found

    def at(self, kind: int) -> NDArray[np.intp]:
        """Where the cells of a kind stand."""
        return np.flatnonzero(self.kinds == kind)

    @cached_property
    def string_places(self) -> dict[str, int]:
        """Where each string stands; of equal ones the last."""
        at = self.at(STRING)
        return dict(zip(self.objects[at].tolist(), at.tolist(), strict=True))

    @cached_property
    def are_distinct_strings(self) -> bool:
        return len(self.string_places) == len(self.at(STRING))


def cells(values: Sequence[object]) -> Cells:
    """JSON values as cells. Integers outside int64 become doubles, and what is outside these too
    reads as text, as elsewhere."""
    kinds = np.fromiter(map(_KIND_OF_TYPE.__getitem__, map(type, values)), np.uint8, len(values))
    objects = np.fromiter(values, object, len(values))
    found = Cells(kinds, objects=objects)
    if (kinds == STRING).all():
        return found
    for kind in (LIST, OBJECT):
        for index in found.at(kind).tolist():
            objects[index], kinds[index] = _plain_or_missing(objects[index], kind)
    ints = found.at(INT)
    try:
        found.ints[ints] = np.fromiter(objects[ints], np.int64, len(ints))
    except OverflowError:
        for index in ints.tolist():
            plain = _plain_number(objects[index])
            kinds[index] = _KIND_OF_TYPE[type(plain)]
            objects[index] = plain
            if isinstance(plain, int):
                found.ints[index] = plain
    found.ints[kinds == BOOL] = objects[kinds == BOOL].astype(np.int64)
    found.doubles[kinds == DOUBLE] = objects[kinds == DOUBLE].astype(np.float64)
    return found


def _plain_number(value: int) -> int | float | str:
    if value in _INT64:
        return value
    try:
        return float(value)
    except OverflowError:
        return str(value)


def _plain_or_missing(value: object, kind: int) -> tuple[object, int]:
    try:
        return _plain(value, _LIMIT_DEPTH), kind
    except RecursionError:
        return None, MISSING


def _plain(value: object, depth: int) -> object:
    """A list or an object without the members that are null, as nested values are compared."""
    if depth == 0:
        raise RecursionError
    if isinstance(value, dict):
        return {k: _plain(v, depth - 1) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [_plain(v, depth - 1) for v in value]
    return _plain_number(value) if type(value) is int else value
