"""The ledger: the append-only account of every decision."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions

LEDGER_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockHeader:
    """What a block says of itself: it covers offsets first..last of one partition, also those
    that hold no record (compaction, transaction markers)."""

    topic: str
    partition: int
    first_offset: int
    last_offset: int
    rows: int
    policy_id: str
    model_id: str
    """Empty where no model was loaded."""
    mask_set: str
    worker: str
    first_timestamp_ms: int
    """Least and greatest record timestamp, Unix milliseconds."""
    last_timestamp_ms: int
    decided_at_ms: int

    @property
    def block_id(self) -> str:
        """Equal for a repeat of the same batch: `topic/partition/first-last`."""
        return f"{self.topic}/{self.partition}/{self.first_offset}-{self.last_offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One batch's decisions: a row for every record, in offset order."""

    header: BlockHeader
    offsets: NDArray[np.int64]
    text_digests: NDArray[np.uint64]
    """The first 8 bytes, little-endian, of the BLAKE2b-128 of the canonical text; 0 = no text."""
    decisions: Decisions


@dataclass(frozen=True, slots=True)
class Span:
    """A block's place in its partition's account: offsets [first, next), and when it was written."""

    first: int
    next: int
    sequence: int
    """Its position in the ledger: later is greater."""


def effective_chain(spans: Iterable[Span]) -> list[Span]:
    """The blocks that count: a path without gap or overlap from the first offset.

    With exactly-once delivery every block counts. At least once, a batch that was written but
    not committed before a crash is decided again, perhaps with other borders: of the blocks that
    begin where the account stands, the one from which it can be continued furthest counts;
    where that leaves a choice, the one written last. O(n log n).
    """
    by_first: dict[int, Span] = {}
    reach: dict[int, int] = {}
    # From the end backwards, so that a block's continuation is known before the block.
    for span in sorted(spans, key=lambda s: (-s.first, s.sequence)):
        furthest = reach.get(span.next, span.next)
        if span.first not in reach or furthest >= reach[span.first]:
            reach[span.first] = furthest
            by_first[span.first] = span
    chain: list[Span] = []
    at = min(by_first, default=0)
    while at in by_first:
        chain.append(by_first[at])
        at = by_first[at].next
    # What begins beyond a gap is a chain of its own: the caller sees the gap between them.
    beyond = [span for first, span in by_first.items() if first >= at and chain]
    return chain + (effective_chain(beyond) if beyond else [])
