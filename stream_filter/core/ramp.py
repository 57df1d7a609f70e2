"""The ramp: which records of an enforced topic the gate acts on.

A keyed hash of the position, as for the holdout but under a key of its own, so that the two are
independent. A record is enforced if its hash lies below the ramp: what is enforced at 10 % is
enforced at 50 %. By position the share is as asked however few keys there are; by the record's key
all that belongs together is on one side.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.holdout import siphash_2_4


def is_enforced(
    offsets: NDArray[np.int64], *, topic: str, partition: int, percent: float, key: bytes
) -> NDArray[np.bool_]:
    """Which offsets (shape (n,)) are on the enforced side of a ramp of 0 to 100 percent."""
    if percent <= 0.0 or percent >= 100.0:
        return np.full(offsets.shape, percent >= 100.0, np.bool_)
    side_key = hashlib.blake2b(
        f"ramp/{topic}/{partition}".encode(), digest_size=16, key=key
    ).digest()
    sides = siphash_2_4(offsets.astype(np.uint64), side_key)
    return sides < _bound(percent)


def is_key_enforced(
    keys: Sequence[bytes | None], by_position: NDArray[np.bool_], *, percent: float, key: bytes
) -> NDArray[np.bool_]:
    """Which records (shape (n,)) are on the enforced side, drawn by their keys; one side for a key
    in all topics and partitions. Without a key (None): as `by_position` says."""
    if percent <= 0.0 or percent >= 100.0:
        return by_position
    distinct = list({each for each in keys if each is not None})
    # Copied for each key: to take in the gate's own costs more than all the rest.
    keyed = hashlib.blake2b(digest_size=8, key=key, person=b"ramp")
    digests = b"".join(_digest(keyed, each) for each in distinct)
    sides = np.frombuffer(digests, "<u8") < _bound(percent)
    side_of = dict(zip(distinct, sides.tolist(), strict=True))
    drawn = [
        at_position if each is None else side_of[each]
        for each, at_position in zip(keys, by_position.tolist(), strict=True)
    ]
    return np.array(drawn, np.bool_)


def _digest(keyed: "hashlib.blake2b", data: bytes) -> bytes:
    own = keyed.copy()
    own.update(data)
    return own.digest()


def _bound(percent: float) -> np.uint64:
    return np.uint64(int(percent / 100.0 * 2.0**64))
