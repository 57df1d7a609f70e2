"""Verdicts and certificates as rows, and what stood in the topics and was neither."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stream_filter.core.oracle import OracleVerdict
from stream_filter.core.statement import Statement

_TIME = pa.timestamp("ms", tz="UTC")
_PLACE = [
    pa.field("topic_partition", pa.int32(), nullable=False),
    pa.field("topic_offset", pa.int64(), nullable=False),
    pa.field("at", _TIME, nullable=False),
]
VERDICT_ROWS = pa.schema(
    [
        *_PLACE,
        pa.field("sf_id", pa.string(), nullable=False),
        pa.field("important", pa.bool_(), nullable=False),
        pa.field("judge", pa.string(), nullable=False),
        pa.field("judge_kind", pa.string(), nullable=False),
        pa.field("repeat", pa.int64(), nullable=False),
        pa.field("cost", pa.float64(), nullable=False),
        pa.field("tokens", pa.int64(), nullable=False),
        pa.field("seconds", pa.float64(), nullable=False),
    ]
)
"""The analyst's words are left out: they may quote the event."""
CERTIFICATE_ROWS = pa.schema(
    [
        *_PLACE,
        pa.field("entry_id", pa.string(), nullable=False),
        pa.field("model_id", pa.string(), nullable=False),
        pa.field("since", _TIME, nullable=False),
        pa.field("state", pa.string(), nullable=False),
        pa.field("target_recall", pa.float64(), nullable=False),
        pa.field("recall_low", pa.float64()),
        pa.field("recall_high", pa.float64()),
        pa.field("misses_found", pa.int64()),
        pa.field("statement", pa.string(), nullable=False),
    ]
)
DAMAGED_ROWS = pa.schema([*_PLACE, pa.field("problem", pa.string(), nullable=False)])
JUDGEMENTS = {
    "verdicts": VERDICT_ROWS,
    "certificates": CERTIFICATE_ROWS,
    "damaged": DAMAGED_ROWS,
}
"""By kind of file."""
Place = tuple[int, int, int]
"""Partition, offset and Unix milliseconds of the record."""


def verdict_row(verdict: OracleVerdict, place: Place) -> dict[str, Any]:
    """As `VERDICT_ROWS` has it."""
    return {
        **_placed(place),
        "sf_id": verdict.event_id.hex(),
        "important": verdict.important,
        "judge": verdict.judge.name,
        "judge_kind": "person" if verdict.judge.is_person else "model",
        "repeat": verdict.repeat,
        "cost": verdict.cost,
        "tokens": verdict.tokens,
        "seconds": verdict.seconds,
    }


def damaged_row(problem: str, place: Place) -> dict[str, Any]:
    """As `DAMAGED_ROWS` has it."""
    return {**_placed(place), "problem": problem[:500]}


def certificate_row(statement: Statement, value: bytes, place: Place) -> dict[str, Any]:
    """As `CERTIFICATE_ROWS` has it; `value` is the record's."""
    finding = statement.finding
    return {
        **_placed(place),
        "entry_id": statement.entry_id,
        "model_id": statement.model_id,
        "since": statement.since_ms,
        "state": statement.state.value,
        "target_recall": statement.target.recall,
        "recall_low": finding.recall.lower if finding else None,
        "recall_high": finding.recall.upper if finding else None,
        "misses_found": finding.found if finding else None,
        "statement": value.decode(),
    }


def encode_rows(kind: str, rows: Sequence[dict[str, Any]]) -> pa.Buffer:
    """The bytes of a file of that kind."""
    return encode_table(pa.Table.from_pylist(list(rows), schema=JUDGEMENTS[kind]))


def encode_table(table: pa.Table) -> pa.Buffer:
    """The same, from a table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True, store_schema=False)
    return sink.getvalue()


def _placed(place: Place) -> dict[str, Any]:
    partition, offset, at_ms = place
    return {"topic_partition": partition, "topic_offset": offset, "at": at_ms}
