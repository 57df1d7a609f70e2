"""Edits in the text of a policy file: what is not asked for stays, to the character."""

import json
from collections.abc import Mapping
from typing import Any

import yaml

_ONE_LINE = 4
"""Entries with more keys are written a key a line."""


def with_entries(
    text: str, topic: str, numbers: Mapping[str, float], entries: Mapping[str, Mapping[str, Any]]
) -> str | None:
    """The text of a policy with numbers put in the topic's `raw` and entries set in the topic,
    each replaced whole or added. None where the layout leaves no place for that alone."""
    mark = 1 if text.startswith("\ufeff") else 0
    root = yaml.compose(text[mark:], yaml.SafeLoader)
    block = _value(_value(root, "topics"), topic)
    if not isinstance(block, yaml.MappingNode):
        return None
    line_end = "\r\n" if "\r\n" in text else "\n"
    column, start = block.start_mark.column, block.start_mark.index
    replacements: list[tuple[int, int, str]] = []
    added: list[str] = []
    raw = _value(block, "raw")
    if raw is None:
        added.append(_flow("raw", numbers))
    elif (places := _number_places(raw, numbers, block)) is not None:
        replacements += places
    else:
        return None
    for key, values in entries.items():
        is_block = not block.flow_style and len(values) > _ONE_LINE
        written = _block(key, values, column, line_end) if is_block else _flow(key, values)
        old_key, old = _pair(block, key)
        if old_key is None or old is None:
            added.append(written)
        elif _is_inside(old, block):
            replacements.append((old_key.start_mark.index, _last_index(old), written))
        else:
            return None
    if added and block.flow_style:
        replacements.append((start + 1, start + 1, "".join(f"{entry}, " for entry in added)))
    elif added:
        between = line_end + " " * column
        replacements.append((start, start, "".join(f"{entry}{between}" for entry in added)))
    edited = text[mark:]
    for begin, stop, new in sorted(replacements, reverse=True):
        edited = edited[:begin] + new + edited[stop:]
    return text[:mark] + edited


def _number_places(
    raw: yaml.Node, numbers: Mapping[str, float], block: yaml.MappingNode
) -> list[tuple[int, int, str]] | None:
    places = []
    for key, number in numbers.items():
        node = _value(raw, key)
        if node is None or not _is_inside(node, block):
            return None
        places.append((node.start_mark.index, node.end_mark.index, repr(number)))
    return places


def _is_inside(node: yaml.Node, block: yaml.MappingNode) -> bool:
    """An alias (`raw: *usual`) has the place of what it stands for: an edit would go there."""
    return bool(block.start_mark.index <= node.start_mark.index <= block.end_mark.index)


def _flow(key: str, values: Mapping[str, Any]) -> str:
    return f"{key}: {{{', '.join(f'{name}: {_scalar(v)}' for name, v in values.items())}}}"


def _block(key: str, values: Mapping[str, Any], column: int, line_end: str) -> str:
    indent = " " * (column + 2)
    lines = [f"{key}:", *(f"{indent}{name}: {_scalar(value)}" for name, value in values.items())]
    return line_end.join(lines)


def _scalar(value: Any) -> str:
    """Text in quotes: digests may look like numbers, times like times."""
    return json.dumps(value) if isinstance(value, str) else repr(value)


def _last_index(node: yaml.Node) -> int:
    """Where a value ends in the text: a block's own mark lies behind the comments after it."""
    if isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        last = node.value[-1]
        return _last_index(last[1] if isinstance(last, tuple) else last)
    return int(node.end_mark.index)


def _pair(node: yaml.MappingNode, key: str) -> tuple[yaml.Node | None, yaml.Node | None]:
    for key_node, value in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == key:
            return key_node, value
    return None, None


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    return _pair(node, key)[1] if isinstance(node, yaml.MappingNode) else None
