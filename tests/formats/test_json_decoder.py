"""JSON records: what each hostile record comes to, and that neighbours never matter."""

import json
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_filter.core.template import parse_path
from stream_filter.formats.json_decoder import JsonDecoder
from stream_filter.formats.text_reader import field_text

Row = tuple[str | None, ...]

SOUND = b'{"a":"x","b":{"c":"y"},"d":[{"e":"z"}]}'
PATHS = ("a", "b.c", "d[0].e")
READ: Row = ("x", "y", "z")


def decode(values: Sequence[bytes], *paths: str) -> list[Row | str]:
    """What each value comes to: its fields, or the cause why it cannot be decoded."""
    decoded = JsonDecoder([parse_path(path) for path in paths]).decode(values)
    columns = [list(map(written, column)) for column in decoded.columns]
    assert all(len(column) == len(values) for column in columns)
    for index in decoded.causes:
        assert all(column[index] is None for column in columns)
    rows: list[Row] = list(zip(*columns, strict=True))
    return [decoded.causes.get(index, row) for index, row in enumerate(rows)]


def written(value: object) -> str | None:
    """A field as it stands in a text."""
    return None if value is None else field_text(value).encode("utf-8", "replace").decode()


NOTHING: Row = (None, None, None)
HOSTILE: list[tuple[str, bytes, Row | str]] = [
    ("broken", b'{"a":"x"', "broken JSON: Expecting ',' delimiter at character 8"),
    ("cut in a string", b'{"a":"x', "broken JSON: Unterminated string starting at"),
    ("trailing words", b'{"a":"x"} tail', "broken JSON: Extra data at character 10"),
    ("single quotes", b"{'a':'x'}", "broken JSON: Expecting property name"),
    ("not UTF-8 where it is read", b'{"a":"\xff"}', "not UTF-8: invalid start byte at byte 6"),
    ("not UTF-8 elsewhere", b'{"a":"x","z":"\xff"}', ("x", None, None)),
    ("UTF-16", '{"a":"x"}'.encode("utf-16"), "not UTF-8"),
    ("gzip", b"\x1f\x8b\x08\x00\x00", "not UTF-8"),
    ("array", b'[{"a":"x"}]', "expected a JSON object, found an array"),
    ("string", b'"a"', "expected a JSON object, found a string"),
    ("null", b"null", "expected a JSON object, found null"),
    ("number", b"42", "expected a JSON object, found a number"),
    ("boolean", b"true", "expected a JSON object, found a boolean"),
    ("empty", b"", "empty value where a JSON object was expected"),
    ("white space", b" \n\t ", "empty value where a JSON object was expected"),
    ("two objects on two lines", SOUND + b"\n" + SOUND, "broken JSON: Extra data"),
    ("two objects on a line", SOUND + SOUND, "broken JSON: Extra data"),
    ("two objects and a space", SOUND + b" " + SOUND, "broken JSON: Extra data"),
    ("two objects and a comma", SOUND + b"," + SOUND, "broken JSON: Extra data"),
    ("first half", b'{"a":', "broken JSON: Expecting value"),
    ("second half", b'"x"}', "broken JSON: Extra data"),
    ("opened only", b"{", "broken JSON"),
    ("closed only", b"}", "broken JSON"),
    ("raw line break in a string", b'{"a":"x\ny"}', "broken JSON: Invalid control character"),
    ("NUL", b'{"a":"x\x00y"}', "broken JSON: Invalid control character"),
    ("NULs only", b"\x00\x00\x00", "broken JSON"),
    ("escaped NUL", b'{"a":"x\\u0000y"}', ("x\x00y", None, None)),
    ("byte order mark", b"\xef\xbb\xbf" + SOUND, READ),
    ("NaN", b'{"a":NaN}', "broken JSON: NaN is not JSON"),
    ("Infinity elsewhere", b'{"z":-Infinity}', "broken JSON: -Infinity is not JSON"),
    ("1e999", b'{"a":1e999}', ("1e999", None, None)),
    ("1e999 below", b'{"a":[1e999]}', ('["1e999"]', None, None)),
    ("integer past 64 bits", b'{"a":' + b"9" * 30 + b"}", ("9" * 30, None, None)),
    ("integer of 5000 digits", b'{"a":' + b"9" * 5000 + b"}", ("9" * 5000, None, None)),
    ("lone surrogate", b'{"a":"x\\ud800y"}', ("x?y", None, None)),
    ("lone surrogate below", b'{"a":["\\udfff"]}', ('["?"]', None, None)),
    ("lone surrogate as a key", b'{"\\ud800":1,"a":"x"}', ("x", None, None)),
    ("surrogate pair", b'{"a":"\\ud83d\\ude00"}', ("\U0001f600", None, None)),
    ("100,000 deep where it is read", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
     "JSON is nested too deeply"),
    ("100,000 deep elsewhere", b'{"z":' + b'{"z":' * 100_000 + b"1" + b"}" * 100_001,
     "JSON is nested too deeply"),
    ("100,000 opened", b"[" * 100_000, "JSON is nested too deeply"),
    ("10 MB", b'{"a":"' + b"x" * 10_000_000 + b'"}', ("x" * 10_000_000, None, None)),
    ("10 MB elsewhere", b'{"z":"' + b"x" * 10_000_000 + b'","a":"x"}', ("x", None, None)),
    ("key twice", b'{"a":"x","a":"last"}', ("last", None, None)),
    ("object, then number", b'{"b":{"c":"y"},"b":5}', NOTHING),
    ("number, then object", b'{"b":5,"b":{"c":"y"}}', (None, "y", None)),
    ("path through a string", b'{"b":"y","d":"z"}', NOTHING),
    ("path through an array", b'{"b":[{"c":"y"}],"d":{"0":{"e":"z"}}}', NOTHING),
    ("path through null", b'{"a":null,"b":null,"d":[null]}', NOTHING),
    ("index past the end", b'{"d":[]}', NOTHING),
    ("no field at all", b"{}", NOTHING),
    ("number", b'{"a":1,"b":{"c":-0.5}}', ("1", "-0.5", None)),
    ("booleans", b'{"a":true,"b":{"c":false}}', ("true", "false", None)),
    ("containers", b'{"a":{"k":[1,null]},"b":{"c":[]}}', ('{"k":[1,null]}', "[]", None)),
    ("empty string", b'{"a":""}', ("", None, None)),
    ("odd space around", b" \t" + SOUND + b"\r\n", READ),
]  # fmt: skip
IDS = [name for name, _, _ in HOSTILE]


def agrees(found: Row | str, expected: Row | str) -> bool:
    if isinstance(found, str) and isinstance(expected, str):
        return found.startswith(expected)
    return found == expected


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in HOSTILE], ids=IDS)
def test_outcome(value: bytes, expected: Row | str) -> None:
    """Each hostile record has the stated outcome."""
    (found,) = decode([value], *PATHS)
    assert agrees(found, expected), found


@pytest.mark.parametrize(("value", "expected"), [case[1:] for case in HOSTILE], ids=IDS)
def test_neighbours(value: bytes, expected: Row | str) -> None:
    """Beside each hostile record, its neighbours read as always, and so does it."""
    before, found, after = decode([SOUND, value, SOUND], *PATHS)
    assert (before, after) == (READ, READ)
    assert agrees(found, expected), found


def test_all_at_once() -> None:
    """All hostile records in one batch come to what each comes to alone."""
    small = [value for _, value, _ in HOSTILE if len(value) < 300_000]
    assert decode(small, *PATHS) == [decode([value], *PATHS)[0] for value in small]


TRICKS = st.sampled_from(
    [b"", b" ", b"{}", b"{}{}", b"{} {}", b"{}{}{}", b"{", b"}", b'{"a":', b"1}", b'{"a":1}',
     b'{"a":"x', b'"}', b",", b"[", b"]", b"{}\n{}", b"\n", b"\n{}", b"{}\n", b'{"a":"2"}{"a":"3"}',
     b'{"a":{"a":1}', b'{"a":{}', b'{},"b":{}}', b"null", b"\r", b'{"z":"', b'}{"a":4}{']
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.lists(TRICKS, max_size=6))
@example([b"{}{}", b""])
@example([b'{"a":"1"}{"a":"2"}', b" ", b'{"a":"3"}'])
@example([b'{"a":', b"1}", b"{}{}"])
@example([b'{"a":{}', b'{"a":1}', b"}{}"])
def test_nothing_shifts_the_rows(values: list[bytes]) -> None:
    """Whatever pieces of JSON stand in neighbouring records, each is read as if it were alone."""
    assert decode(values, "a", "b") == [decode([value], "a", "b")[0] for value in values]


KEYS = st.sampled_from(["a", "b", "c", "d", "e", "odd.key", ""])
JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
ALL_PATHS = ("a", "b.c", "b.d", "d[0].e", "d[1]", "b", 'c["odd.key"]', "e.a.b.c")


@settings(max_examples=120, deadline=None)
@given(
    st.lists(st.dictionaries(KEYS, JSON_VALUES, max_size=4), min_size=1, max_size=4),
    st.lists(st.sampled_from(ALL_PATHS), min_size=1, max_size=4, unique=True),
    st.booleans(),
)
def test_fast_and_slow_way_agree(
    documents: list[dict[str, object]], paths: list[str], ascii_only: bool
) -> None:
    """A batch reads alike at once, one by one, and by the standard library alone."""
    values = [
        json.dumps(d, ensure_ascii=ascii_only, separators=(",", ":")).encode("utf-8", "replace")
        for d in documents
    ]
    together = decode(values, *paths)
    # One broken record sends its batch the slow way.
    assert decode([*values, b"{"], *paths)[:-1] == together
    # A byte order mark sends its record to the standard library.
    assert decode([b"\xef\xbb\xbf" + value for value in values], *paths) == together


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=30), max_size=5))
def test_never_raises(values: list[bytes]) -> None:
    """Random bytes are read, or are named as undecodable; and each for itself."""
    assert decode(values, "a") == [decode([value], "a")[0] for value in values]


def test_any_depth() -> None:
    """At every depth a nested field is read or is named as too deep: nothing is raised."""
    for depth in (100, 250, 254, 255, 256, 300, *range(930, 1002, 1)):
        for value in (
            b'{"a":%s}' % (b"[" * depth + b"]" * depth),
            b'{"a":' * depth + b"1" + b"}" * depth,
        ):
            (found,) = decode([value], "a")
            assert isinstance(found, tuple) or found == "JSON is nested too deeply"


def test_no_values() -> None:
    """No values give empty columns."""
    assert decode([], "a", "b") == []
