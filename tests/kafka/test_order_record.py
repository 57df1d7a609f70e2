"""Orders and reports on the wire."""

from collections.abc import Callable

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.app.schemas import documents
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.orders import Action, Order, Report
from stream_filter.kafka.order_record import (
    decode_order,
    decode_report,
    encode_order,
    encode_report,
)

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
names = text.filter(bool)
ids = st.text("0123456789abcdef", min_size=16, max_size=16)
orders = st.builds(
    Order,
    group=names,
    sequence=st.integers(1, (1 << 53) - 1),
    action=st.sampled_from(Action),
    by=text,
    at_ms=st.integers(0, 1 << 47),
    policy_id=ids,
    policy_text=text,
    paused=st.lists(text, max_size=3).map(tuple),
    note=text,
)
reports = st.builds(
    Report,
    group=names,
    worker=names,
    sequence=st.integers(0, 1 << 50),
    policy_id=ids,
    paused=st.lists(text, max_size=3).map(tuple),
    since_ms=st.integers(0, 1 << 47),
    refused_sequence=st.integers(0, 1 << 50),
    refused_because=text,
    is_leaving=st.booleans(),
    heard_ms=st.just(7),
)
SCHEMAS = documents()
GOOD = {
    "version": 1,
    "group": "g",
    "sequence": 1,
    "action": "push",
    "by": "ann",
    "at_ms": 1,
    "policy_id": "0" * 16,
    "policy": "version: 1",
    "paused": [],
    "note": "",
}


@given(orders)
def test_an_order_comes_back_as_it_was_and_fits_its_schema(order: Order) -> None:
    """Whatever its words are."""
    value = encode_order(order)
    assert decode_order(value) == order
    jsonschema.validate(orjson.loads(value), SCHEMAS["order.schema.json"])


@given(reports)
def test_a_report_comes_back_as_it_was_and_fits_its_schema(report: Report) -> None:
    """Whatever its words are."""
    value = encode_report(report)
    assert decode_report(value, 7) == report
    jsonschema.validate(orjson.loads(value), SCHEMAS["report.schema.json"])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "Invalid JSON"),
        (b"", "Invalid JSON"),
        (b"\xff\x00garbage", "Invalid JSON"),
        (b"[" * 100_000, "Invalid JSON"),
        (b"null", "should be an object"),
        (orjson.dumps({**GOOD, "version": 2}), "version: Input should be 1"),
        (orjson.dumps({**GOOD, "sequence": 0}), "sequence: "),
        (orjson.dumps({**GOOD, "sequence": 1 << 60}), "sequence: "),
        (orjson.dumps({**GOOD, "sequence": "1"}), "sequence: "),
        (orjson.dumps({**GOOD, "at_ms": 1 << 50}), "at_ms: "),
        (orjson.dumps({**GOOD, "action": "explode"}), "action: "),
        (orjson.dumps({**GOOD, "group": ""}), "group: "),
        (orjson.dumps({**GOOD, "policy_id": "short"}), "policy_id: "),
        (orjson.dumps({**GOOD, "paused": "all"}), "paused: "),
        (orjson.dumps({k: v for k, v in GOOD.items() if k != "policy"}), "policy: "),
    ],
)
def test_what_is_no_order_is_told_in_one_line(value: bytes | None, said: str) -> None:
    """Garbage, an unknown version, a wrong type: refused, never half read."""
    with pytest.raises(StreamFilterError, match=said) as refused:
        decode_order(value)
    assert "\n" not in str(refused.value)


@given(st.binary(max_size=60))
def test_no_bytes_break_the_readers(value: bytes) -> None:
    """Bytes from anyone are an order, a report, or a StreamFilterError."""
    readers: list[Callable[[], object]] = [
        lambda: decode_order(value),
        lambda: decode_report(value, 0),
    ]
    for read in readers:
        with pytest.raises(StreamFilterError):
            read()


def test_keys_of_a_later_version_are_passed_over() -> None:
    """A version that only adds keys does not stop those before it."""
    assert decode_order(orjson.dumps({**GOOD, "ticket": "OPS-1"})).by == "ann"
