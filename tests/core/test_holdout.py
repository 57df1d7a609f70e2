"""Holdout membership: a keyed hash, not a coin."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.holdout import held_out, siphash_2_4

KEY = bytes(range(16))


def words(*messages: int) -> NDArray[np.uint64]:
    return np.array(messages, np.uint64)


def scalar_siphash(message: int, key: bytes) -> int:
    """SipHash-2-4 of eight bytes, word by word, as the paper writes it."""
    mask = (1 << 64) - 1
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [
        k0 ^ 0x736F6D6570736575,
        k1 ^ 0x646F72616E646F6D,
        k0 ^ 0x6C7967656E657261,
        k1 ^ 0x7465646279746573,
    ]

    def rotated(word: int, bits: int) -> int:
        return ((word << bits) | (word >> (64 - bits))) & mask

    def sip_round() -> None:
        for a, b, bits in ((0, 1, 13), (2, 3, 16)):
            v[a] = (v[a] + v[b]) & mask
            v[b] = rotated(v[b], bits) ^ v[a]
        v[0] = rotated(v[0], 32)
        for a, b, bits in ((2, 1, 17), (0, 3, 21)):
            v[a] = (v[a] + v[b]) & mask
            v[b] = rotated(v[b], bits) ^ v[a]
        v[2] = rotated(v[2], 32)

    for block in (message, 8 << 56):
        v[3] ^= block
        sip_round()
        sip_round()
        v[0] ^= block
    v[2] ^= 0xFF
    for _ in range(4):
        sip_round()
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def test_reference_vector() -> None:
    """The paper's test key and the message 00..07 give the reference's digest."""
    message = int.from_bytes(bytes(range(8)), "little")
    assert siphash_2_4(words(message), KEY)[0] == 0x93F5F5799A932462


@given(st.lists(st.integers(0, 2**64 - 1), max_size=20), st.binary(min_size=16, max_size=16))
def test_equals_the_scalar_algorithm(messages: list[int], key: bytes) -> None:
    """The column's hashes are those of the algorithm applied word by word."""
    expected = [scalar_siphash(message, key) for message in messages]
    assert siphash_2_4(words(*messages), key).tolist() == expected


def test_hash_leaves_its_input() -> None:
    """Hashing does not write into the caller's column."""
    messages = words(1, 2, 3)
    siphash_2_4(messages, KEY)
    assert messages.tolist() == [1, 2, 3]


@given(
    st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=60, unique=True),
    st.data(),
    st.floats(0, 1),
)
def test_batches_do_not_matter(offsets: list[int], data: st.DataObject, share: float) -> None:
    """An offset is drawn alike in every batch that it comes in."""
    cut = data.draw(st.integers(0, len(offsets)))

    def draw(part: list[int]) -> list[bool]:
        column = np.array(part, np.int64)
        drawn: list[bool] = held_out(
            column, topic="t", partition=1, probability=share, key=KEY
        ).tolist()
        return drawn

    assert draw(offsets) == draw(offsets[:cut]) + draw(offsets[cut:])


@pytest.mark.parametrize("share", [0.001, 0.01, 0.1, 0.5, 0.9])
def test_share_is_within_binomial_bounds(share: float) -> None:
    """Of 200,000 offsets in a row the share drawn is π within five standard deviations."""
    n = 200_000
    for partition in range(3):
        drawn = held_out(
            np.arange(n, dtype=np.int64), topic="t", partition=partition, probability=share, key=KEY
        )
        assert abs(drawn.sum() - n * share) < 5 * math.sqrt(n * share * (1 - share))


def test_shares_may_differ_by_record() -> None:
    """An offset is drawn under its own share as it would be were that everybody's."""
    offsets = np.arange(2_000)
    shares = np.array([0.0, 0.3, 1.0, 0.7])[offsets % 4]
    place: dict[str, Any] = {"topic": "t", "partition": 0, "key": b"k"}
    mixed = held_out(offsets, probability=shares, **place)
    for share in (0.0, 0.3, 1.0, 0.7):
        alone = held_out(offsets, probability=share, **place)
        assert (mixed == alone)[shares == share].all()


def test_partitions_topics_and_keys_draw_apart() -> None:
    """Another partition, topic or key draws other offsets: nobody guesses them without the key."""
    offsets = np.arange(50_000, dtype=np.int64)
    draws = [
        held_out(offsets, topic=topic, partition=partition, probability=0.5, key=key)
        for topic, partition, key in (
            ("t", 0, b"k"),
            ("t", 1, b"k"),
            ("u", 0, b"k"),
            ("t", 0, b"l"),
        )
    ]
    for one in range(4):
        for other in range(one):
            assert 0.47 < float((draws[one] == draws[other]).mean()) < 0.53


def test_growing_share_keeps_members() -> None:
    """Whoever is drawn at a small π is drawn at every greater one."""
    offsets = np.arange(10_000, dtype=np.int64)
    before = held_out(offsets, topic="t", partition=0, probability=0.0, key=KEY)
    assert not before.any()
    for share in (0.01, 0.1, 0.5, 0.999, 1.0):
        now = held_out(offsets, topic="t", partition=0, probability=share, key=KEY)
        assert (now | ~before).all()
        before = now
    assert before.all()
