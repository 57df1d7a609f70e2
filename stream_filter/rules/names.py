"""What the names in an expression mean: fields of the event, and what the record has besides.

`key`, `headers` and `timestamp` are the record's; `event` is the decoded value, and a name alone
is a field of it: `level` is `event.level`. Plain text has one field, `line`.
"""

from collections.abc import Sequence

from stream_filter.core.policy import Format
from stream_filter.core.template import FieldPath
from stream_filter.rules import plan, syntax
from stream_filter.rules.source import Source, start


def reference(node: syntax.Node, source: Source) -> plan.Operand:
    """What a name with its steps (`a.b[0]["c"]`) reads."""
    root, steps = _steps(node, source)
    match root.name, steps:
        case "headers", [str(name)]:
            return plan.Header(name)
        case "headers", _:
            raise source.refusal("headers is not a value", root.at, 'write headers["name"]')
        case "key", []:
            return plan.Key()
        case "timestamp", []:
            return plan.Timestamp()
        case (("key" | "timestamp"), _):
            raise source.refusal(
                f"{root.name} has no fields",
                root.at,
                f"write event.{root.name} for the field",
            )
    return plan.Field(_path(root, steps, source))


def has(node: syntax.Select, source: Source) -> plan.Condition:
    """`has(a.b)`"""
    root, steps = _steps(node.of, source)
    if root.name == "headers" and not steps:
        return plan.HasHeader(node.field)
    if root.name in {"key", "timestamp", "headers"} or source.format is Format.TEXT:
        raise source.refusal(
            f"{root.name} has no fields", root.at, "has() asks for a field of an event"
        )
    if root.name == "event" and not steps:
        return plan.HasField((node.field,), None)
    parent = _path(root, steps, source)
    return plan.HasField((*parent, node.field), parent)


def _path(root: syntax.Name, steps: Sequence[str | int], source: Source) -> FieldPath:
    if source.format is Format.TEXT:
        if root.name != "line" or steps:
            raise source.refusal(
                f"plain text has no field {root.name}", root.at, "its one field is line"
            )
        return ()
    if root.name.startswith("."):
        raise source.refusal("a name does not start with a dot", root.at, f"write {root.name[1:]}")
    path = tuple(steps) if root.name == "event" else (root.name, *steps)
    if not path or isinstance(path[0], int):
        raise source.refusal(
            "event is not a value", root.at, 'name a field, like event.level or event["@level"]'
        )
    return path


def _steps(node: syntax.Node, source: Source) -> tuple[syntax.Name, list[str | int]]:
    """A reference as its root and the steps from there."""
    match node:
        case syntax.Name():
            return node, []
        case syntax.Select(is_test=False):
            root, steps = _steps(node.of, source)
            return root, [*steps, node.field]
        case syntax.Call(function="_[_]", arguments=(of, index)):
            root, steps = _steps(of, source)
            match index:
                case syntax.Literal(kind="string", value=str(name)):
                    return root, [*steps, name]
                case syntax.Literal(kind="int", value=int(place)) if place >= 0:
                    return root, [*steps, place]
            raise source.refusal(
                "an index is a literal", start(index), "write a number from 0, or a name in quotes"
            )
    raise source.refusal("only a field has fields", start(node), "name one, like event.level")
