"""What the store knows of a block besides its rows: its header, its place in the ledger topic, and
how many records were decided which way. A file's footer holds the facts of its blocks."""

from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.ledger import Block, BlockHeader

_COUNT = pa.struct(
    [
        pa.field("verdict", pa.string(), nullable=False),
        pa.field("route", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("rule", pa.string()),
        pa.field("records", pa.int64(), nullable=False),
    ]
)
BLOCK_FACTS = pa.schema(
    [
        pa.field("ledger_partition", pa.int32(), nullable=False),
        pa.field("ledger_offset", pa.int64(), nullable=False),
        pa.field("block_id", pa.string(), nullable=False),
        *(
            pa.field(f.name, pa.int64() if f.type is int else pa.string(), nullable=False)
            for f in fields(BlockHeader)
        ),
        pa.field("challenger_model_id", pa.string()),
        pa.field("block_bytes", pa.int64(), nullable=False),
        pa.field("counts", pa.list_(_COUNT), nullable=False),
    ]
)
FOOTER_KEY = b"stream_filter.blocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockFacts:
    """Of one block."""

    ledger_partition: int
    ledger_offset: int
    header: BlockHeader
    challenger_model_id: str | None
    block_bytes: int
    """Of the ledger record's value."""
    counts: tuple[tuple[str, str, str, str | None, int], ...]
    """Verdict, route, reason, rule, and how many records have them."""

    @property
    def place(self) -> tuple[int, int]:
        """Its identity: partition and offset in the ledger topic."""
        return (self.ledger_partition, self.ledger_offset)

    def as_row(self) -> dict[str, Any]:
        """As `BLOCK_FACTS` has it."""
        names = ("verdict", "route", "reason", "rule", "records")
        return {
            "ledger_partition": self.ledger_partition,
            "ledger_offset": self.ledger_offset,
            "block_id": self.header.block_id,
            **{f.name: getattr(self.header, f.name) for f in fields(BlockHeader)},
            "challenger_model_id": self.challenger_model_id,
            "block_bytes": self.block_bytes,
            "counts": [dict(zip(names, count, strict=True)) for count in self.counts],
        }


def facts_of(block: Block, *, place: tuple[int, int], block_bytes: int) -> BlockFacts:
    """The facts of a block that stands at `place` in the ledger topic."""
    return BlockFacts(
        ledger_partition=place[0],
        ledger_offset=place[1],
        header=block.header,
        challenger_model_id=block.challenge.model_id if block.challenge else None,
        block_bytes=block_bytes,
        counts=_counts(block),
    )


def facts_of_row(row: dict[str, Any]) -> BlockFacts:
    """The inverse of `as_row`. Raises KeyError, TypeError or ValueError."""
    values = {
        f.name: f.type(row[f.name])  # type: ignore[operator]  # int or str
        for f in fields(BlockHeader)
        # What came later has a default: older files do not say it.
        if row.get(f.name) is not None or f.default is MISSING
    }
    return BlockFacts(
        ledger_partition=int(row["ledger_partition"]),
        ledger_offset=int(row["ledger_offset"]),
        header=BlockHeader(**values),
        challenger_model_id=row["challenger_model_id"],
        block_bytes=int(row["block_bytes"]),
        counts=tuple(
            (c["verdict"], c["route"], c["reason"], c["rule"], int(c["records"]))
            for c in row["counts"]
        ),
    )


def footer_of(blocks: list[BlockFacts]) -> bytes:
    """As a Parquet file's footer holds it, in the order of the file's rows."""
    return orjson.dumps([block.as_row() for block in blocks])


def read_footer(metadata: dict[bytes, bytes] | None) -> list[BlockFacts]:
    """The inverse. Raises KeyError, TypeError or ValueError."""
    return [facts_of_row(row) for row in orjson.loads((metadata or {})[FOOTER_KEY])]


def _counts(block: Block) -> tuple[tuple[str, str, str, str | None, int], ...]:
    decisions = block.decisions
    rule = np.full(len(block.offsets), -1) if decisions.rule is None else decisions.rule
    code = (
        (decisions.verdict.astype(np.int64) << 48)
        + (decisions.route.astype(np.int64) << 40)
        + (decisions.reason.astype(np.int64) << 32)
        + (rule.astype(np.int64) + 1)
    )
    distinct, counts = np.unique(code, return_counts=True)
    return tuple(
        (
            Verdict(each >> 48).label,
            Route((each >> 40) & 0xFF).label,
            Reason((each >> 32) & 0xFF).label,
            block.rule_labels[(each & 0xFFFFFFFF) - 1] if each & 0xFFFFFFFF else None,
            count,
        )
        for each, count in zip(distinct.tolist(), counts.tolist(), strict=True)
    )
