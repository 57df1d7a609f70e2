"""The ledger block as bytes."""

import random
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.store.arrow_block import ArrowLedgerCodec, read_header

GOLDEN = Path(__file__).parent / "golden"
CODEC = ArrowLedgerCodec()
HEADER = BlockHeader(
    topic="payments.logs",
    partition=3,
    first_offset=1_000,
    last_offset=1_004,
    rows=3,
    policy_id="0123456789abcdef",
    model_id="fedcba9876543210",
    mask_set="masks-1",
    worker="gate-1",
    delivery="exactly_once",
    first_timestamp_ms=1_764_000_000_000,
    last_timestamp_ms=1_764_000_000_500,
    decided_at_ms=1_764_000_000_600,
)
SMALL = Block(
    header=HEADER,
    offsets=np.array([1_000, 1_002, 1_003], np.int64),
    text_digests=np.array([7, 0, 7], np.uint64),
    decisions=Decisions(
        score=np.array([0.25, np.nan, 0.25], np.float32),
        verdict=np.array([Verdict.DROP, Verdict.ABSTAIN, Verdict.DROP], np.uint8),
        route=np.array([Route.DISCARD, Route.DEAD_LETTER, Route.FORWARD], np.uint8),
        reason=np.array([Reason.BELOW_THRESHOLD, Reason.UNDECODABLE, Reason.HOLDOUT], np.uint8),
        probability=np.array([0.01, 0.0, 0.01], np.float32),
    ),
)


def plain(block: Block) -> dict[str, Any]:
    """A block as plain values that compare, NaN as None."""
    columns = {
        name: getattr(block.decisions, name).tolist()
        for name in ("verdict", "route", "reason", "probability")
    }
    score = [None if np.isnan(s) else float(s) for s in block.decisions.score]
    offsets, digests = block.offsets.tolist(), block.text_digests.tolist()
    rule = None if block.decisions.rule is None else block.decisions.rule.tolist()
    slices = None if block.slice is None else block.slice.tolist()
    columns |= {"is_cut": None if block.is_cut is None else block.is_cut.tolist()}
    columns |= {"score": score, "at": offsets, "digests": digests, "rule": rule, "slice": slices}
    labels = {"rule_labels": block.rule_labels, "slice_labels": block.slice_labels}
    return {**asdict(block.header), **columns, **labels}


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """Any block: gaps between offsets, missing scores, any codes."""
    n = draw(st.integers(0, 30))

    def column(elements: st.SearchStrategy[Any], dtype: Any) -> Any:
        return np.array(draw(st.lists(elements, min_size=n, max_size=n)), dtype)

    first = draw(st.integers(0, 2**62))
    steps = column(st.integers(1, 2**31), np.int64)
    offsets = first - 1 + np.cumsum(steps)
    names = st.text(max_size=10)
    labels = draw(st.lists(names, max_size=4, unique=True).map(tuple))
    header = BlockHeader(
        topic=draw(names),
        partition=draw(st.integers(0, 10_000)),
        first_offset=first,
        last_offset=int(offsets[-1] if n else first) + draw(st.integers(0, 5)),
        rows=n,
        policy_id=draw(names),
        model_id=draw(names),
        mask_set=draw(names),
        worker=draw(names),
        delivery=draw(st.sampled_from(["exactly_once", "at_least_once"])),
        first_timestamp_ms=draw(st.integers(-1, 2**60)),
        last_timestamp_ms=draw(st.integers(-1, 2**60)),
        decided_at_ms=draw(st.integers(0, 2**60)),
        entry_id=draw(names),
        epoch_opened_ms=draw(st.integers(0, 2**60)),
        epoch_closes_ms=draw(st.integers(0, 2**60)),
        previous_digest=draw(names),
        digest=draw(names),
    )
    return Block(
        header=header,
        offsets=offsets,
        text_digests=column(st.integers(0, 2**64 - 1), np.uint64),
        decisions=Decisions(
            score=column(st.floats(0, 1, width=32) | st.just(float("nan")), np.float32),
            verdict=column(st.sampled_from(Verdict), np.uint8),
            route=column(st.sampled_from(Route), np.uint8),
            reason=column(st.sampled_from(Reason), np.uint8),
            probability=column(st.floats(0, 1, width=32), np.float32),
            rule=column(st.integers(-1, len(labels) - 1), np.int16) if labels else None,
        ),
        rule_labels=labels,
        slice=column(st.integers(-1, len(labels) - 1), np.int16) if labels else None,
        is_cut=flags if (flags := column(st.booleans(), np.bool_)).any() else None,
        slice_labels=labels,
    )


@settings(max_examples=80, deadline=None)
@given(blocks())
def test_round_trip(block: Block) -> None:
    """A block reads back as it was written, to the last bit of a score."""
    assert plain(CODEC.decode(CODEC.encode(block))) == plain(block)


def test_schema_is_golden() -> None:
    """Fields, types and metadata are those that are published: a change is a new version."""
    schema = pa.ipc.open_stream(CODEC.encode(SMALL)).schema
    written = schema.to_string(show_field_metadata=True, truncate_metadata=False) + "\n"
    assert written == (GOLDEN / "ledger_block.txt").read_text()


def test_rules_are_one_more_column() -> None:
    """A topic with rules has a column that names the deciding rule; other blocks have none."""
    decisions = replace(SMALL.decisions, rule=np.array([1, -1, 0], np.int16))
    data = CODEC.encode(replace(SMALL, decisions=decisions, rule_labels=("health", "#2")))
    table = pa.ipc.open_stream(data).read_all()
    assert table.schema.names == [*pa.ipc.open_stream(CODEC.encode(SMALL)).schema.names, "rule"]
    assert table["rule"].to_pylist() == ["#2", None, "health"]


def test_slices_are_one_more_column() -> None:
    """A topic whose policy watches slices has a column that names them; other blocks have none."""
    data = CODEC.encode(
        replace(SMALL, slice=np.array([1, -1, 0], np.int16), slice_labels=("auth", "pay"))
    )
    table = pa.ipc.open_stream(data).read_all()
    assert table.schema.names == [*pa.ipc.open_stream(CODEC.encode(SMALL)).schema.names, "slice"]
    assert table["slice"].to_pylist() == ["pay", None, "auth"]


def test_cut_texts_are_one_more_column() -> None:
    """A block in which a text was cut has a column that says where; other blocks have none."""
    names = pa.ipc.open_stream(CODEC.encode(SMALL)).schema.names
    is_cut = np.array([True, False, False])
    table = pa.ipc.open_stream(CODEC.encode(replace(SMALL, is_cut=is_cut))).read_all()
    assert table.schema.names == [*names, "is_cut"]
    assert table["is_cut"].to_pylist() == [True, False, False]
    none = CODEC.encode(replace(SMALL, is_cut=~is_cut & is_cut))
    assert pa.ipc.open_stream(none).schema.names == names


def test_old_block_reads() -> None:
    """A block written by the first release still reads as what it said."""
    assert plain(CODEC.decode((GOLDEN / "block_v1.arrow").read_bytes())) == plain(SMALL)


def test_block_id() -> None:
    """A block's id is its place, so that a repeat of the batch has the same."""
    assert SMALL.header.block_id == "payments.logs/3/1000-1004"
    later = replace(SMALL.header, decided_at_ms=1, worker="other")
    assert later.block_id == SMALL.header.block_id


def test_labels_are_read_by_name() -> None:
    """A writer that orders the labels otherwise is understood."""
    table = pa.ipc.open_stream(CODEC.encode(SMALL)).read_all()
    routes = table.column("route").combine_chunks()
    labels = pa.array(["dead_letter", "forward", "discard"])
    codes = pa.array([labels.to_pylist().index(label) for label in routes.to_pylist()], pa.uint8())
    at = table.schema.get_field_index("route")
    turned = table.set_column(at, table.field(at), pa.DictionaryArray.from_arrays(codes, labels))
    assert plain(CODEC.decode(as_stream(turned))) == plain(SMALL)


def as_stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def with_metadata(**changes: str) -> bytes:
    """The small block with other metadata; an empty value leaves the key out."""
    table = pa.ipc.open_stream(CODEC.encode(SMALL)).read_all()
    metadata = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    metadata |= changes
    return as_stream(table.replace_schema_metadata({k: v for k, v in metadata.items() if v}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", ""),
        (b"\x00" * 100, ""),
        (b'{"json": true}', ""),
        (with_metadata(ledger_version="3"), "ledger version 3, this reads 2"),
        (with_metadata(topic=""), "topic"),
        (with_metadata(partition="three"), "three"),
        (with_metadata(rows="4"), "rows"),
        (with_metadata(last_offset="1001"), "rows"),
        (as_stream(pa.table({"a": [1]})), "ledger_version"),
    ],
    ids=["empty", "zeros", "json", "version", "no-topic", "partition", "rows", "range", "foreign"],
)
def test_what_is_no_block(data: bytes, said: str) -> None:
    """What is no block is refused in one line that says what is wrong."""
    with pytest.raises(StreamFilterError, match="not a ledger block") as caught:
        CODEC.decode(data)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_bytes(compressed: bool) -> None:
    """Flipped bits and cut tails are refused, or read as a block; they never raise anything else
    and never bring the process down."""
    table = pa.ipc.open_stream(CODEC.encode(realistic(60))).read_all()
    sound = CODEC.encode(realistic(60)) if compressed else as_stream(table)
    rng = random.Random(7)
    refused = 0
    for _ in range(2_000):
        data = bytearray(sound)
        for _ in range(rng.randint(1, 4)):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        if rng.random() < 0.25:
            del data[rng.randrange(len(data)) :]
        try:
            block = CODEC.decode(bytes(data))
        except StreamFilterError:
            refused += 1
        else:
            assert len(block.offsets) == len(block.decisions.route) == block.header.rows
    assert refused > 200


def realistic(n: int, *, distinct: int = 400, seed: int = 1) -> Block:
    """Decisions as a stream of logs gives them: few texts make most of it, each with one score."""
    rng = np.random.default_rng(seed)
    text = np.minimum(rng.zipf(1.4, n) - 1, distinct - 1)
    score = rng.beta(0.4, 1.2, distinct).astype(np.float32)[text]
    digest = rng.integers(0, 2**64 - 1, distinct, dtype=np.uint64)[text]
    drop, keep = score < 0.2, score >= 0.8
    held = drop & (rng.random(n) < 0.01)
    verdict = np.where(keep, Verdict.KEEP, np.where(drop, Verdict.DROP, Verdict.ABSTAIN))
    reason = np.where(keep, Reason.IMPORTANT, Reason.AMBIGUOUS)
    reason = np.where(held, Reason.HOLDOUT, np.where(drop, Reason.BELOW_THRESHOLD, reason))
    return Block(
        header=replace(HEADER, rows=n, last_offset=HEADER.first_offset + n - 1),
        offsets=HEADER.first_offset + np.arange(n, dtype=np.int64),
        text_digests=digest,
        decisions=Decisions(
            score=score,
            verdict=verdict.astype(np.uint8),
            route=np.where(drop & ~held, Route.DISCARD, Route.FORWARD).astype(np.uint8),
            reason=reason.astype(np.uint8),
            probability=np.where(drop, np.float32(0.01), np.float32(1)).astype(np.float32),
        ),
    )


@pytest.mark.parametrize("n", [2_000, 5_000, 10_000])
@pytest.mark.parametrize("distinct", [50, 400])
def test_twelve_bytes_an_event(n: int, distinct: int) -> None:
    """A block of 2,000 events or more of a repeating stream takes at most 12 bytes an event."""
    size = len(CODEC.encode(realistic(n, distinct=distinct)))
    assert size / n <= 12, f"{size / n:.2f} bytes an event"


def test_header_alone() -> None:
    """The header reads from the schema's metadata alone, without the rows."""
    assert read_header(pa.ipc.open_stream(CODEC.encode(SMALL)).schema.metadata) == SMALL.header
