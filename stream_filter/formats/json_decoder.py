"""JSON objects: only the named fields are built, by a typed decoder made for the policy."""

import json
import math
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any

import msgspec

from stream_filter.core.template import FieldPath, extract
from stream_filter.formats.decoder import DecodedFields

_Getter = Callable[[Any], Any]
_MAX_INT_DIGITS = 4000
"""Python refuses to convert more (CVE-2020-10735): longer numbers stay text."""


class JsonDecoder:
    """Decodes JSON objects.

    The fast way decodes a whole batch in one call. Where that fails, each record is decoded by
    itself, and what the typed decoder refuses (a number out of range, a byte order mark, a
    nested object that is no object) goes through the standard library, which is forgiving.
    """

    def __init__(self, paths: Sequence[FieldPath], *, objects: Sequence[FieldPath] = ()) -> None:
        """After the columns of `paths` come those of `objects`, which must lead to a part of one
        of `paths`: True where an object stands there, None where none does."""
        self._paths = (*paths, *objects)
        row_type, typed = _typed_rows(paths, self._paths)
        either = map(_either, self._paths, typed)
        self._typed_getters = _with_tests(typed, len(paths))
        self._getters = _with_tests(tuple(either), len(paths))
        self._decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(row_type)

    def decode(self, values: Sequence[bytes]) -> DecodedFields:
        causes: dict[int, str] = {}
        rows = self._decode_at_once(values)
        getters = self._typed_getters
        if rows is None:
            rows = [self._decode_one(index, value, causes) for index, value in enumerate(values)]
            getters = self._getters
        columns = tuple(list(map(get, rows)) for get in getters)
        return DecodedFields(columns=columns, causes=causes)

    def _decode_at_once(self, values: Sequence[bytes]) -> list[Any] | None:
        lines = b"\n".join(values)
        # The rows align only if each line is one value. msgspec also takes two objects on a line,
        # none, or one over several lines. But where every line begins with a brace and ends with
        # one, every line break lies between two objects (no JSON value holds `}` `{` in a row,
        # no string a raw line break); with as many rows as lines, each line is one object.
        borders = len(values) - 1
        if lines.count(b"}\n{") != borders or lines.count(b"\n") != borders:
            return None
        if not (lines.startswith(b"{") and lines.endswith(b"}")):
            return None
        try:
            rows = self._decoder.decode_lines(lines)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return None
        return rows if len(rows) == len(values) else None

    def _decode_one(self, index: int, value: bytes, causes: dict[int, str]) -> Any:
        try:
            return self._decoder.decode(value)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            pass
        try:
            return _Extracted(_decode_forgivingly(value), self._paths)
        except ValueError as error:
            causes[index] = str(error)
            return _Extracted({}, self._paths)


class _Extracted(dict[FieldPath, object]):
    """A record decoded the forgiving way: its named fields by path."""

    def __init__(self, document: dict[str, object], paths: Sequence[FieldPath]) -> None:
        super().__init__((path, extract(document, path)) for path in paths)


def _decode_forgivingly(value: bytes) -> dict[str, object]:
    """The standard library's reading of an object. Raises ValueError with the cause."""
    try:
        text = value.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8: {error.reason} at byte {error.start}") from None
    if not text.strip():
        raise ValueError("empty value where a JSON object was expected")
    try:
        document = json.loads(
            text,
            parse_constant=_refuse_constant,
            parse_int=_lenient_int,
            parse_float=_lenient_float,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"broken JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError(f"expected a JSON object, found {_json_type(document)}")
    return document


def _refuse_constant(name: str) -> object:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


def _lenient_int(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:  # more digits than Python reads
        return digits


def _lenient_float(digits: str) -> float | str:
    value = float(digits)
    return value if math.isfinite(value) else digits


def _json_type(document: object) -> str:
    if document is None:
        return "null"
    names = {list: "an array", str: "a string", bool: "a boolean"}
    return names.get(type(document), "a number")


def _typed_rows(
    built: Sequence[FieldPath], paths: Sequence[FieldPath]
) -> tuple[type, tuple[_Getter, ...]]:
    """A msgspec type that holds what `built` need, and a getter for each of `paths`."""
    tree: dict[str, Any] = {}
    for path in built:
        # Below an array, a value is built whole: arrays are rare in what is worth reading.
        keys = _leading_keys(path)
        _insert(tree, keys)
    row_type = _struct(tree)
    return row_type, tuple(_getter(tree, path) for path in paths)


def _leading_keys(path: FieldPath) -> list[str]:
    keys: list[str] = []
    for step in path:
        if isinstance(step, int):
            break
        keys.append(step)
    return keys


def _insert(tree: dict[str, Any], keys: Sequence[str]) -> None:
    """Add a branch. A value that is read whole (None) swallows the branches below it."""
    for key in keys[:-1]:
        if key in tree and tree[key] is None:
            return
        tree = tree.setdefault(key, {})
    tree[keys[-1]] = None


def _struct(tree: dict[str, Any]) -> type:
    fields = [
        (
            f"f{index}",
            Any if below is None else _struct(below) | None,
            msgspec.field(name=key, default=None),
        )
        for index, (key, below) in enumerate(tree.items())
    ]
    return msgspec.defstruct("Row", fields, gc=False)


def _getter(tree: dict[str, Any], path: FieldPath) -> _Getter:
    attributes: list[str] = []
    node: dict[str, Any] | None = tree
    for step in path:
        if node is None or not isinstance(step, str):
            break
        attributes.append(f"f{list(node).index(step)}")
        node = node[step]
    rest = path[len(attributes) :]

    if len(attributes) == 1 and not rest:
        return attrgetter(attributes[0])

    def get(row: Any) -> Any:
        for attribute in attributes:
            if row is None:
                return None
            row = getattr(row, attribute)
        return extract(row, rest) if rest else row

    return get


def _with_tests(getters: Sequence[_Getter], values: int) -> tuple[_Getter, ...]:
    """The first getters for values as they are, the others asking whether there is an object."""
    return (*getters[:values], *map(_is_object, getters[values:]))


def _is_object(get: _Getter) -> _Getter:
    def test(row: Any) -> bool | None:
        return True if isinstance(get(row), dict | msgspec.Struct) else None

    return test


def _either(path: FieldPath, typed: _Getter) -> _Getter:
    """Gets a field from a typed row or from one decoded the forgiving way."""

    def get(row: Any) -> Any:
        return row[path] if type(row) is _Extracted else typed(row)

    return get
