"""The ramp: which records of an enforced topic the gate acts on.

A keyed hash of the position, as for the holdout but under a key of its own, so that the two are
independent. A record is enforced if its hash lies below the ramp: what is enforced at 10 % is
enforced at 50 %. By position and not by the record's key: the share is then as asked however few
keys there are, and nothing is done per record in Python.
"""

import hashlib

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
    return sides < np.uint64(int(percent / 100.0 * 2.0**64))
