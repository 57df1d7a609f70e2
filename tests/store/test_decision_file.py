"""Blocks as files of the store."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import fs

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block
from stream_filter.store import decision_file
from stream_filter.store.block_facts import FOOTER_KEY, facts_of, footer_of, read_footer
from stream_filter.store.decision_file import DecisionFile, encode_file, stored
from tests.store.test_arrow_block import SMALL, blocks, plain

LOCAL = fs.LocalFileSystem()


def labelled(block: Block) -> dict[str, object]:
    """A block as plain values, names in place of codes: a file need not keep unused labels."""
    values = plain(block)
    for codes, labels in (("rule", "rule_labels"), ("slice", "slice_labels")):
        names = values.pop(labels)
        found = [names[c] if c >= 0 else None for c in values[codes] or []]
        values[codes] = found if any(name is not None for name in found) else None
    return values


@settings(max_examples=60, deadline=None)
@given(
    written=st.lists(blocks().filter(lambda b: b.header.rows > 0), min_size=1, max_size=6),
    row_group=st.integers(1, 40),
)
def test_blocks_come_back_as_they_were(
    written: list[Block], row_group: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever blocks are written, and however they fall into row groups, each reads back to the
    last bit, alone or with the others."""
    path = tmp_path_factory.mktemp("store") / "file.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decision_file, "ROW_GROUP", row_group)
        path.write_bytes(
            encode_file(
                stored(block, facts_of(block, place=(0, at), block_bytes=1))
                for at, block in enumerate(written)
            )
        )
    file = DecisionFile(LOCAL, str(path), checks_pages=True)
    read = {facts.ledger_offset: block for facts, block in file.blocks()}
    assert [labelled(read[at]) for at in range(len(written))] == list(map(labelled, written))
    wanted = random.Random(1).randrange(len(written))
    ((facts, alone),) = file.blocks(frozenset({(0, wanted)}))
    assert labelled(alone) == labelled(written[wanted])
    assert sum(count for *_, count in facts.counts) == written[wanted].header.rows


def test_any_reader_of_parquet_understands_it(tmp_path: Path) -> None:
    """Labels are strings, offsets whole, missing scores null."""
    path = tmp_path / "file.parquet"
    path.write_bytes(encode_file([stored(SMALL, facts_of(SMALL, place=(2, 7), block_bytes=9))]))
    rows = pq.read_table(path, columns=["partition", "offset", "score", "route", "ledger_offset"])
    assert rows.to_pylist()[1] == {
        "partition": 3,
        "offset": 1_002,
        "score": None,
        "route": "dead_letter",
        "ledger_offset": 7,
    }


def test_an_older_file_reads(tmp_path: Path) -> None:
    """A file that was written before a column came reads, and is compacted with newer ones, as if
    the column said nothing."""
    file = tmp_path / "file.parquet"
    file.write_bytes(encode_file([stored(SMALL, facts_of(SMALL, place=(2, 7), block_bytes=9))]))
    table = pq.read_table(file)
    older = tmp_path / "older.parquet"
    pq.write_table(table.drop_columns(["is_cut"]).cast(older_schema(table)), older)
    (stored_block,) = DecisionFile(LOCAL, str(older)).rows()
    file.write_bytes(encode_file([stored_block]))
    for path in (older, file):
        ((_, block),) = DecisionFile(LOCAL, str(path)).blocks()
        assert labelled(block) == labelled(SMALL)
        (run,) = DecisionFile(LOCAL, str(path)).runs(frozenset({(2, 7)}))
        assert run.is_cut is None


def older_schema(table: pa.Table) -> pa.Schema:
    fields = [field for field in table.schema if field.name != "is_cut"]
    return pa.schema(fields, metadata=table.schema.metadata)


def test_a_flipped_byte_is_a_damaged_file(tmp_path: Path) -> None:
    """Wherever a byte is flipped, reading says so or gives what was written."""
    data = bytes(encode_file([stored(SMALL, facts_of(SMALL, place=(0, 0), block_bytes=9))]))
    draw, caught = random.Random(7), 0
    for _ in range(150):
        flipped = bytearray(data)
        flipped[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        path = tmp_path / "file.parquet"
        path.write_bytes(flipped)
        try:
            list(DecisionFile(LOCAL, str(path), checks_pages=True).blocks())
        except StreamFilterError:
            caught += 1
    assert caught > 50


def test_a_footer_without_what_came_later(tmp_path: Path) -> None:
    """A file that was written before a header field existed reads with the field's default."""
    import orjson

    facts = facts_of(SMALL, place=(0, 0), block_bytes=9)
    (row,) = orjson.loads(footer_of([facts]))
    del row["epoch_closes_ms"]
    assert read_footer({FOOTER_KEY: orjson.dumps([row])}) == [facts]


def test_a_file_is_small(tmp_path: Path) -> None:
    """What all rows have in common costs next to nothing: a million alike take a few kilobytes."""
    from dataclasses import replace

    n = 100_000
    block = Block(
        header=replace(SMALL.header, rows=n, first_offset=0, last_offset=n - 1),
        offsets=np.arange(n),
        text_digests=np.full(n, 7, np.uint64),
        decisions=type(SMALL.decisions)(
            score=np.full(n, 0.25, np.float32),
            verdict=np.zeros(n, np.uint8),
            route=np.zeros(n, np.uint8),
            reason=np.zeros(n, np.uint8),
            probability=np.ones(n, np.float32),
        ),
    )
    data = encode_file([stored(block, facts_of(block, place=(0, 0), block_bytes=9))])
    assert data.size < 20_000
