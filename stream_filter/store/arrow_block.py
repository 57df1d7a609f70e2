"""A ledger block as an Arrow IPC stream, zstd-compressed. Published in schemas/ledger-block.*.

One record batch; the header stands in the schema's metadata. Columns that repeat within a batch
are dictionary-encoded, offsets are steps from the row before: about five bytes an event.
"""

from collections.abc import Sequence
from dataclasses import MISSING, fields
from typing import TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import (
    LEDGER_VERSION,
    READABLE_VERSIONS,
    Block,
    BlockHeader,
    Challenge,
)

_ClosedList: TypeAlias = type[Verdict] | type[Route] | type[Reason]
_LABEL = pa.dictionary(pa.uint8(), pa.string())

LEDGER_SCHEMA = pa.schema(
    [
        pa.field("offset_step", pa.uint32(), nullable=False),
        pa.field("score", pa.dictionary(pa.int32(), pa.float32()), nullable=True),
        pa.field("verdict", _LABEL, nullable=False),
        pa.field("route", _LABEL, nullable=False),
        pa.field("reason", _LABEL, nullable=False),
        pa.field("probability", pa.float32(), nullable=False),
        pa.field("text_digest", pa.dictionary(pa.int32(), pa.uint64()), nullable=False),
    ]
)
RULE_FIELD = pa.field("rule", pa.dictionary(pa.int16(), pa.string()), nullable=True)
"""Stands after the others, in the blocks of topics that have rules."""
SLICE_FIELD = pa.field("slice", pa.dictionary(pa.int16(), pa.string()), nullable=True)
"""Stands after these, in the blocks of topics whose policy watches slices."""
CUT_FIELD = pa.field("is_cut", pa.bool_(), nullable=False)
"""Stands after these, in blocks with a text beyond the limit."""
CHALLENGE_FIELDS = (
    pa.field("challenger_score", pa.dictionary(pa.int32(), pa.float32()), nullable=True),
    pa.field("challenger_verdict", _LABEL, nullable=False),
    pa.field("challenger_reason", _LABEL, nullable=False),
)
"""Stand last, in the blocks of topics that have a challenger."""
_CHALLENGER = b"challenger_model_id"
_LABELS: dict[_ClosedList, pa.StringArray] = {
    closed_list: pa.array([member.label for member in closed_list], pa.string())
    for closed_list in (Verdict, Route, Reason)
}
_WRITE_OPTIONS = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", 1))


class ArrowLedgerCodec:
    """The `LedgerCodec` port, and its inverse."""

    def encode(self, block: Block) -> bytes:
        decisions = block.decisions
        steps = np.diff(block.offsets, prepend=block.header.first_offset).astype(np.uint32)
        columns = [
            pa.array(steps),
            pa.array(decisions.score, from_pandas=True).dictionary_encode(),
            _labels(decisions.verdict, Verdict),
            _labels(decisions.route, Route),
            _labels(decisions.reason, Reason),
            pa.array(decisions.probability),
            pa.array(block.text_digests).dictionary_encode(),
        ]
        schema = LEDGER_SCHEMA
        if decisions.rule is not None:
            columns.append(_named(decisions.rule, block.rule_labels))
            schema = schema.append(RULE_FIELD)
        if block.slice is not None:
            columns.append(_named(block.slice, block.slice_labels))
            schema = schema.append(SLICE_FIELD)
        if block.is_cut is not None and block.is_cut.any():
            columns.append(pa.array(block.is_cut))
            schema = schema.append(CUT_FIELD)
        metadata = _metadata(block.header)
        if block.challenge is not None:
            columns += [
                pa.array(block.challenge.score, from_pandas=True).dictionary_encode(),
                _labels(block.challenge.verdict, Verdict),
                _labels(block.challenge.reason, Reason),
            ]
            for field in CHALLENGE_FIELDS:
                schema = schema.append(field)
            metadata[_CHALLENGER.decode()] = block.challenge.model_id
        batch = pa.record_batch(columns, schema=schema.with_metadata(metadata))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema, options=_WRITE_OPTIONS) as writer:
            writer.write_batch(batch)
        return bytes(sink.getvalue())

    def decode(self, data: bytes) -> Block:
        """Read a block. Raises StreamFilterError where `data` is none."""
        try:
            return _read_block(data)
        except (
            *(pa.ArrowException, KeyError, ValueError, TypeError, IndexError),
            *(OSError, OverflowError, MemoryError),
        ) as error:
            said = " ".join(str(error).split())[:200]
            raise StreamFilterError(f"not a ledger block: {said}") from error


def _read_block(data: bytes) -> Block:
    """Raises many things: the bytes may come from anyone."""
    table = pa.ipc.open_stream(data).read_all()
    # Without it, damaged bytes lead Arrow outside its buffers.
    table.validate(full=True)
    header = read_header(table.schema.metadata)
    columns = {field.name: _column(table, field) for field in LEDGER_SCHEMA}
    offsets = header.first_offset + np.cumsum(columns["offset_step"].to_numpy().astype(np.int64))
    if len(offsets) != header.rows or (len(offsets) and offsets[-1] > header.last_offset):
        raise ValueError("its rows are not those that its header names")
    rule, rule_labels = _read_named(table, RULE_FIELD)
    slices, slice_labels = _read_named(table, SLICE_FIELD)
    return Block(
        header=header,
        offsets=offsets,
        text_digests=columns["text_digest"].dictionary_decode().to_numpy(),
        decisions=Decisions(
            score=_scores(columns["score"]),
            verdict=_codes(columns["verdict"], Verdict),
            route=_codes(columns["route"], Route),
            reason=_codes(columns["reason"], Reason),
            probability=columns["probability"].to_numpy(),
            rule=rule,
        ),
        rule_labels=rule_labels,
        slice=slices,
        slice_labels=slice_labels,
        is_cut=_column(table, CUT_FIELD).to_numpy(zero_copy_only=False)
        if CUT_FIELD.name in table.column_names
        else None,
        challenge=_read_challenge(table),
    )


def _read_challenge(table: pa.Table) -> Challenge | None:
    score, verdict, reason = CHALLENGE_FIELDS
    if score.name not in table.column_names:
        return None
    return Challenge(
        model_id=table.schema.metadata.get(_CHALLENGER, b"").decode(),
        score=_scores(_column(table, score)),
        verdict=_codes(_column(table, verdict), Verdict),
        reason=_codes(_column(table, reason), Reason),
    )


def _scores(column: pa.Array) -> NDArray[np.float32]:
    scores: NDArray[np.float32] = column.dictionary_decode().to_numpy(zero_copy_only=False)
    return scores.astype(np.float32)


def _read_named(
    table: pa.Table, field: pa.Field
) -> tuple[NDArray[np.int16] | None, tuple[str, ...]]:
    """An optional column of names: indices, -1 where there is none, and what they lead to."""
    if field.name not in table.column_names:
        return None, ()
    column = _column(table, field)
    labels = column.dictionary.to_pylist()
    if None in labels:
        raise ValueError(f"a {field.name} without a label")
    return column.indices.fill_null(-1).to_numpy(), tuple(labels)


def _column(table: pa.Table, field: pa.Field) -> pa.Array:
    column = table.column(field.name).combine_chunks()
    if column.type != field.type or (column.null_count and not field.nullable):
        raise ValueError(f"column {field.name} is {column.type}, expected {field.type}")
    return column


def _metadata(header: BlockHeader) -> dict[str, str]:
    # What came later is left out where it says nothing.
    values = {
        field.name: str(value)
        for field in fields(header)
        if (value := getattr(header, field.name)) != field.default
    }
    return {"ledger_version": LEDGER_VERSION, "block_id": header.block_id, **values}


def read_header(metadata: dict[bytes, bytes] | None) -> BlockHeader:
    """The header in a schema's metadata. Raises KeyError or ValueError."""
    text = {name.decode(): value.decode() for name, value in (metadata or {}).items()}
    if text["ledger_version"] not in READABLE_VERSIONS:
        raise ValueError(f"ledger version {text['ledger_version']}, this reads {LEDGER_VERSION}")
    values = {
        field.name: int(text[field.name]) if field.type is int else text[field.name]
        for field in fields(BlockHeader)
        # What came later has a default: older blocks do not say it.
        if field.name in text or field.default is MISSING
    }
    return BlockHeader(**values)  # type: ignore[arg-type]  # each value has its field's type


def _labels(codes: NDArray[np.uint8], closed_list: _ClosedList) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes), _LABELS[closed_list])


def _named(codes: NDArray[np.int16], labels: Sequence[str]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(
        pa.array(codes, mask=codes < 0), pa.array(labels, pa.string())
    )


def _codes(column: pa.DictionaryArray, closed_list: _ClosedList) -> NDArray[np.uint8]:
    """Codes by label: a block whose writer ordered the labels otherwise reads the same."""
    known = {member.label: member.value for member in closed_list}
    by_index = np.array([known[label] for label in column.dictionary.to_pylist()], np.uint8)
    codes: NDArray[np.uint8] = by_index[column.indices.to_numpy()]
    return codes
