"""A compiled condition: what is left of an expression once every name and type is settled.

Equal conditions are equal values, so that rules share what they have in common.
"""

from dataclasses import dataclass
from typing import TypeAlias

from stream_filter.core.template import FieldPath
from stream_filter.gate.ports import FieldRead


@dataclass(frozen=True, slots=True)
class Literal:
    """`kind`: bool, int, double, string or timestamp (Unix milliseconds). It tells 1 from True."""

    kind: str
    value: bool | int | float | str


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the event; () is the line of plain text."""

    path: FieldPath


@dataclass(frozen=True, slots=True)
class Key:
    """The record's key."""


@dataclass(frozen=True, slots=True)
class Header:
    name: str


@dataclass(frozen=True, slots=True)
class Timestamp:
    """The record's timestamp."""


@dataclass(frozen=True, slots=True)
class Converted:
    """`function`: size, int or double."""

    function: str
    of: "Operand"


Operand: TypeAlias = Literal | Field | Key | Header | Timestamp | Converted


@dataclass(frozen=True, slots=True)
class Constant:
    value: bool


@dataclass(frozen=True, slots=True)
class Truth:
    """A field that is a condition by itself."""

    of: Operand


@dataclass(frozen=True, slots=True)
class Compare:
    """`operator`: ==, < or <=; the others are these, turned round or negated."""

    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class OneOf:
    """Equal to one of the literals; `x == 1` is one of one."""

    of: Operand
    literals: tuple[Literal, ...]


@dataclass(frozen=True, slots=True)
class Holds:
    """A list that holds the literal, or an object that has it as a key."""

    literal: Literal
    of: Operand


@dataclass(frozen=True, slots=True)
class HasField:
    """`parent` must be an object for the question to have an answer; None is the event."""

    path: FieldPath
    parent: FieldPath | None


@dataclass(frozen=True, slots=True)
class HasHeader:
    name: str


@dataclass(frozen=True, slots=True)
class TextTest:
    """`function`: startsWith, endsWith, contains or matches."""

    function: str
    of: Operand
    argument: str


@dataclass(frozen=True, slots=True)
class Not:
    of: "Condition"


@dataclass(frozen=True, slots=True)
class And:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Or:
    parts: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class Choose:
    """`test ? then : otherwise`"""

    test: "Condition"
    then: "Condition"
    otherwise: "Condition"


Leaf: TypeAlias = Truth | Compare | OneOf | Holds | HasField | HasHeader | TextTest
Condition: TypeAlias = Leaf | Constant | Not | And | Or | Choose


def reads(node: Condition | Operand) -> frozenset[FieldRead]:
    """The fields that a condition reads."""
    match node:
        case Field(path):
            return frozenset({FieldRead(path)})
        case HasField(path, parent):
            own = {FieldRead(path)}
            return frozenset(own if parent is None else own | {FieldRead(parent, as_object=True)})
        case Converted(_, of) | Truth(of) | OneOf(of) | TextTest(_, of) | Not(of):
            return reads(of)
        case Holds(_, of):
            return reads(of)
        case Compare(_, left, right):
            return reads(left) | reads(right)
        case And(parts) | Or(parts):
            return frozenset().union(*map(reads, parts))
        case Choose(test, then, otherwise):
            return reads(test) | reads(then) | reads(otherwise)
        case Literal() | Key() | Header() | Timestamp() | Constant() | HasHeader():
            return frozenset()


def cost(condition: Condition) -> int:
    """How dear a condition is beside others: searching in texts is, all else hardly."""
    match condition:
        case TextTest(function=("contains" | "matches")):
            return 100
        case Compare(left=Field(), right=Field()):
            return 10
        case Not(of):
            return cost(of)
        case And(parts) | Or(parts):
            return sum(map(cost, parts))
        case Choose(test, then, otherwise):
            return cost(test) + cost(then) + cost(otherwise)
    return 1
