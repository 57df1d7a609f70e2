"""Conditions that are refused: one line, with the place and the way out."""

import pytest

from stream_filter.core.errors import ExpressionError
from stream_filter.core.policy import Format
from stream_filter.rules.compiler import compile_condition
from stream_filter.rules.syntax import LIMIT_CHARACTERS

REFUSED = [
    ("", "column 1: is empty: write a condition"),
    ("a ==", "column 5: ends too early: complete it"),
    ('path = "x"', "column 6: cannot read '=' here: compare with =="),
    (
        'path startsWith "/healthz"',
        "column 6: cannot read 'startsWith' here: write field.startsWith(\"…\")",
    ),
    ('a == "x" and b', "column 10: cannot read 'and' here: write &&"),
    (
        'a == "x',
        'column 6: cannot read the string "x: close it, and double its backslashes or write r"…"',
    ),
    (
        r'a.matches("\d")',
        r'column 11: cannot read the string "\d: close it, and double its backslashes or write '
        'r"…"',
    ),
    ("a == 1)", "column 7: cannot read ')' here"),
    ("for == 1", 'column 1: for is a reserved word of CEL: write event["for"] for the field'),
    (
        "has(level)",
        'column 5: has() takes a field of something: write has(event.name), or "name" in headers',
    ),
    ("a" + ".b" * 50, "column 1: is nested too deeply: flatten it"),
    ("a == 99999999999999999999", "column 6: invalid int literal"),
    ("a == null", "column 6: null reads as missing: write has(event.name)"),
    ("a == 1u", "column 6: unsigned numbers are not covered: leave out the u"),
    ('a == b"x"', "column 6: bytes are not covered: leave out the b"),
    ("a + 1 > 2", "column 3: arithmetic is not covered: compare fields with literals"),
    ('a.startswith("x")', "column 3: function startswith is not covered: did you mean startsWith?"),
    (
        'lower(a) == "x"',
        "column 1: function lower is not covered: covered are contains, double, endsWith, has, "
        "int, matches, size, startsWith, timestamp",
    ),
    (
        'tags.exists(t, t == "x")',
        "column 12: a macro (all, exists, exists_one, filter, map) is not covered: to search a "
        'list, write "x" in field',
    ),
    ("a == {}", 'column 6: an object literal is not covered: to search a list, write "x" in field'),
    ('a == ["x"]', 'column 6: a list stands only on the right of `in`: write x in ["a", "b"]'),
    ("a in [b]", "column 7: a list holds literals only: write x == a || x == b"),
    ("a in b", 'column 1: one side of `in` is a literal: write x in ["a", "b"] or "a" in x'),
    (
        '"x" in key',
        "column 8: `in` looks into lists and objects, not into a string: for text, write "
        'x.contains("…")',
    ),
    ("1 in headers", 'column 1: headers has names: write "name" in headers'),
    ("1 < 2", "column 1: compares two literals: name a field on one side"),
    ('"abc".startsWith("a")', "column 1: a literal is the same for every event: name a field here"),
    ("(a == b) == true", "column 2: a condition is not a value: join conditions with && and ||"),
    ('"x"', "column 1: this is a string, not a condition: compare it"),
    ("size(a)", "column 1: this is a number, not a condition: compare it"),
    ('size(a) == "1"', "column 12: a number is never compared with a string: convert one side"),
    ("size(int(a)) == 1", "column 6: a number has no size: name a string or a list"),
    ("int(a, b) == 1", "column 1: int() takes one value: write int(field)"),
    ("key > 5", "column 7: a string is never compared with a number: convert one side"),
    ("key in [5]", "column 9: a string is never compared with a number: convert one side"),
    (
        "a > timestamp",
        'column 5: a field is never compared with a timestamp: a time is written timestamp("…")',
    ),
    (
        'timestamp > timestamp("yesterday")',
        "column 23: yesterday is no time in RFC 3339 with a zone, to the millisecond: write it "
        'like "2026-01-31T00:00:00Z"',
    ),
    (
        "timestamp > timestamp(a)",
        'column 13: timestamp() takes a literal: like "2026-01-31T00:00:00Z"',
    ),
    ("double(timestamp) > 1.0", "column 8: a timestamp is no double: write int(timestamp)"),
    ("a.startsWith(b)", 'column 14: startsWith takes a string literal: write it as "…"'),
    (
        'startsWith(a, "b")',
        'column 1: startsWith is a method with one argument: write field.startsWith("…")',
    ),
    ('timestamp.matches("x")', "column 1: this is a timestamp, not a string: name a text"),
    (
        'a.matches("(?=x)")',
        "column 11: no regular expression of RE2: invalid perl operator: (?=: RE2 has no "
        "look-around and no back-references",
    ),
    ("a[b] == 1", "column 3: an index is a literal: write a number from 0, or a name in quotes"),
    ("a[-1] == 1", "column 3: an index is a literal: write a number from 0, or a name in quotes"),
    ("size(a).b == 1", "column 1: only a field has fields: name one, like event.level"),
    (
        "event == 1",
        'column 1: event is not a value: name a field, like event.level or event["@level"]',
    ),
    ("size(headers) == 1", 'column 6: headers is not a value: write headers["name"]'),
    (
        "key.id == 1",
        "column 1: key has no fields: write event.key for the field",
    ),
    ("has(key.id)", "column 5: key has no fields: has() asks for a field of an event"),
    (".a == 1", "column 2: a name does not start with a dot: write a"),
    ("a == 1 &&\n  b = 2", "line 2, column 5: cannot read '=' here: compare with =="),
    (
        "x" * (LIMIT_CHARACTERS + 1),
        "column 10001: 10001 characters, and 10000 is the limit: split it into several rules",
    ),
]


@pytest.mark.parametrize(("expression", "message"), REFUSED, ids=[e[:40] for e, _ in REFUSED])
def test_what_is_not_covered_is_refused_with_its_place(expression: str, message: str) -> None:
    """The message names the place, what is wrong and the way out, on one line."""
    with pytest.raises(ExpressionError) as caught:
        compile_condition(expression, reads=Format.JSON)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ('level == "x"', "column 1: plain text has no field level: its one field is line"),
        ("line.a == 1", "column 1: plain text has no field line: its one field is line"),
        ("has(event.a)", "column 5: event has no fields: has() asks for a field of an event"),
        ('"a" in event', 'column 1: event has names: write "name" in headers'),
    ],
)
def test_plain_text_has_one_field(expression: str, message: str) -> None:
    """A rule on lines of text reads `line`, and nothing else of the value."""
    compile_condition('line.contains("error")', reads=Format.TEXT)
    with pytest.raises(ExpressionError) as caught:
        compile_condition(expression, reads=Format.TEXT)
    assert str(caught.value) == message
