"""Text templates: which fields of an event are read, and how they are joined.

`"{service} {request.path} {errors[0].code}"`. A key that holds a dot, a bracket or a brace is
written `{["odd.key"]}`; a literal brace is doubled.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

FieldPath: TypeAlias = tuple[str | int, ...]
"""`a.b[0].c` as ("a", "b", 0, "c"): keys of objects and indices of arrays."""

_STEP = re.compile(
    r"""(?P<dot>\.)?(?P<key>[^.\[\]{}"\s][^.\[\]{}"]*)|\[(?P<index>[0-9]{1,6})\]|\["(?P<quoted>[^"]+)"\]"""
)


def parse_path(source: str) -> FieldPath:
    """The steps of a path. Raises ValueError naming what cannot be read."""
    steps: list[str | int] = []
    at = 0
    while at < len(source):
        match = _STEP.match(source, at)
        if match is None or (match["key"] is not None and bool(match["dot"]) is not bool(steps)):
            raise ValueError(f"cannot read the field path {source!r} at {source[at:]!r}")
        if match["index"] is not None:
            steps.append(int(match["index"]))
        else:
            steps.append(match["key"] or match["quoted"])
        at = match.end()
    if not steps or isinstance(steps[0], int):
        raise ValueError(f"a field path starts with the name of a field, not {source!r}")
    return tuple(steps)


def extract(document: object, path: FieldPath) -> object:
    """The value at `path` in a decoded JSON document, or None where there is none."""
    value = document
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTemplate:
    """A parsed template: `literals[0] + fields[0] + literals[1] + …`: one literal more."""

    source: str
    literals: tuple[str, ...]
    fields: tuple[FieldPath, ...]


def parse_template(source: str) -> TextTemplate:
    """Parse a template. Raises ValueError naming what cannot be read."""
    literals = [""]
    fields: list[FieldPath] = []
    at = 0
    while at < len(source):
        char = source[at]
        if source.startswith(("{{", "}}"), at):
            literals[-1] += char
            at += 2
        elif char == "{":
            end = _closing_brace(source, at)
            fields.append(parse_path(source[at + 1 : end].strip()))
            literals.append("")
            at = end + 1
        elif char == "}":
            raise ValueError(
                f"unmatched '}}' at character {at + 1} of {source!r}: double it to print one"
            )
        else:
            literals[-1] += char
            at += 1
    if not fields:
        raise ValueError(f"{source!r} names no field: write at least one as {{field}}")
    return TextTemplate(source=source, literals=tuple(literals), fields=tuple(fields))


def _closing_brace(source: str, opened_at: int) -> int:
    quoted = False
    for at in range(opened_at + 1, len(source)):
        if source[at] == '"':
            quoted = not quoted
        elif source[at] == "}" and not quoted:
            return at
    raise ValueError(f"'{{' at character {opened_at + 1} of {source!r} is never closed")
