"""A Parquet file of decisions: whole blocks, the facts of each in the footer."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.store.block_facts import FOOTER_KEY, BlockFacts, footer_of, read_footer
from stream_filter.store.decision_rows import (
    BLOCK_COLUMNS,
    DECISION_ROWS,
    RUN_COLUMNS,
    block_of_rows,
    rows_of_block,
)

ROW_GROUP = 500_000
_PLAIN = ("offset",)
_OPTIONS = {
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": [name for name in DECISION_ROWS.names if name not in _PLAIN],
    # Offsets rise by small steps.
    "column_encoding": dict.fromkeys(_PLAIN, "DELTA_BINARY_PACKED"),
    "dictionary_pagesize_limit": 4 << 20,
    "write_page_checksum": True,
    "write_statistics": ["partition", "offset", "score", "decided_at", "ledger_offset"],
    "store_schema": False,
}
LABELS = [field.name for field in DECISION_ROWS if pa.types.is_dictionary(field.type)]
"""Read as dictionaries."""


class StoredBlock(NamedTuple):
    """A block's facts and its rows, as `DECISION_ROWS`."""

    facts: BlockFacts
    rows: pa.Table


def stored(block: Block, facts: BlockFacts) -> StoredBlock:
    """A block on its way into a file."""
    rows = rows_of_block(
        block, ledger_partition=facts.ledger_partition, ledger_offset=facts.ledger_offset
    )
    return StoredBlock(facts, pa.Table.from_batches([rows]))


def encode_file(blocks: Iterable[StoredBlock]) -> pa.Buffer:
    """The bytes of a file that holds these blocks, which come in the ledger's order. Rows are in
    row groups of about `ROW_GROUP`, in each by source partition and offset."""
    sink = pa.BufferOutputStream()
    facts: list[BlockFacts] = []
    with pq.ParquetWriter(sink, DECISION_ROWS, **_OPTIONS) as writer:
        for group in _groups(blocks):
            group.sort(key=lambda b: (b.facts.header.partition, b.facts.ledger_offset))
            facts += [block.facts for block in group]
            rows = pa.concat_tables([block.rows for block in group]).unify_dictionaries()
            writer.write_table(rows.combine_chunks(), row_group_size=max(1, rows.num_rows))
        writer.add_key_value_metadata({FOOTER_KEY.decode(): footer_of(facts).decode()})
    return sink.getvalue()


def _groups(blocks: Iterable[StoredBlock]) -> Iterator[list[StoredBlock]]:
    group: list[StoredBlock] = []
    size = 0
    for block in blocks:
        group.append(block)
        size += block.facts.header.rows
        if size >= ROW_GROUP:
            yield group
            group, size = [], 0
    if group:
        yield group


class DecisionFile:
    """One to be read. Every method raises StreamFilterError where it is damaged."""

    def __init__(self, filesystem: fs.FileSystem, path: str, *, checks_pages: bool = False) -> None:
        """`checks_pages`: compare every page with its checksum."""
        self._path = path
        with _translated(path):
            self._file = pq.ParquetFile(
                filesystem.open_input_file(path),
                read_dictionary=LABELS,
                page_checksum_verification=checks_pages,
            )
            self.facts = read_footer(self._file.metadata.metadata)
            if sum(each.header.rows for each in self.facts) != self._file.metadata.num_rows:
                raise ValueError("its rows are not those that its footer names")

    def whole(self) -> Iterator[tuple[StoredBlock, Block]]:
        """All blocks, with all columns of their rows and as they were written."""
        for stored_block in self.rows():
            yield stored_block, self._block(stored_block.rows, stored_block.facts)

    def rows(self) -> Iterator[StoredBlock]:
        """All blocks with their rows, in the file's order."""
        for group, facts in self._by_group():
            table = self._read(group, None)
            at = 0
            for each in facts:
                yield StoredBlock(each, table.slice(at, each.header.rows))
                at += each.header.rows

    def blocks(
        self, wanted: frozenset[tuple[int, int]] | None = None
    ) -> Iterator[tuple[BlockFacts, Block]]:
        """Blocks as they were written, in the file's order; of `wanted`, only those that stand at
        these places of the ledger topic."""
        for group, facts in self._by_group():
            if wanted is not None and not any(each.place in wanted for each in facts):
                continue
            table = self._read(group, BLOCK_COLUMNS)
            at = 0
            for each in facts:
                n = each.header.rows
                if wanted is None or each.place in wanted:
                    yield each, self._block(table.slice(at, n), each)
                at += n

    def runs(self, wanted: frozenset[tuple[int, int]]) -> Iterator[Block]:
        """The blocks of `wanted`, in the file's order and without rules, slices and challengers,
        joined as `columns` joins them."""
        for header, rows in self.columns(RUN_COLUMNS, wanted):
            yield self._made(rows, header, RUN_COLUMNS, None)

    def columns(
        self, names: Sequence[str], wanted: frozenset[tuple[int, int]]
    ) -> Iterator[tuple[BlockHeader, pa.Table]]:
        """Some columns of the blocks of `wanted`, in the file's order. Blocks that follow each
        other in a partition, of one pack, mask set and state of overload, come as one: its header
        is the first's, but for offsets and rows."""
        for group, facts in self._by_group():
            if not any(each.place in wanted for each in facts):
                continue
            table = self._read(group, names)
            at = 0
            for key, alike in groupby(facts, lambda each: _run_key(each, wanted)):
                headers = [each.header for each in alike]
                n = sum(header.rows for header in headers)
                if key is not None:
                    last = headers[-1].last_offset
                    yield replace(headers[0], last_offset=last, rows=n), table.slice(at, n)
                at += n

    def _read(self, group: int, columns: Sequence[str] | None) -> pa.Table:
        wanted = DECISION_ROWS.names if columns is None else list(columns)
        with _translated(self._path):
            table = self._file.read_row_group(group, columns=wanted, use_threads=False)
            for field in map(DECISION_ROWS.field, wanted):
                if field.nullable and field.name not in table.column_names:  # an older file's
                    table = table.append_column(field, pa.nulls(len(table), field.type))
            return table.select(wanted).combine_chunks()

    def _block(self, rows: pa.Table, facts: BlockFacts) -> Block:
        return self._made(rows, facts.header, BLOCK_COLUMNS, facts.challenger_model_id)

    def _made(
        self,
        rows: pa.Table,
        header: BlockHeader,
        names: Sequence[str],
        challenger_model_id: str | None,
    ) -> Block:
        with _translated(self._path):
            columns = {name: _whole(rows.column(name)) for name in names}
            return block_of_rows(columns, header, challenger_model_id=challenger_model_id)

    def _by_group(self) -> Iterator[tuple[int, list[BlockFacts]]]:
        waiting = iter(self.facts)
        for group in range(self._file.num_row_groups):
            left = self._file.metadata.row_group(group).num_rows
            found: list[BlockFacts] = []
            while left > 0:
                each = next(waiting, None)
                if each is None or each.header.rows > left:
                    raise StreamFilterError(f"damaged file {self._path}: a block is cut in two")
                found.append(each)
                left -= each.header.rows
            yield group, found


def _run_key(
    facts: BlockFacts, wanted: frozenset[tuple[int, int]]
) -> tuple[int, str, str, str] | None:
    header = facts.header
    if facts.place not in wanted:
        return None
    return header.partition, header.model_id, header.mask_set, header.overload


def _whole(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """What pyarrow raises over a damaged file, as one line; FileNotFoundError goes through."""
    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException, KeyError, ValueError, TypeError) as error:
        said = " ".join(str(error).split())[:200]
        raise StreamFilterError(f"damaged file {path}: {said}") from error
