"""What must not be shown of an event: fields that a policy names, replaced by a mark."""

from collections.abc import Sequence
from typing import Any

import orjson

from stream_filter.core.template import FieldPath

REDACTED = "<redacted>"


def redact(value: bytes, paths: Sequence[FieldPath]) -> bytes:
    """A JSON value without what stands at `paths`; without paths as it is. A name reaches into
    each element of an array. A value that is no JSON is redacted whole: who knows what is in it."""
    if not paths:
        return value
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return REDACTED.encode()
    for path in paths:
        document = _without(document, path)
    return orjson.dumps(document)


def _without(value: Any, path: FieldPath) -> Any:
    if not path:
        return REDACTED
    step, rest = path[0], path[1:]
    if isinstance(value, list):
        if isinstance(step, str):
            return [_without(each, path) for each in value]
        if step < len(value):
            return [*value[:step], _without(value[step], rest), *value[step + 1 :]]
    if isinstance(value, dict) and step in value:
        return {**value, step: _without(value[step], rest)}
    return value
