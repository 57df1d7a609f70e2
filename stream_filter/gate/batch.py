"""What goes into the gate and what comes out of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stream_filter.core.ledger import Block
from stream_filter.gate.partition_memory import MemoryRecord
from stream_filter.gate.ports import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordBatch:
    """Consecutive records of one partition: all that offsets [first, next) still hold."""

    topic: str
    partition: int
    first_offset: int
    next_offset: int
    records: Sequence[Record]
    """In offset order, at least one."""


class Emission(NamedTuple):
    """A record to be sent, in the unit of work of its batch."""

    topic: str
    key: bytes | None
    value: bytes | None
    timestamp_ms: int
    headers: list[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One batch, decided."""

    block: Block
    block_bytes: bytes
    emissions: Sequence[Emission]
    """Forwarded and deferred records and dead letters, in offset order; then the fold
    summaries."""
    memory: Sequence[MemoryRecord]
    """What of the partition's memory is to be saved with the batch."""
    summaries: int
    """How many of the emissions are fold summaries."""
    distinct_texts: int
    texts_read: int
    """How many of the distinct texts the model had to read: the others were remembered."""
    forwarded_tokens: int
    """Estimated, of what is forwarded."""
    is_behind: bool
    """The policy's `overload` holds: what came is older than it allows."""
    degraded_because: str | None
    seconds: Mapping[str, float]
    """Time spent by step: read, score, decide, emit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """What an idle partition sends without a batch: the summaries of the windows that it ends."""

    topic: str
    partition: int
    emissions: Sequence[Emission]
    """Fold summaries."""
    memory: Sequence[MemoryRecord]
    settled_at_ms: int
