"""Holdout membership: a keyed hash of the position, not a coin.

The same event is drawn again when a batch is replayed or recomputed, and nobody without the
key can tell which events will be. SipHash-2-4 (Aumasson and Bernstein 2012) of the offset
under a key made for the partition, on whole columns.
"""

import hashlib

import numpy as np
from numpy.typing import NDArray

_U64 = np.uint64


def held_out(
    offsets: NDArray[np.int64],
    *,
    topic: str,
    partition: int,
    probability: float | NDArray[np.float64],
    key: bytes,
) -> NDArray[np.bool_]:
    """Which offsets (shape (n,)) are in the holdout: each with `probability`, independently. It
    is a number, or of shape (n,)."""
    if np.all(probability <= np.float64(0.0)):
        return np.zeros(offsets.shape, np.bool_)
    if np.all(probability >= np.float64(1.0)):
        return np.ones(offsets.shape, np.bool_)
    partition_key = hashlib.blake2b(
        f"holdout/{topic}/{partition}".encode(), digest_size=16, key=key
    ).digest()
    draws = siphash_2_4(offsets.astype(np.uint64), partition_key)
    certain = np.asarray(probability >= np.float64(1.0))
    bound = np.where(certain, 0.0, probability) * 2.0**64
    return certain | (draws < bound.astype(np.uint64))


def siphash_2_4(messages: NDArray[np.uint64], key: bytes) -> NDArray[np.uint64]:
    """SipHash-2-4 of each message, taken as eight little-endian bytes. `key`: 16 bytes."""
    k0, k1 = (_U64(int.from_bytes(half, "little")) for half in (key[:8], key[8:]))
    v0 = np.full(messages.shape, k0 ^ _U64(0x736F6D6570736575))
    v1 = np.full(messages.shape, k1 ^ _U64(0x646F72616E646F6D))
    v2 = np.full(messages.shape, k0 ^ _U64(0x6C7967656E657261))
    v3 = np.full(messages.shape, k1 ^ _U64(0x7465646279746573))
    length_block = np.full(messages.shape, _U64(8 << 56))
    for block in (messages, length_block):
        v3 ^= block
        for _ in range(2):
            _round(v0, v1, v2, v3)
        v0 ^= block
    v2 ^= _U64(0xFF)
    for _ in range(4):
        _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _round(
    v0: NDArray[np.uint64],
    v1: NDArray[np.uint64],
    v2: NDArray[np.uint64],
    v3: NDArray[np.uint64],
) -> None:
    v0 += v1
    _rotate(v1, 13)
    v1 ^= v0
    _rotate(v0, 32)
    v2 += v3
    _rotate(v3, 16)
    v3 ^= v2
    v0 += v3
    _rotate(v3, 21)
    v3 ^= v0
    v2 += v1
    _rotate(v1, 17)
    v1 ^= v2
    _rotate(v2, 32)


def _rotate(words: NDArray[np.uint64], bits: int) -> None:
    words[:] = (words << _U64(bits)) | (words >> _U64(64 - bits))
