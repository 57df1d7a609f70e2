"""Character n-grams of texts, hashed: the features of a scout, for whoever trains and whoever runs.

All texts of a chunk are hashed at once, as columns of bytes: no Python per n-gram.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.canonical import clipped

_CHUNK_BYTES = 1 << 16  # what is in work stays in the processor's cache
_MULTIPLIER = np.uint32(0x9E3779B1)
_MIX = np.uint32(0x85EBCA6B)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hashing:
    """How n-grams become buckets: n from `shortest` to `longest` bytes, 2 ** `bits` buckets."""

    shortest: int
    longest: int
    bits: int

    @property
    def buckets(self) -> int:
        return 1 << self.bits


@dataclass(frozen=True, slots=True, kw_only=True)
class HashedTexts:
    """The n-grams of some texts, one after the other."""

    first: int
    """Place of the first of them in the whole sequence."""
    starts: NDArray[np.int64]
    """Shape (texts,): where each one's bytes begin. None is empty."""
    codes: NDArray[np.uint32]
    """Shape (lengths of n-grams, bytes): the bucket of the n-gram that begins there; `buckets`
    where its text has no room for one."""


def hashed_texts(texts: Sequence[str], hashing: Hashing) -> Iterator[HashedTexts]:
    """The n-grams of each text's UTF-8 bytes, in lower case, with a space before and after.

    Long texts are `clipped`. A lone surrogate counts as a question mark.
    """
    values: list[bytes] = []
    first = size = 0
    for at, text in enumerate(texts):
        value = f" {clipped(text).lower()} ".encode("utf-8", "replace")
        values.append(value)
        size += len(value)
        if size >= _CHUNK_BYTES:
            yield _hashed(values, first, hashing)
            values, first, size = [], at + 1, 0
    if values:
        yield _hashed(values, first, hashing)


def _hashed(values: Sequence[bytes], first: int, hashing: Hashing) -> HashedTexts:
    lengths = np.fromiter(map(len, values), np.int64, len(values))
    ends = np.cumsum(lengths)
    data = np.frombuffer(b"".join(values), np.uint8).astype(np.uint32) + np.uint32(1)
    room = np.repeat(ends, lengths) - np.arange(len(data))
    codes = np.full((hashing.longest - hashing.shortest + 1, len(data)), hashing.buckets, np.uint32)
    rolling = np.zeros(len(data), np.uint32)
    shift = np.uint32(32 - hashing.bits)
    for n in range(1, hashing.longest + 1):
        # Of the n-gram that begins here; the last n - 1 places have none.
        begins = len(data) - n + 1
        if begins <= 0:
            break
        rolling = rolling[:begins] * _MULTIPLIER + data[n - 1 :]
        if n >= hashing.shortest:
            mixed = (rolling ^ (rolling >> np.uint32(15))) * _MIX
            mixed = (mixed ^ (mixed >> np.uint32(13))) * _MULTIPLIER
            row = codes[n - hashing.shortest]
            np.copyto(row[:begins], mixed >> shift, where=room[:begins] >= n)
    return HashedTexts(first=first, starts=ends - lengths, codes=codes)
