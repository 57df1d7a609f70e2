"""The ledger: the append-only account of every decision."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions

LEDGER_VERSION = "2"
"""Blocks of version 2 are links of a chain; those of version 1 read as blocks without digests."""
READABLE_VERSIONS = ("1", LEDGER_VERSION)


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
    delivery: str
    """`exactly_once` or `at_least_once`: whether a record may have been forwarded twice."""
    first_timestamp_ms: int
    """Least and greatest record timestamp, Unix milliseconds."""
    last_timestamp_ms: int
    decided_at_ms: int
    overload: str = ""
    """What was done because the gate had fallen behind; empty where it had not."""
    entry_id: str = ""
    """Digest of the topic's own entry in the policy, where it has a target; else empty."""
    epoch_opened_ms: int = 0
    epoch_closes_ms: int = 0
    """Of a topic with a target: the epoch of evidence that the block belongs to, Unix
    milliseconds. Verdicts count until it closes."""

    previous_digest: str = ""
    """Of the block before in this partition; empty where its writer knew of none."""
    digest: str = ""
    """Of this block (`core/chain.py`); empty in blocks of version 1."""

    @property
    def block_id(self) -> str:
        """Equal for a repeat of the same batch: `topic/partition/first-last`."""
        return f"{self.topic}/{self.partition}/{self.first_offset}-{self.last_offset}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """What a challenger concludes of a batch, by rules and score alone. Columns of shape (n,)."""

    model_id: str
    score: NDArray[np.float32]
    verdict: NDArray[np.uint8]
    reason: NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One batch's decisions: a row for every record, in offset order."""

    header: BlockHeader
    offsets: NDArray[np.int64]
    text_digests: NDArray[np.uint64]
    """The first 8 bytes, little-endian, of the BLAKE2b-128 of the canonical text; 0 = no text."""
    decisions: Decisions
    rule_labels: tuple[str, ...] = ()
    """What the rules of `decisions.rule` are called."""
    slice: NDArray[np.int16] | None = None
    """Shape (rows,): index into `slice_labels`, -1 where there is none; None where the policy
    watches no slices."""
    slice_labels: tuple[str, ...] = ()
    is_cut: NDArray[np.bool_] | None = None
    """Shape (rows,): of a text beyond the limit only head and tail were read; None where that holds
    for none."""
    challenge: Challenge | None = None
    """None where the policy has no challenger."""


@dataclass(frozen=True, slots=True)
class Span:
    """A block's place in its partition's account: offsets [first, next), and its turn."""

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
    best: dict[int, Span] = {}
    reach: dict[int, int] = {}
    # From the end backwards, so that a block's continuation is known before the block.
    for span in sorted(spans, key=lambda s: (-s.first, s.sequence)):
        furthest = reach.get(span.next, span.next)
        if span.first not in reach or furthest >= reach[span.first]:
            reach[span.first] = furthest
            best[span.first] = span
    chain: list[Span] = []
    for first in sorted(best):
        # Joins the chain, or lies beyond a gap, which the caller sees. What begins inside a
        # block that counts was overtaken by it.
        if not chain or first >= chain[-1].next:
            chain.append(best[first])
    return chain
