"""What is shown of an event."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.template import parse_path
from stream_filter.formats.redaction import REDACTED, redact


@pytest.mark.parametrize(
    ("event", "paths", "shown"),
    [
        ({"a": 1, "b": 2}, ["a"], {"a": REDACTED, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, ["a.b"], {"a": {"b": REDACTED, "c": 2}}),
        ({"a": [{"b": 1}, {"c": 2}, 3]}, ["a.b"], {"a": [{"b": REDACTED}, {"c": 2}, 3]}),
        ({"a": [1, 2]}, ["a[1]"], {"a": [1, REDACTED]}),
        ({"a": [1, 2]}, ["a"], {"a": REDACTED}),
        ({"a": 1}, ["b", "a.b", "a[0]"], {"a": 1}),
        ([{"a": 1}], ["a"], [{"a": REDACTED}]),
        ({"a": None}, ["a"], {"a": REDACTED}),
    ],
)
def test_fields_are_replaced(event: object, paths: list[str], shown: object) -> None:
    """A field goes, whatever it holds, also in each element of an array; the rest stays."""
    value = redact(orjson.dumps(event), [parse_path(path) for path in paths])
    assert orjson.loads(value) == shown


def test_what_is_no_json_is_hidden_whole() -> None:
    """Nobody can tell where a field would be."""
    assert redact(b"card 4111 1111", [("card",)]) == REDACTED.encode()
    assert redact(b"\xff", []) == b"\xff"


def test_of_a_key_that_stands_twice_nothing_is_left() -> None:
    """A second value of the same key does not slip through."""
    assert b"secret" not in redact(b'{"a":"secret","a":"x"}', [("a",)])


@given(
    st.recursive(
        st.just("secret"),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from("abc"), inner),
    )
)
def test_nothing_below_a_field_is_left(inside: object) -> None:
    """However it is nested, what stands under a redacted field is gone."""
    value = redact(orjson.dumps({"x": [{"a": inside}], "y": 1}), [("x", "a")])
    assert orjson.loads(value) == {"x": [{"a": REDACTED}], "y": 1}
