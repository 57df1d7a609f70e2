"""From a syntax tree to a plan: names, types and what is covered. All that can be refused is
refused here, with its place; what comes out evaluates without fail on any event."""

from stream_filter.core.policy import Format
from stream_filter.rules import plan, syntax
from stream_filter.rules.names import has
from stream_filter.rules.operands import in_words, kind, operand, variable
from stream_filter.rules.source import Source, start
from stream_filter.rules.text_tests import TEXT_TESTS, check_pattern

_COMPARISONS = frozenset({"_==_", "_!=_", "_<_", "_<=_", "_>_", "_>=_"})


def compile_condition(expression: str, *, reads: Format) -> plan.Condition:
    """The plan of a CEL expression on records of a format. Raises ExpressionError with line,
    column and a way out."""
    return _condition(syntax.parse(expression), Source(expression, reads))


def _condition(node: syntax.Node, source: Source) -> plan.Condition:
    match node:
        case syntax.Literal(kind="bool"):
            return plan.Constant(bool(node.value))
        case syntax.Call(function="_&&_"):
            return plan.And(_parts(node, source))
        case syntax.Call(function="_||_"):
            return plan.Or(_parts(node, source))
        case syntax.Call(function="!_"):
            return plan.Not(_condition(node.arguments[0], source))
        case syntax.Call(function="_?_:_"):
            return plan.Choose(*(_condition(part, source) for part in node.arguments))
        case syntax.Call() if node.function in _COMPARISONS:
            return _comparison(node, source)
        case syntax.Call(function="@in"):
            return _membership(node, source)
        case syntax.Call() if node.function in TEXT_TESTS:
            return _text_test(node, source)
        case syntax.Select(is_test=True):
            return has(node, source)
    of = operand(node, source)
    if kind(of) is not None:
        raise source.refusal(
            f"this is {in_words(kind(of))}, not a condition", start(node), "compare it"
        )
    return plan.Truth(of)


def _parts(node: syntax.Call, source: Source) -> tuple[plan.Condition, ...]:
    """Cheap ones first: the order has no meaning, errors included."""
    return tuple(sorted((_condition(part, source) for part in _chain(node)), key=plan.cost))


def _chain(node: syntax.Call) -> list[syntax.Node]:
    """The operands of a chain of one operator, however the parser has nested it."""
    parts: list[syntax.Node] = []
    for part in node.arguments:
        if isinstance(part, syntax.Call) and part.function == node.function:
            parts += _chain(part)
        else:
            parts.append(part)
    return parts


def _comparison(node: syntax.Call, source: Source) -> plan.Condition:
    left, right = (operand(argument, source) for argument in node.arguments)
    if isinstance(left, plan.Literal) and isinstance(right, plan.Literal):
        raise source.refusal(
            "compares two literals", start(node.arguments[0]), "name a field on one side"
        )
    _check_comparable(left, right, start(node.arguments[1]), source)
    operator = node.function.strip("_")
    if operator in {"==", "!="}:
        if isinstance(left, plan.Literal):
            left, right = right, left
        equal: plan.Condition = plan.Compare("==", left, right)
        if isinstance(right, plan.Literal):
            equal = plan.OneOf(left, (right,))
        return equal if operator == "==" else plan.Not(equal)
    if operator in {">", ">="}:
        left, right = right, left
    return plan.Compare("<=" if operator.endswith("=") else "<", left, right)


def _check_comparable(left: plan.Operand, right: plan.Operand, at: int, source: Source) -> None:
    kinds = kind(left), kind(right)
    if kinds[0] == kinds[1] or (None in kinds and "timestamp" not in kinds):
        return
    raise source.refusal(
        f"{in_words(kinds[0])} is never compared with {in_words(kinds[1])}",
        at,
        'a time is written timestamp("…")' if "timestamp" in kinds else "convert one side",
    )


def _membership(node: syntax.Call, source: Source) -> plan.Condition:
    item, collection = node.arguments
    if isinstance(collection, syntax.Items):
        of = variable(item, source)
        return plan.OneOf(of, tuple(_element(e, of, source) for e in collection.elements))
    literal = operand(item, source)
    if not isinstance(literal, plan.Literal) or literal.kind == "timestamp":
        raise source.refusal(
            "one side of `in` is a literal", start(item), 'write x in ["a", "b"] or "a" in x'
        )
    match collection, literal.value:
        case syntax.Name(name="headers"), str(name):
            return plan.HasHeader(name)
        case syntax.Name(name="event"), str(name) if source.format is Format.JSON:
            return plan.HasField((name,), None)
        case syntax.Name(name="headers" | "event"), _:
            raise source.refusal(
                f"{collection.name} has names", start(item), 'write "name" in headers'
            )
    of = variable(collection, source)
    if kind(of) is not None:
        raise source.refusal(
            f"`in` looks into lists and objects, not into {in_words(kind(of))}",
            start(collection),
            'for text, write x.contains("…")',
        )
    return plan.Holds(literal, of)


def _element(node: syntax.Node, of: plan.Operand, source: Source) -> plan.Literal:
    literal = operand(node, source)
    if not isinstance(literal, plan.Literal):
        raise source.refusal("a list holds literals only", start(node), "write x == a || x == b")
    _check_comparable(of, literal, start(node), source)
    return literal


def _text_test(node: syntax.Call, source: Source) -> plan.Condition:
    if len(node.takes) != 2 or (node.target is None and node.function != "matches"):
        raise source.refusal(
            f"{node.function} is a method with one argument",
            start(node),
            f'write field.{node.function}("…")',
        )
    of = variable(node.takes[0], source)
    if kind(of) not in {None, "string"}:
        raise source.refusal(
            f"this is {in_words(kind(of))}, not a string", start(node.takes[0]), "name a text"
        )
    match node.takes[1]:
        case syntax.Literal(kind="string", value=str(argument)):
            pass
        case other:
            raise source.refusal(
                f"{node.function} takes a string literal", start(other), 'write it as "…"'
            )
    if node.function == "matches":
        wrong = check_pattern(argument)
        if wrong is not None:
            raise source.refusal(
                f"no regular expression of RE2: {wrong}",
                node.takes[1].at,
                "RE2 has no look-around and no back-references",
            )
    return plan.TextTest(node.function, of, argument)
