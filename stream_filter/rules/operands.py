"""The values that an expression compares: literals, what is read, and conversions of it."""

import difflib
from datetime import UTC, datetime, timedelta

from stream_filter.core.errors import ExpressionError
from stream_filter.rules import plan, syntax
from stream_filter.rules.names import reference
from stream_filter.rules.source import Source, start
from stream_filter.rules.text_tests import TEXT_TESTS

_CONVERSIONS = frozenset({"size", "int", "double"})
_ARITHMETIC = frozenset({"_+_", "_-_", "_*_", "_/_", "_%_", "-_"})
FUNCTIONS = sorted({*TEXT_TESTS, *_CONVERSIONS, "has", "timestamp"})
_KIND = {"int": "number", "double": "number"}
_WORDS = {"string": "a string", "bool": "true or false", None: "a field"}


def kind(operand: plan.Operand) -> str | None:
    """What an operand compares with: string, number, bool, timestamp; None for a field, which may
    hold anything."""
    match operand:
        case plan.Literal():
            return _KIND.get(operand.kind, operand.kind)
        case plan.Key() | plan.Header():
            return "string"
        case plan.Timestamp():
            return "timestamp"
        case plan.Converted():
            return "number"
        case plan.Field():
            return None


def in_words(kind: str | None) -> str:
    return _WORDS.get(kind, f"a {kind}")


def variable(node: syntax.Node, source: Source) -> plan.Operand:
    """An operand that differs from record to record."""
    found = operand(node, source)
    if isinstance(found, plan.Literal):
        raise source.refusal(
            "a literal is the same for every event", start(node), "name a field here"
        )
    return found


def operand(node: syntax.Node, source: Source) -> plan.Operand:
    match node:
        case syntax.Literal():
            return _literal(node, source)
        case syntax.Name() | syntax.Select(is_test=False) | syntax.Call(function="_[_]"):
            return reference(node, source)
        case syntax.Call() if node.function in _CONVERSIONS:
            return _converted(node, source)
        case syntax.Call(function="timestamp"):
            return _moment(node, source)
    raise _refusal(node, source)


def _refusal(node: syntax.Node, source: Source) -> ExpressionError:
    match node:
        case syntax.Items():
            return source.refusal(
                "a list stands only on the right of `in`", node.at, 'write x in ["a", "b"]'
            )
        case syntax.Other():
            return source.refusal(
                f"{node.what} is not covered", node.at, 'to search a list, write "x" in field'
            )
        case syntax.Call() if node.function in _ARITHMETIC:
            return source.refusal(
                "arithmetic is not covered", node.at, "compare fields with literals"
            )
        case syntax.Call() if node.function[0].isalpha() and node.function not in TEXT_TESTS:
            close = difflib.get_close_matches(node.function, FUNCTIONS, n=1, cutoff=0.7)
            hint = f"did you mean {close[0]}?" if close else f"covered are {', '.join(FUNCTIONS)}"
            return source.refusal(f"function {node.function} is not covered", start(node), hint)
    return source.refusal(
        "a condition is not a value", start(node), "join conditions with && and ||"
    )


def _literal(node: syntax.Literal, source: Source) -> plan.Literal:
    match node.kind, node.value:
        case (("bool" | "int" | "double" | "string"), (bool() | int() | float() | str()) as value):
            return plan.Literal(node.kind, value)
        case "null", _:
            raise source.refusal("null reads as missing", node.at, "write has(event.name)")
        case "uint", _:
            raise source.refusal("unsigned numbers are not covered", node.at, "leave out the u")
    raise source.refusal("bytes are not covered", node.at, "leave out the b")


def _converted(node: syntax.Call, source: Source) -> plan.Operand:
    if len(node.takes) != 1 or (node.target is not None and node.function != "size"):
        raise source.refusal(
            f"{node.function}() takes one value", start(node), f"write {node.function}(field)"
        )
    of = variable(node.takes[0], source)
    if node.function == "size" and kind(of) not in {None, "string"}:
        raise source.refusal(
            f"{in_words(kind(of))} has no size", start(node.takes[0]), "name a string or a list"
        )
    if node.function == "double" and kind(of) == "timestamp":
        raise source.refusal(
            "a timestamp is no double", start(node.takes[0]), "write int(timestamp)"
        )
    return plan.Converted(node.function, of)


def _moment(node: syntax.Call, source: Source) -> plan.Operand:
    """`timestamp("2026-01-31T00:00:00Z")`"""
    match node:
        case syntax.Call(target=None, arguments=(syntax.Literal(kind="string", value=str(text)),)):
            pass
        case _:
            raise source.refusal(
                "timestamp() takes a literal", start(node), 'like "2026-01-31T00:00:00Z"'
            )
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None or moment.microsecond % 1000 or "T" not in text:
            raise ValueError
    except ValueError:
        raise source.refusal(
            f"{text} is no time in RFC 3339 with a zone, to the millisecond",
            node.arguments[0].at,
            'write it like "2026-01-31T00:00:00Z"',
        ) from None
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return plan.Literal("timestamp", since // timedelta(milliseconds=1))
