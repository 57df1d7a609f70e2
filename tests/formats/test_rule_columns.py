"""The columns that rules read: the fields of the records, whatever way they were decoded."""

import json
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.policy import Format, Mode, Thresholds, TopicPolicy
from stream_filter.core.template import extract, parse_path, parse_template
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.ports import Column, FieldRead

POLICY = TopicPolicy(
    topic="logs",
    format=Format.JSON,
    text=parse_template("{a} {b.c}"),
    model="fixed",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.1,
    forward_to="llm.analysis",
)
READS = [
    *(FieldRead(parse_path(path)) for path in ("a", "b.c", "b.d", "d[0].e", "z")),
    FieldRead(parse_path("b"), as_object=True),
    FieldRead(parse_path("d[0]"), as_object=True),
]
scalars = st.sampled_from([None, True, 1, 1.0, 0, -0.5, 2**70, "x", "", "é"])
nested = st.one_of(scalars, st.dictionaries(st.sampled_from("cde"), scalars, max_size=3))
events = st.fixed_dictionaries(
    {}, optional={"a": scalars, "b": nested, "d": st.lists(nested, max_size=2) | scalars}
)
BROKEN = [None, b"{", b"", b"[1]", b'{"a":"x"}{"a":"y"}']


def fields(column: Column) -> list[tuple[type, object]]:
    """The values by record, with their types."""
    found = [None if code < 0 else column.values[code] for code in column.codes.tolist()]
    return [(type(value), value) for value in found]


def expected(read: FieldRead, event: Any) -> tuple[type, object]:
    value = extract(event, read.path)
    if read.as_object:
        value = True if isinstance(value, dict) else None
    return type(value), value


def check(given_events: Sequence[Any], values: Sequence[bytes | None]) -> None:
    columns = text_reader(POLICY, READS).read(values).columns
    for read, column in zip(READS, columns, strict=True):
        assert fields(column) == [expected(read, event) for event in given_events], read


@settings(deadline=None)
@given(st.lists(st.one_of(events, st.sampled_from(BROKEN)), max_size=12))
def test_columns_are_the_fields(sent: list[Any]) -> None:
    """Types stay as JSON has them; a tombstone and what cannot be decoded have no fields."""
    values = [json.dumps(each).encode() if isinstance(each, dict) else each for each in sent]
    check([each if isinstance(each, dict) else {} for each in sent], values)


def test_a_batch_larger_than_a_chunk() -> None:
    """Values keep their types where a later chunk has another one, or a list."""
    kinds: list[Any] = [1, True, 1.0, "1", None, [1], {"c": 1}]
    sent = [{"a": kinds[i // 700], "b": {"c": i % 3}} for i in range(len(kinds) * 700)]
    check(sent, [json.dumps(each).encode() for each in sent])


def test_plain_text_has_its_line() -> None:
    """Rules on plain text read the whole line; a tombstone has none."""
    policy = TopicPolicy(
        **{name: getattr(POLICY, name) for name in POLICY.__slots__} | {"format": Format.TEXT}
    )
    (column,) = text_reader(policy, [FieldRead(())]).read([b"a b", None, b"\xff", b"a b"]).columns
    assert fields(column) == [(str, "a b"), (type(None), None), (str, "\ufffd"), (str, "a b")]


def test_texts_are_the_same_with_rules() -> None:
    """What rules read does not change what the model reads."""
    values = [json.dumps({"a": i, "b": {"c": "x", "d": i}}).encode() for i in range(5)]
    alone, beside = text_reader(POLICY).read(values), text_reader(POLICY, READS).read(values)
    assert alone.distinct == beside.distinct
    assert alone.codes.tolist() == beside.codes.tolist()
