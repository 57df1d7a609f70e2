"""Conditions on one batch: where each is true.

CEL's `&&` and `||` absorb errors: `false && error` is false, `true || error` is true, and the
order does not matter. Instead of carrying three values through every step, a condition is asked
twice, where it is true and where it is false; what is neither is an error. `a && b` is true where
both are and false where either is, `!a` is true where a is false. A rule asks only for true, so
falsehood is computed below a negation and nowhere else.

A test of one field runs on the distinct values of the batch and is spread over the records last,
unless no value passes it. Tests of text run on the values of those records only that the cheaper
parts of a condition, and the rules before it, have left open.
"""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.template import FieldPath
from stream_filter.gate.ports import Column, FieldRead, Record
from stream_filter.rules import plan
from stream_filter.rules.cells import BOOL, MISSING, STRING, TIMESTAMP, Cells, cells
from stream_filter.rules.comparisons import ERROR, FALSE, TRUE, equal, equal_to_any, holding, less
from stream_filter.rules.conversions import sizes, to_double, to_int
from stream_filter.rules.text_tests import TEXT_TESTS, TextTest

Rows: TypeAlias = NDArray[np.bool_]
_CONVERT: dict[str, Callable[[Cells], Cells]] = {
    "size": sizes,
    "int": to_int,
    "double": to_double,
}
UNKNOWN = np.uint8(3)


class _Values:
    """An operand in a batch: cells, and for each record the index of its cell."""

    def __init__(self, cells: Cells, codes: NDArray[np.intp]) -> None:
        self.cells = cells
        self.codes = codes


class _Answers:
    """A leaf in a batch: TRUE, FALSE or ERROR by cell, and for each record the index of its
    cell; without `codes`, a cell is a record. Cells that are UNKNOWN are asked when a record
    that has them matters."""

    def __init__(
        self,
        cells: NDArray[np.uint8],
        codes: NDArray[np.intp] | None,
        ask: Callable[[NDArray[np.intp]], NDArray[np.uint8]] | None = None,
    ) -> None:
        self._cells = cells
        self._codes = codes
        self._ask = ask
        self._is_open = ask is not None and bool((cells == UNKNOWN).any())

    def rows(self, wanted: bool, among: Rows) -> Rows | None:
        if self._is_open:
            self._complete(among)
        found: Rows = self._cells == (TRUE if wanted else FALSE)
        if not found.any():
            return None
        return _both(among, found if self._codes is None else found[self._codes])

    def _complete(self, among: Rows) -> None:
        assert self._ask is not None
        assert self._codes is not None
        needed = np.zeros(len(self._cells), np.bool_)
        needed[self._codes[among]] = True
        at = np.flatnonzero(needed & (self._cells == UNKNOWN))
        if len(at):
            self._cells[at] = self._ask(at)
            self._is_open = bool((self._cells == UNKNOWN).any())


class Evaluation:
    """The conditions of a policy on n records. What conditions share is computed once."""

    def __init__(self, records: Sequence[Record], columns: Mapping[FieldRead, Column]) -> None:
        self._records = records
        self._columns = columns
        self._values: dict[plan.Operand, _Values] = {}
        self._answers: dict[plan.Leaf, _Answers] = {}

    def rows(self, condition: plan.Condition, wanted: bool, among: Rows) -> Rows | None:
        """Which of these records (shape (n,)) give the condition this value; None: not one."""
        match condition:
            case plan.Constant(value):
                return among if value is wanted else None
            case plan.Not(of):
                return self.rows(of, not wanted, among)
            case plan.And(parts) | plan.Or(parts):
                if isinstance(condition, plan.And) is wanted:
                    return self._where_all(parts, wanted, among)
                return self._where_any(parts, wanted, among)
            case plan.Choose(test, then, otherwise):
                yes, no = self.rows(test, True, among), self.rows(test, False, among)
                return _either(
                    None if yes is None else self.rows(then, wanted, yes),
                    None if no is None else self.rows(otherwise, wanted, no),
                )
        return self._answer(condition).rows(wanted, among)

    def _where_all(self, parts: Sequence[plan.Condition], wanted: bool, among: Rows) -> Rows | None:
        found: Rows | None = among
        for part in parts:
            if found is None:
                break
            found = self.rows(part, wanted, found)
        return found

    def _where_any(self, parts: Sequence[plan.Condition], wanted: bool, among: Rows) -> Rows | None:
        found: Rows | None = None
        for part in parts:
            rows = self.rows(part, wanted, among)
            found = _either(found, rows)
            if rows is not None:
                among = among & ~rows
        return found

    def _answer(self, leaf: plan.Leaf) -> _Answers:
        if leaf not in self._answers:
            self._answers[leaf] = self._ask(leaf)
        return self._answers[leaf]

    def _ask(self, leaf: plan.Leaf) -> _Answers:
        match leaf:
            case plan.HasField(path, parent):
                return self._has_field(path, parent)
            case plan.HasHeader(name):
                named = [any(n == name for n, _ in r.headers) for r in self._records]
                return _Answers(_truth(np.array(named, np.bool_)), None)
            case plan.Compare(operator, left, right):
                return self._compare(operator, left, right)
            case plan.TextTest(function, of, argument):
                return _test_texts(self._operand(of), TEXT_TESTS[function], argument)
        values = self._operand(leaf.of)
        cells = values.cells
        match leaf:
            case plan.Truth():
                answers = np.where(cells.are(BOOL), _truth(cells.ints == 1), ERROR)
            case plan.OneOf(_, literals):
                found = equal_to_any(cells, [_literal(literal) for literal in literals])
                answers = np.where(cells.are(MISSING), ERROR, _truth(found))
            case plan.Holds(literal):
                answers = holding(cells, _literal(literal))
        return _Answers(answers, values.codes)

    def _has_field(self, path: FieldPath, parent: FieldPath | None) -> _Answers:
        has = self._columns[FieldRead(path)].codes >= 0
        if parent is None:
            return _Answers(_truth(has), None)
        is_object = self._columns[FieldRead(parent, as_object=True)].codes >= 0
        return _Answers(np.where(is_object, _truth(has), ERROR), None)

    def _compare(self, operator: str, left: plan.Operand, right: plan.Operand) -> _Answers:
        codes: NDArray[np.intp] | None = None
        if isinstance(left, plan.Literal):
            values = self._operand(right)
            a, b, codes = _literal(left), values.cells, values.codes
        elif isinstance(right, plan.Literal):
            values = self._operand(left)
            a, b, codes = values.cells, _literal(right), values.codes
        else:
            first, second = self._operand(left), self._operand(right)
            a, b = first.cells.take(first.codes), second.cells.take(second.codes)
        if operator == "==":
            answers = np.where(a.are(MISSING) | b.are(MISSING), ERROR, _truth(equal(a, b)))
        else:
            answers = less(a, b, or_equal=operator == "<=")
        return _Answers(answers, codes)

    def _operand(self, operand: plan.Operand) -> _Values:
        if operand not in self._values:
            self._values[operand] = self._read(operand)
        return self._values[operand]

    def _read(self, operand: plan.Operand) -> _Values:
        match operand:
            case plan.Field(path):
                column = self._columns[FieldRead(path)]
                # The last cell is missing: the code -1 leads there.
                return _Values(cells([*column.values, None]), column.codes.astype(np.intp))
            case plan.Key():
                return _texts(list(map(attrgetter("key"), self._records)), missing=b"")
            case plan.Header(name):
                return _texts([_header(record, name) for record in self._records])
            case plan.Timestamp():
                stamps = np.fromiter(map(attrgetter("timestamp"), self._records), np.int64)
                kinds = np.where(stamps >= 0, np.uint8(TIMESTAMP), np.uint8(MISSING))
                return _Values(Cells(kinds, ints=stamps), np.arange(len(stamps)))
            case plan.Converted(function, of):
                values = self._operand(of)
                return _Values(_CONVERT[function](values.cells), values.codes)
            case plan.Literal():
                raise AssertionError("the compiler leaves literals only beside something read")


def _test_texts(values: _Values, test: TextTest, argument: str) -> _Answers:
    def ask(at: NDArray[np.intp]) -> NDArray[np.uint8]:
        return _truth(test(values.cells.objects[at].tolist(), argument))

    return _Answers(np.where(values.cells.are(STRING), UNKNOWN, ERROR), values.codes, ask)


def _either(left: Rows | None, right: Rows | None) -> Rows | None:
    if left is None or right is None:
        return right if left is None else left
    return left | right


def _both(left: Rows, right: Rows) -> Rows | None:
    both: Rows = left & right
    return both if both.any() else None


def _truth(found: Rows) -> NDArray[np.uint8]:
    return np.where(found, TRUE, FALSE)


def _literal(literal: plan.Literal) -> Cells:
    if literal.kind == "timestamp":
        return Cells(np.array([TIMESTAMP], np.uint8), ints=np.array([literal.value], np.int64))
    return cells([literal.value])


def _header(record: Record, name: str) -> bytes | None:
    """The content of the last header of this name; b"" where it has none."""
    for header, content in reversed(record.headers):
        if header == name:
            return content or b""
    return None


def _texts(contents: Sequence[bytes | None], *, missing: bytes | None = None) -> _Values:
    """Bytes as text; None reads as `missing`. What is not UTF-8 reads as U+FFFD, as in lines."""
    places = {content: index for index, content in enumerate(dict.fromkeys(contents))}
    if len(places) == 1:
        codes = np.zeros(len(contents), np.intp)
    else:
        codes = np.fromiter(map(places.__getitem__, contents), np.intp, len(contents))
    read = [missing if content is None else content for content in places]
    texts = [None if content is None else content.decode("utf-8", "replace") for content in read]
    return _Values(cells(texts), codes)
