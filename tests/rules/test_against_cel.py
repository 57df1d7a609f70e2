"""The compiled form against Google's CEL evaluator, on random events and expressions."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from cel_expr_python import cel
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from stream_filter.core.errors import ExpressionError
from stream_filter.core.policy import Format, Mode, Rule, Thresholds, TopicPolicy
from stream_filter.core.template import parse_template
from stream_filter.formats.text_reader import text_reader
from stream_filter.rules.cel_rules import CelRules

ENV = cel.NewEnv(variables={})
POLICY = TopicPolicy(
    topic="logs",
    format=Format.JSON,
    text=parse_template("{a} {n.x}"),
    model="fixed",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.1,
    forward_to="llm.analysis",
)
TIME = 'timestamp("2026-03-01T12:00:00.5Z")'
TIME_MS = 1_772_366_400_500


class Sent:
    """A record as a foreign client sends it."""

    def __init__(
        self, event: Any, key: bytes | None, headers: Sequence[tuple[str, bytes | None]]
    ) -> None:
        self.event, self.key, self.headers = event, key, headers
        self.value = json.dumps(event).encode()
        self.timestamp, self.offset = TIME_MS, 0


def compiled(expression: str, records: Sequence[Sent]) -> list[bool]:
    """Where the rule holds, on the way that a worker takes from the value's bytes."""
    policy = replace(POLICY, rules=(Rule(when=expression, then="drop"),))
    rules = CelRules(policy)
    texts = text_reader(policy, rules.reads).read([record.value for record in records])
    assert not texts.causes
    return (rules.first_match(records, texts.columns) == 0).tolist()


def evaluated(expression: str, records: Sequence[Sent]) -> list[bool]:
    """Where the reference says `true`: not false, and no error."""
    program = ENV.compile(re.sub(r"\btimestamp\b(?!\()", TIME, expression), disable_check=True)
    return [program.eval(data=activation(record)).value() is True for record in records]


def activation(record: Sent) -> dict[str, Any]:
    """What the documentation says an expression sees of a record."""
    event = pruned(record.event)
    headers = {
        name: (content or b"").decode("utf-8", "replace") for name, content in record.headers
    }
    key = (record.key or b"").decode("utf-8", "replace")
    return {**event, "event": event, "key": key, "headers": headers}


def pruned(value: Any) -> Any:
    """Null reads as missing; integers outside int64 as doubles."""
    if isinstance(value, dict):
        return {k: pruned(v) for k, v in value.items() if v is not None}
    if isinstance(value, list):
        return [pruned(v) for v in value]
    if type(value) is int and not -(2**63) <= value < 2**63:
        return float(value)
    return value


TEXTS = [
    "",
    "x",
    "xy",
    "yx",
    "é",
    "x😀y",
    "FATAL",
    "12",
    " -3 ",
    "+7",
    "1.5",
    "1e3",
    "e\u0301",
    "X",
]
INTS = [0, 1, 2, -3, 12, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
DOUBLES = [0.5, 1.0, -0.0, 1.5, 12.0, 2.0**53, 2.0**53 + 2, 2.0**63, -(2.0**63), 1e300, -2.5]


def is_not_null(value: object) -> bool:
    """An element that is null is null to CEL, and missing to a rule that reads it."""
    return value is not None


texts = st.sampled_from([*TEXTS, "a.b", "9223372036854775808", "-9223372036854775808"])
numbers = st.one_of(st.integers(-3, 3), st.sampled_from([*INTS, *DOUBLES, 2**63, 2**80]))
scalars = st.one_of(texts, numbers, st.booleans(), st.none())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner.filter(is_not_null), max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "é"]), inner, max_size=2)
    ),
    max_leaves=4,
)
events = st.fixed_dictionaries(
    {},
    optional={
        "a": values,
        "b": values,
        "n": st.one_of(values, st.fixed_dictionaries({}, optional={"x": values, "y": values})),
        "l": st.one_of(st.lists(values.filter(is_not_null), max_size=3), values),
    },
)
headers = st.lists(
    st.tuples(
        st.sampled_from(["h", "g"]),
        st.sampled_from([None, b"", b"x", b"12", b"\xff", "é".encode()]),
    ),
    max_size=2,
)
records = st.builds(Sent, events, st.sampled_from([None, b"", b"x", b"xy", b"\xff\xfe"]), headers)

FIELDS = [
    "a",
    "b",
    "event.a",
    'event["b"]',
    "n",
    "n.x",
    "n.y.x",
    "n.y",
    "l",
    "l[0]",
    "l[1].x",
    "l[0][1]",
]
fields = st.sampled_from(FIELDS)
strings = st.one_of(fields, st.sampled_from(["key", "headers.h", 'headers["g"]']))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


literal_texts = texts.map(quoted)
literal_numbers = numbers.filter(lambda n: isinstance(n, float) or -(2**63) <= n < 2**63).map(repr)
literals = st.one_of(literal_texts, literal_numbers, st.sampled_from(["true", "false"]))
operators = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
converted = st.one_of(
    st.builds("{}({})".format, st.sampled_from(["size", "int", "double"]), strings),
    st.just("int(timestamp)"),
)
members = st.lists(literals, max_size=3).map(", ".join)

leaves = st.one_of(
    fields,
    st.sampled_from(["true", "false"]),
    st.builds("{} {} {}".format, fields, operators, literals),
    st.builds("{} {} {}".format, literals, operators, fields),
    st.builds("{} {} {}".format, strings, operators, strings),
    st.builds("{} {} {}".format, strings, operators, literal_texts),
    st.builds("{} {} {}".format, converted, operators, literal_numbers),
    st.builds("{} {} {}".format, converted, operators, converted),
    st.builds("{} in [{}]".format, fields, members),
    st.builds("{} in {}".format, literals, fields),
    st.builds(
        "has({})".format, st.sampled_from(["event.a", "n.x", "n.y.x", "headers.h", "l[0].x"])
    ),
    st.sampled_from(['"h" in headers', '"a" in event']),
    st.builds(
        "{}.{}({})".format,
        strings,
        st.sampled_from(["startsWith", "endsWith", "contains", "matches"]),
        literal_texts,
    ),
    st.builds(
        "{}.matches({})".format,
        strings,
        st.sampled_from(
            [r'"^x"', r'"(?i)fatal|y$"', r'r"^\d+$"', '"."', '"é"', r'r"\pL\pM?"', '"x*"']
        ),
    ),
    st.builds(
        "timestamp {} timestamp({})".format,
        operators,
        st.sampled_from(
            ['"2026-03-01T12:00:00.5Z"', '"2026-03-01T12:00:00Z"', '"2026-03-01T13:00:01+01:00"']
        ),
    ),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds("({}) && ({})".format, inner, inner),
        st.builds("({}) || ({})".format, inner, inner),
        st.builds("!({})".format, inner),
        st.builds("({}) ? ({}) : ({})".format, inner, inner, inner),
    ),
    max_leaves=5,
)


@settings(max_examples=400, deadline=None)
@given(conditions, st.lists(records, min_size=1, max_size=12))
def test_compiled_form_agrees_with_cel(expression: str, sent: list[Sent]) -> None:
    """A rule holds for exactly the records for which CEL says true."""
    try:
        found = compiled(expression, sent)
    except ExpressionError:
        assume(False)
    assert found == evaluated(expression, sent)


COLLECTIONS: list[Any] = [
    [],
    [1],
    [1.0],
    [True],
    ["x", None],
    [[2**53 + 1], "y"],
    [[2.0**53], "y"],
    {},
    {"x": 1},
    {"x": 1.0, "y": None},
    {"y": {"x": []}},
    [{"x": None}],
    [{}],
    {"": False},
]
EVERY: list[Any] = [*TEXTS, *INTS, *DOUBLES, 2**63, 2**80, True, False, None, *COLLECTIONS]


def record(**event: object) -> Sent:
    return Sent(event, None, [])


def test_every_pair_of_values_compares_as_in_cel() -> None:
    """Two fields: each kind of value against each, with every operator."""
    pairs = [record(a=a, b=b) for a in EVERY for b in EVERY]
    for operator in ("==", "!=", "<", "<="):
        expression = f"a {operator} b"
        assert compiled(expression, pairs) == evaluated(expression, pairs), expression


def test_every_value_compares_with_every_literal_as_in_cel() -> None:
    """A field and a literal: each operator, membership both ways, and negated."""
    each = [record(a=value) for value in EVERY]
    written = [*map(quoted, TEXTS), *map(repr, INTS), *map(repr, DOUBLES), "true", "false"]
    for literal in written:
        for form in ("a == {}", "a != {}", "a < {}", "a >= {}", "{} > a", "{} in a", "!({} in a)"):
            expression = form.format(literal)
            assert compiled(expression, each) == evaluated(expression, each), expression
    everything = f"a in [{', '.join(written)}]"
    assert compiled(everything, each) == evaluated(everything, each)


def test_every_value_converts_as_in_cel() -> None:
    """`size()`, `int()` and `double()` of each kind of value, and of the record's timestamp."""
    each = [record(a=value) for value in EVERY]
    for function in ("size", "int", "double"):
        for compare in ("== 1", "!= 1", "< 3", ">= -9223372036854775808", "== 12.0"):
            expression = f"{function}(a) {compare}"
            assert compiled(expression, each) == evaluated(expression, each), expression
    assert compiled(f"int(timestamp) == {TIME_MS // 1000}", each) == [True] * len(each)


def test_every_value_is_asked_for_members_as_in_cel() -> None:
    """`has()` and `in` on each kind of value: what is no object has no answer."""
    each = [record(a=value) for value in EVERY] + [record(), record(x=1)]
    for asked in ("has(a.x)", "has(event.a.x)", "has(event.x)", '"x" in a', '"x" in event'):
        for expression in (asked, f"!{asked}" if asked[0] == "h" else f"!({asked})"):
            assert compiled(expression, each) == evaluated(expression, each), expression


def test_every_text_is_tested_as_in_cel() -> None:
    """`startsWith`, `endsWith`, `contains` and `matches` of each kind of value."""
    each = [record(a=value) for value in EVERY]
    for test in ('startsWith("x")', 'endsWith("y")', 'contains("😀")', 'matches("^x.?$")'):
        for expression in (f"a.{test}", f"!a.{test}", 'a.matches("(?i)fatal")'):
            assert compiled(expression, each) == evaluated(expression, each), expression
