"""A CEL expression as a syntax tree with places, parsed by the reference implementation.

The nodes are those of cel.expr.Expr, the published form of CEL's tree:
https://github.com/google/cel-spec/blob/master/proto/cel/expr/syntax.proto
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from cel_expr_python import cel

from stream_filter.core.errors import ExpressionError
from stream_filter.rules.wire import Message

LIMIT_CHARACTERS = 10_000


@dataclass(frozen=True, slots=True)
class Literal:
    """`kind`: null, bool, int, uint, double, string or bytes."""

    at: int
    """Where the node stands: characters from the start of the expression, as in all nodes."""
    kind: str
    value: bool | int | float | str | bytes | None


@dataclass(frozen=True, slots=True)
class Name:
    at: int
    name: str


@dataclass(frozen=True, slots=True)
class Select:
    """`of.field`; inside `has()` with `is_test`."""

    at: int
    of: "Node"
    field: str
    is_test: bool


@dataclass(frozen=True, slots=True)
class Call:
    """A function, a method (`target` is its receiver) or an operator (`_&&_`, `@in`, `_[_]`)."""

    at: int
    function: str
    target: "Node | None"
    arguments: tuple["Node", ...]

    @property
    def takes(self) -> tuple["Node", ...]:
        """The receiver, where there is one, and the arguments."""
        return self.arguments if self.target is None else (self.target, *self.arguments)


@dataclass(frozen=True, slots=True)
class Items:
    """A list literal."""

    at: int
    elements: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Other:
    """What no rule uses: `what` says it in words."""

    at: int
    what: str


Node: TypeAlias = Literal | Name | Select | Call | Items | Other


def parse(expression: str) -> Node:
    """The tree of an expression. Raises ExpressionError with line and column."""
    if not expression.strip():
        raise ExpressionError("is empty", expression, 0, way_out="write a condition")
    if len(expression) > LIMIT_CHARACTERS:
        raise ExpressionError(
            f"{len(expression)} characters, and {LIMIT_CHARACTERS} is the limit",
            expression,
            LIMIT_CHARACTERS,
            way_out="split it into several rules",
        )
    try:
        # Unchecked: an event's fields have no declared types.
        parsed = cel.NewEnv(variables={}).compile(expression, disable_check=True)
        # google.protobuf.Any around cel.expr.ParsedExpr
        content = Message(parsed.serialize()).message(2)
    except (RuntimeError, ValueError, UnicodeError) as error:
        raise _syntax_error(str(error), expression) from None
    places = {m.number(1): m.number(2) for m in content.message(3).messages(4)}
    return _node(content.message(2), places)


def _node(expr: Message, places: dict[int, int]) -> Node:
    at = places.get(expr.number(2), 0)
    if expr.has(3):
        return _literal(expr.message(3), at)
    if expr.has(4):
        return Name(at, expr.message(4).text(1))
    if expr.has(5):
        select = expr.message(5)
        operand = _node(select.message(1), places)
        return Select(at, operand, select.text(2), bool(select.number(3)))
    if expr.has(6):
        call = expr.message(6)
        target = _node(call.message(1), places) if call.has(1) else None
        arguments = tuple(_node(argument, places) for argument in call.messages(3))
        return Call(at, call.text(2), target, arguments)
    if expr.has(7):
        return Items(at, tuple(_node(item, places) for item in expr.message(7).messages(1)))
    if expr.has(8):
        return Other(at, "an object literal")
    return Other(at, "a macro (all, exists, exists_one, filter, map)")


def _literal(constant: Message, at: int) -> Literal:
    if constant.has(2):
        return Literal(at, "bool", bool(constant.number(2)))
    if constant.has(3):
        return Literal(at, "int", constant.signed(3))
    if constant.has(4):
        return Literal(at, "uint", constant.number(4))
    if constant.has(5):
        return Literal(at, "double", constant.double(5))
    if constant.has(6):
        return Literal(at, "string", constant.text(6))
    if constant.has(7):
        return Literal(at, "bytes", constant.blob(7))
    return Literal(at, "null", None)


_COMPLAINT = re.compile(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)")
_QUOTED = re.compile(r"(?:at(?: input)?:? |input )'(.*?)'(?: expecting|$)")
_WAYS_OUT = {
    "=": "compare with ==",
    "=~": 'write field.matches("…")',
    "&": "write &&",
    "|": "write ||",
    "and": "write &&",
    "or": "write ||",
    "startswith": 'write field.startsWith("…")',
    "endswith": 'write field.endsWith("…")',
    "contains": 'write field.contains("…")',
    "matches": 'write field.matches("…")',
}
"""What people write out of habit from other languages."""


def _syntax_error(said: str, expression: str) -> ExpressionError:
    """The parser's first complaint in our words."""
    found = _COMPLAINT.search(said)
    if found is None or int(found[1]) > expression.count("\n") + 1:
        if "recursion" in said:
            return ExpressionError("is nested too deeply", expression, 0, way_out="flatten it")
        first = said.splitlines()[0].removesuffix(" [INVALID_ARGUMENT]")
        return ExpressionError(f"cannot be parsed: {first}", expression, 0)
    lines = expression.split("\n")
    at = sum(len(line) + 1 for line in lines[: int(found[1]) - 1]) + int(found[2]) - 1
    message = found[3].strip().removesuffix(" [INVALID_ARGUMENT]")
    if "has() argument" in message:
        return ExpressionError(
            "has() takes a field of something",
            expression,
            at,
            way_out='write has(event.name), or "name" in headers',
        )
    if message.startswith("reserved identifier: "):
        word = message.removeprefix("reserved identifier: ")
        return ExpressionError(
            f"{word} is a reserved word of CEL",
            expression,
            at,
            way_out=f'write event["{word}"] for the field',
        )
    if "<EOF>' expecting" in message or "at '<EOF>'" in message:
        return ExpressionError("ends too early", expression, at, way_out="complete it")
    if quoted := _QUOTED.search(message):
        token = quoted[1].strip()
        if token[:1] in {'"', "'"} and "recognition" in message:
            return ExpressionError(
                f"cannot read the string {token}",
                expression,
                at,
                way_out='close it, and double its backslashes or write r"…"',
            )
        return ExpressionError(
            f"cannot read {token!r} here", expression, at, way_out=_WAYS_OUT.get(token.lower())
        )
    return ExpressionError(message, expression, at)
