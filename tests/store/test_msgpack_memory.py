"""A piece of a memory as bytes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.entry import Entry
from stream_filter.core.errors import StreamFilterError
from stream_filter.gate.ports import MemoryPiece
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec

GOLDEN = Path(__file__).parent / "golden"
CODEC = MsgpackMemoryCodec()
SMALL = MemoryPiece(
    topic="payments.logs",
    partition=3,
    generation=7,
    slot=1,
    number=2,
    piece=0,
    pieces=1,
    next_offset=1_005,
    entries={
        "clock": [Entry(0, 0, (1_764_000_000_500,))],
        "novelty": [Entry(2**64 - 1, 0, (5, 1_004)), Entry(7, 0, ())],
        "fold": [
            Entry(
                9,
                1_764_000_000_000,
                (1_764_000_060_000, 1_764_000_060_000, 900, 12, 9, 903, 1_004),
                "disk <hex> is füll",
            )
        ],
    },
)

PIECES = st.builds(
    MemoryPiece,
    topic=st.text(max_size=20),
    partition=st.integers(0, 10_000),
    generation=st.integers(0, 2**40),
    slot=st.integers(0, 1),
    number=st.integers(0, 100),
    piece=st.integers(0, 10),
    pieces=st.integers(1, 10),
    next_offset=st.integers(0, 2**62),
    entries=st.dictionaries(
        st.sampled_from(["novelty", "fold", "another"]),
        st.lists(
            st.builds(
                Entry,
                st.integers(0, 2**64 - 1),
                st.integers(-(2**62), 2**62),
                st.lists(st.integers(-(2**62), 2**62), max_size=7).map(tuple),
                st.text(max_size=20),
            ),
            max_size=5,
        ),
    ),
)


@given(PIECES)
def test_round_trip(piece: MemoryPiece) -> None:
    """What is written is read."""
    assert CODEC.decode(CODEC.encode(piece)) == piece


def test_golden() -> None:
    """The bytes of version 1 are read for ever, and written to the last one."""
    data = (GOLDEN / "memory_v1.msgpack").read_bytes()
    assert CODEC.decode(data) == SMALL
    assert CODEC.encode(SMALL) == data


def test_other_version() -> None:
    """A piece of another version is refused, and both versions are named."""
    document = msgspec.msgpack.decode(CODEC.encode(SMALL))
    document["memory_version"] = "2"
    with pytest.raises(StreamFilterError, match="memory version '2', this reads '1'"):
        CODEC.decode(msgspec.msgpack.encode(document))


CHANGES: list[dict[str, Any]] = [
    {"slot": 2},
    {"generation": -1},
    {"generation": 2**60},
    {"pieces": 0},
    {"piece": "0"},
    {"entries": []},
    {"entries": {"novelty": [[1, 0]]}},
    {"entries": {"novelty": [[1, 0, [1.5, 2], ""]]}},
    {"entries": {"novelty": [[1, 0, [1, 2], "", "more"]]}},
    {"unknown": 1},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_impossible_pieces_are_refused(change: dict[str, Any]) -> None:
    """A document that is not of the schema is an error in one line."""
    document = msgspec.msgpack.decode(CODEC.encode(SMALL)) | change
    with pytest.raises(StreamFilterError, match="not a piece of a memory") as caught:
        CODEC.decode(msgspec.msgpack.encode(document))
    assert "\n" not in str(caught.value)


@given(st.binary(max_size=200))
def test_garbage(data: bytes) -> None:
    """Whatever the bytes are, the answer is a piece or a StreamFilterError."""
    try:
        CODEC.decode(data)
    except StreamFilterError:
        pass


@given(st.integers(0, 500), st.binary(min_size=1, max_size=3))
def test_damaged(at: int, patch: bytes) -> None:
    """So it is where good bytes were damaged."""
    data = CODEC.encode(SMALL)
    at %= len(data)
    try:
        CODEC.decode(data[:at] + patch + data[at + 1 :])
    except StreamFilterError:
        pass


def test_cut_short() -> None:
    """Bytes that end early are refused."""
    data = CODEC.encode(replace(SMALL, number=0))
    for n in range(len(data)):
        with pytest.raises(StreamFilterError):
            CODEC.decode(data[:n])
