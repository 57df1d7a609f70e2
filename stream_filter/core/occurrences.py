"""Which canonical texts a batch holds, and where."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrences:
    """The texts of a batch of n records, m of them distinct."""

    offsets: NDArray[np.int64]
    """Shape (n,), ascending."""
    codes: NDArray[np.int32]
    """Shape (n,): index into the distinct texts; -1 where a record has none."""
    digests: NDArray[np.uint64]
    """Shape (m,): the ledger's digests of the texts."""
    texts: Sequence[str]
    """The m canonical texts."""


def ranks(codes: NDArray[np.integer]) -> NDArray[np.int64]:
    """How many equal values stand before each value, shape (n,)."""
    order = np.argsort(codes, kind="stable")
    in_order = codes[order]
    first_of_run = np.flatnonzero(np.diff(in_order, prepend=in_order[:1] - 1))
    run = np.repeat(first_of_run, np.diff(first_of_run, append=len(codes)))
    found = np.empty(len(codes), np.int64)
    found[order] = np.arange(len(codes)) - run
    return found
