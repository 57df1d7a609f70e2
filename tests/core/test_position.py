"""Positions and event ids."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.position import Position, event_id, parse_position

TOPICS = st.text("abcXYZ019._-", min_size=1, max_size=20)
POSITIONS = st.builds(Position, TOPICS, st.integers(0, 10_000), st.integers(0, 2**63 - 1))


@given(POSITIONS)
def test_round_trip(position: Position) -> None:
    """A printed position reads back."""
    assert parse_position(str(position)) == position


@pytest.mark.parametrize(
    "text",
    ["", "t", "t/1", "/1/2", "t/1/", "t//2", "t/-1/2", "t/1/-2", "t/x/2", "t/1/x", "t/1/2/3",
     "t/\u0661/2", "t/1/ 2"],
)  # fmt: skip
def test_what_is_no_position(text: str) -> None:
    """Anything else is refused with a message that says how to write one."""
    with pytest.raises(ValueError, match="topic/partition/offset"):
        parse_position(text)


def test_event_id_is_golden() -> None:
    """The id of a position under a key never changes: downstream deduplicates by it."""
    assert event_id("t/0/42", key=b"secret") == "8a188b4b3a0ad302b80d895577630116"


@given(POSITIONS, POSITIONS)
def test_event_ids(one: Position, other: Position) -> None:
    """Ids are 32 hex digits, equal for equal positions only, and other under another key."""
    first = event_id(str(one), key=b"k")
    assert len(bytes.fromhex(first)) == 16
    assert (first == event_id(str(other), key=b"k")) is (one == other)
    assert first != event_id(str(one), key=b"l")
