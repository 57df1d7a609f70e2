"""The ledger as it was recorded: its blocks, and one view for SQL."""

import tempfile
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from types import TracebackType
from typing import Any, Self, TypeVar

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_filter.audit.effective import effective_rows
from stream_filter.audit.snapshot import Snapshot, Window
from stream_filter.audit.views import connect, sql_problem
from stream_filter.core.errors import ConfigError
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.core.position import Position
from stream_filter.store.catalogue import CATALOGUE
from stream_filter.store.decision_file import DecisionFile

Item = TypeVar("Item")
Places = frozenset[tuple[int, int]]
"""Partition and offset of blocks in the ledger topic."""
_AHEAD = 8


class RecordedLedger:
    """Of one or two stores: the archive, and what is newer. Use as a context, or `close` it.

    Overtaken blocks of at-least-once delivery are left out of everything but `blocks`, where
    `is_effective` marks them. Not to be shared between threads.
    """

    def __init__(
        self, snapshots: Sequence[Snapshot], *, aside: "tempfile.TemporaryDirectory[str] | None"
    ) -> None:
        """`aside`: a folder that goes with it. Raises StreamFilterError."""
        self.snapshots = snapshots
        self._aside = aside
        tables = []
        for index, snapshot in enumerate(snapshots):
            found = snapshot.blocks()
            tables.append(found.append_column("store", pa.array(np.full(len(found), index))))
        empty = CATALOGUE.append(pa.field("store", pa.int64())).empty_table()
        blocks = pa.concat_tables([empty, *tables]).sort_by(
            [
                (name, "ascending")
                for name in ("topic", "partition", "first_offset", "ledger_offset")
            ]
        )
        self._blocks = blocks.append_column("is_effective", pa.array(effective_rows(blocks)))
        self._connection = connect(snapshots, self._blocks)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Its relations can no longer be read."""
        self._connection.close()
        if self._aside is not None:
            self._aside.cleanup()

    def sql(self, query: str) -> duckdb.DuckDBPyRelation:
        """Any SQL that reads the views `decisions`, `blocks`, `verdicts` and `certificates`:
        nothing else can be reached. Raises ConfigError."""
        with sql_problem("SQL"):
            found: duckdb.DuckDBPyRelation | None = self._connection.sql(query)
        if found is None:
            raise ConfigError("SQL: not a query: begin with SELECT")
        return found

    def relation(self, table: pa.Table) -> duckdb.DuckDBPyRelation:
        """A table to be asked beside the views."""
        return self._connection.from_arrow(table)

    def decisions(
        self,
        topic: str | None = None,
        window_ms: Window = (None, None),
        where: str | None = None,
    ) -> duckdb.DuckDBPyRelation:
        """The view `decisions`, of a topic, a window of decision time, and where a condition in SQL
        over its columns holds. Raises ConfigError."""
        found = self._within("decisions", topic, window_ms, "decided_at")
        return self.filtered(found, where)

    def verdicts(self, window_ms: Window = (None, None)) -> duckdb.DuckDBPyRelation:
        """The view `verdicts`, of a window of the time that they came."""
        return self._within("verdicts", None, window_ms, "at")

    def certificates(
        self, topic: str | None = None, window_ms: Window = (None, None)
    ) -> duckdb.DuckDBPyRelation:
        """The view `certificates`, of a topic and a window of the time that they were stated."""
        return self._within("certificates", topic, window_ms, "at")

    def blocks(self, topic: str | None = None, window_ms: Window = (None, None)) -> pa.Table:
        """A row for each block, by topic, partition and offset, as the published catalogue, and
        whether it is effective."""
        first, end = window_ms
        keep = np.ones(len(self._blocks), np.bool_)
        decided = self._blocks["decided_at_ms"].to_numpy()
        if topic is not None:
            keep &= np.array(self._blocks["topic"].to_pylist(), object) == topic
        if first is not None:
            keep &= decided >= first
        if end is not None:
            keep &= decided < end
        return self._blocks.filter(pa.array(keep))

    def read_blocks(
        self, topic: str, window_ms: Window = (None, None), partition: int | None = None
    ) -> Iterator[Block]:
        """The effective blocks of a topic by partition and offset, read file by file. Raises
        StreamFilterError."""
        table = self.effective_blocks(topic, window_ms, partition)
        places = table.select(["partition", "store", "file", "ledger_partition", "ledger_offset"])
        # Files of one partition follow each other: the ledger's order is the source's.
        runs: list[tuple[tuple[int, int, str], list[tuple[int, int]]]] = []
        for row in places.to_pylist():
            key = (row["partition"], row["store"], row["file"])
            if not runs or runs[-1][0] != key:
                runs.append((key, []))
            runs[-1][1].append((row["ledger_partition"], row["ledger_offset"]))
        for (_, store, file), wanted in runs:
            found = {
                facts.place: block
                for facts, block in self.snapshots[store].read(file, frozenset(wanted))
            }
            for place in wanted:
                yield found.pop(place)

    def read_runs(self, topic: str, window_ms: Window = (None, None)) -> Iterator[Block]:
        """The effective blocks of a topic, those of a partition by offset and joined where they
        follow each other: see `DecisionFile.runs`. Each file is read once, the next rows while some
        are worked on. Raises StreamFilterError."""
        return self._read_ahead(topic, window_ms, lambda file, wanted: file.runs(wanted))

    def read_columns(
        self, topic: str, names: Sequence[str], window_ms: Window = (None, None)
    ) -> Iterator[tuple[BlockHeader, pa.Table]]:
        """Some columns of the same: see `DecisionFile.columns`. Raises StreamFilterError."""
        return self._read_ahead(topic, window_ms, lambda file, wanted: file.columns(names, wanted))

    def _read_ahead(
        self, topic: str, window_ms: Window, read: Callable[[DecisionFile, Places], Iterator[Item]]
    ) -> Iterator[Item]:
        table = self.effective_blocks(topic, window_ms)
        order = ("store", "ledger_partition", "file", "ledger_offset")
        table = table.sort_by([(name, "ascending") for name in order])
        # Names rise with the offsets in the ledger, so each partition's blocks rise too, unless
        # two clocks disagreed about a day: then partition by partition.
        parts = [table]
        partitions, first = table["partition"].to_numpy(), table["first_offset"].to_numpy()
        if any((np.diff(first[partitions == p]) < 0).any() for p in np.unique(partitions)):
            parts = [
                table.filter(pa.array(partitions == p)).sort_by("first_offset")
                for p in np.unique(partitions)
            ]
        for part in parts:
            yield from ahead(self._read_in_turn(part, read))

    def _read_in_turn(
        self, table: pa.Table, read: Callable[[DecisionFile, Places], Iterator[Item]]
    ) -> Iterator[Item]:
        names = ("store", "file", "ledger_partition", "ledger_offset")
        rows = zip(*(table[name].to_pylist() for name in names), strict=True)
        for (store, file), places in groupby(rows, lambda row: row[:2]):
            wanted = frozenset((partition, offset) for _, _, partition, offset in places)
            yield from read(self.snapshots[store].opened(file), wanted)

    def effective_blocks(
        self, topic: str, window_ms: Window = (None, None), partition: int | None = None
    ) -> pa.Table:
        """As `blocks`, those that count."""
        table = self.blocks(topic, window_ms)
        table = table.filter(table["is_effective"])
        if partition is None:
            return table
        return table.filter(pa.array(table["partition"].to_numpy() == partition))

    def block_at(self, position: Position) -> Block | None:
        """The effective block that covers a position; None where the ledger has none."""
        row = self.facts_at(position)
        if row is None:
            return None
        wanted = frozenset({(row["ledger_partition"], row["ledger_offset"])})
        found = self.snapshots[int(row["store"])].read(str(row["file"]), wanted)
        return next(block for _, block in found)

    def facts_at(self, position: Position) -> dict[str, Any] | None:
        """The catalogue's row of the effective block that covers a position."""
        blocks = self._blocks
        keep = np.array(blocks["topic"].to_pylist(), object) == position.topic
        keep &= blocks["partition"].to_numpy() == position.partition
        keep &= blocks["first_offset"].to_numpy() <= position.offset
        keep &= blocks["last_offset"].to_numpy() >= position.offset
        keep &= blocks["is_effective"].to_numpy()
        rows: list[dict[str, Any]] = blocks.filter(pa.array(keep)).to_pylist()
        return rows[0] if rows else None

    def positions(
        self, topic: str, window_ms: Window = (None, None), where: str | None = None
    ) -> dict[int, NDArray[np.int64]]:
        """By partition, the offsets that a condition selects, ascending. Raises ConfigError."""
        chosen = self.decisions(topic, window_ms, where).project('"partition", "offset"')
        with sql_problem("--where"):
            columns = chosen.fetchnumpy()
        partitions, offsets = np.asarray(columns["partition"]), np.asarray(columns["offset"])
        return {
            int(p): np.sort(offsets[partitions == p]).astype(np.int64)
            for p in np.unique(partitions)
        }

    @staticmethod
    def filtered(relation: duckdb.DuckDBPyRelation, where: str | None) -> duckdb.DuckDBPyRelation:
        """Where one condition in SQL holds. Raises ConfigError for what is none."""
        if where is None:
            return relation
        with sql_problem("--where"):
            # The parser takes one expression and no statement.
            return relation.filter(where)

    def _within(
        self, view: str, topic: str | None, window_ms: Window, column: str
    ) -> duckdb.DuckDBPyRelation:
        found = self._connection.view(view)
        if topic is not None:
            found = found.filter(
                duckdb.ColumnExpression("topic") == duckdb.ConstantExpression(topic)
            )
        for bound, sign in zip(window_ms, (">=", "<"), strict=True):
            if bound is not None:
                found = found.filter(f'"{column}" {sign} epoch_ms({int(bound)})::TIMESTAMPTZ')
        return found


def ahead(items: Iterator[Item]) -> Iterator[Item]:
    """The same items, a few of them made in another thread while one is worked on."""
    with ThreadPoolExecutor(1) as thread:
        following = deque(thread.submit(next, items, None) for _ in range(_AHEAD))
        try:
            while (item := following.popleft().result()) is not None:
                following.append(thread.submit(next, items, None))
                yield item
        finally:
            for each in following:
                each.cancel()
