"""Decisions as rows of a Parquet file: a block's columns with what its header says of each row.

Labels stand as strings and offsets whole, so that any reader of Parquet understands them. What
repeats costs next to nothing there: dictionaries and runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.ledger import Block, BlockHeader, Challenge

_TIME = pa.timestamp("ms", tz="UTC")
_NAME = pa.dictionary(pa.int32(), pa.string())

DECISION_ROWS = pa.schema(
    [
        pa.field("partition", pa.int32(), nullable=False),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("score", pa.float32()),
        pa.field("verdict", _NAME, nullable=False),
        pa.field("route", _NAME, nullable=False),
        pa.field("reason", _NAME, nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("text_digest", pa.uint64(), nullable=False),
        pa.field("is_cut", pa.bool_()),
        pa.field("rule", _NAME),
        pa.field("slice", _NAME),
        pa.field("challenger_model_id", _NAME),
        pa.field("challenger_score", pa.float32()),
        pa.field("challenger_verdict", _NAME),
        pa.field("challenger_reason", _NAME),
        pa.field("policy_id", _NAME, nullable=False),
        pa.field("model_id", _NAME, nullable=False),
        pa.field("overload", _NAME, nullable=False),
        pa.field("delivery", _NAME, nullable=False),
        pa.field("block_id", _NAME, nullable=False),
        pa.field("decided_at", _TIME, nullable=False),
        pa.field("ledger_partition", pa.int32(), nullable=False),
        pa.field("ledger_offset", pa.int64(), nullable=False),
    ]
)
"""The topic stands in the folder's name."""

_ClosedList = type[Verdict] | type[Route] | type[Reason]
_LABELS: dict[_ClosedList, pa.StringArray] = {
    closed_list: pa.array([member.label for member in closed_list], pa.string())
    for closed_list in (Verdict, Route, Reason)
}


def rows_of_block(block: Block, *, ledger_partition: int, ledger_offset: int) -> pa.RecordBatch:
    """A row for each record of a block that stands at this place in the ledger topic."""
    header, decisions, challenge = block.header, block.decisions, block.challenge
    n = header.rows
    columns = {
        "partition": _same(np.int32(header.partition), n),
        "offset": pa.array(block.offsets),
        "score": pa.array(decisions.score, from_pandas=True),
        "verdict": _coded(decisions.verdict, Verdict),
        "route": _coded(decisions.route, Route),
        "reason": _coded(decisions.reason, Reason),
        "probability": pa.array(decisions.probability),
        "text_digest": pa.array(block.text_digests),
        "is_cut": pa.nulls(n, pa.bool_()) if block.is_cut is None else pa.array(block.is_cut),
        "rule": _named(decisions.rule, block.rule_labels, n),
        "slice": _named(block.slice, block.slice_labels, n),
        "challenger_model_id": _one(challenge.model_id if challenge else None, n),
        "challenger_score": pa.nulls(n, pa.float32())
        if challenge is None
        else pa.array(challenge.score, from_pandas=True),
        "challenger_verdict": pa.nulls(n, _NAME)
        if challenge is None
        else _coded(challenge.verdict, Verdict),
        "challenger_reason": pa.nulls(n, _NAME)
        if challenge is None
        else _coded(challenge.reason, Reason),
        "policy_id": _one(header.policy_id, n),
        "model_id": _one(header.model_id, n),
        "overload": _one(header.overload, n),
        "delivery": _one(header.delivery, n),
        "block_id": _one(header.block_id, n),
        "decided_at": _same(np.int64(header.decided_at_ms), n).cast(_TIME),
        "ledger_partition": _same(np.int32(ledger_partition), n),
        "ledger_offset": _same(np.int64(ledger_offset), n),
    }
    return pa.record_batch([columns[name] for name in DECISION_ROWS.names], schema=DECISION_ROWS)


BLOCK_COLUMNS = (
    *("offset", "score", "verdict", "route", "reason", "probability", "text_digest", "is_cut"),
    *("rule", "slice", "challenger_score", "challenger_verdict", "challenger_reason"),
)
"""Of the rows, those that a block is made of again; the header has the others."""
RUN_COLUMNS = BLOCK_COLUMNS[: BLOCK_COLUMNS.index("rule")]
"""Of these, those that every block has."""


def block_of_rows(
    rows: Mapping[str, pa.Array], header: BlockHeader, *, challenger_model_id: str | None
) -> Block:
    """The inverse of `rows_of_block`, from `BLOCK_COLUMNS`. A column of rules, slices or cut texts
    that names none, or is not there, reads as None. Raises ValueError or KeyError for rows that no
    block has."""
    rule, rule_labels = _read_named(rows.get("rule"))
    slices, slice_labels = _read_named(rows.get("slice"))
    challenge = None
    if challenger_model_id is not None:
        challenge = Challenge(
            model_id=challenger_model_id,
            score=_scores(rows["challenger_score"]),
            verdict=_codes(rows["challenger_verdict"], Verdict),
            reason=_codes(rows["challenger_reason"], Reason),
        )
    return Block(
        header=header,
        offsets=rows["offset"].to_numpy(),
        text_digests=rows["text_digest"].to_numpy(),
        decisions=Decisions(
            score=_scores(rows["score"]),
            verdict=_codes(rows["verdict"], Verdict),
            route=_codes(rows["route"], Route),
            reason=_codes(rows["reason"], Reason),
            probability=rows["probability"].to_numpy(),
            rule=rule,
        ),
        rule_labels=rule_labels,
        slice=slices,
        slice_labels=slice_labels,
        is_cut=_read_flags(rows.get("is_cut")),
        challenge=challenge,
    )


def _same(value: np.generic, n: int) -> pa.Array:
    return pa.array(np.full(n, value))


def _one(name: str | None, n: int) -> pa.DictionaryArray:
    if name is None:
        return pa.nulls(n, _NAME)
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(n, np.int32)), pa.array([name]))


def _coded(codes: NDArray[np.uint8], closed_list: _ClosedList) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), _LABELS[closed_list])


def _named(codes: NDArray[np.int16] | None, labels: Sequence[str], n: int) -> pa.DictionaryArray:
    if codes is None:
        return pa.nulls(n, _NAME)
    indices = codes.astype(np.int32)
    return pa.DictionaryArray.from_arrays(
        pa.array(indices, mask=codes < 0), pa.array(labels, pa.string())
    )


def _scores(column: pa.Array) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = column.to_numpy(zero_copy_only=False)
    return scores.astype(np.float32, copy=False)


def _read_flags(column: pa.BooleanArray | None) -> NDArray[np.bool_] | None:
    if column is None or not column.true_count:
        return None
    flags: NDArray[np.bool_] = column.fill_null(False).to_numpy(zero_copy_only=False)
    return flags


def _read_named(
    column: pa.DictionaryArray | None,
) -> tuple[NDArray[np.int16] | None, tuple[str, ...]]:
    if column is None or column.null_count == len(column):
        return None, ()
    codes: NDArray[Any] = column.indices.fill_null(-1).to_numpy()
    used = np.unique(codes[codes >= 0])
    labels = column.dictionary.take(pa.array(used)).to_pylist()
    fewer = np.where(codes < 0, -1, np.searchsorted(used, codes)).astype(np.int16)
    return fewer, tuple(labels)


def _codes(column: pa.DictionaryArray, closed_list: _ClosedList) -> NDArray[np.uint8]:
    known = {member.label: member.value for member in closed_list}
    by_index = np.array([known[label] for label in column.dictionary.to_pylist()], np.uint8)
    codes: NDArray[np.uint8] = by_index[column.indices.to_numpy()]
    return codes
