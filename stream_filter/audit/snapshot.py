"""What one store holds at a moment: its files as they count, and the blocks in them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import pyarrow as pa
import pyarrow.dataset as ds

from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block
from stream_filter.store.block_facts import BlockFacts
from stream_filter.store.catalogue import load_catalogue
from stream_filter.store.decision_file import LABELS, DecisionFile, StoredBlock
from stream_filter.store.decision_rows import DECISION_ROWS
from stream_filter.store.folder import Folder
from stream_filter.store.judgement_rows import JUDGEMENTS
from stream_filter.store.stretches import Stretch, day_of, that_count

Window = tuple[int | None, int | None]
"""Of decision time, Unix milliseconds: from, and before; None where open."""
_DAY_MS = 24 * 60 * 60 * 1000
_PLACED = [pa.field("topic", pa.string()), pa.field("day", pa.string())]
"""What the folders' names say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Of a folder. A file that was compacted away since raises StreamFilterError."""

    folder: Folder
    stretches: Sequence[Stretch]

    @classmethod
    def of(cls, folder: Folder, *, topic: str | None, window_ms: Window) -> Self:
        """What counts now of a topic and a window, whole days and one to each side."""
        first, end = window_ms
        since = "" if first is None else day_of(first - _DAY_MS)
        until = "9999" if end is None else day_of(end + _DAY_MS)
        counting, _ = that_count(folder.files(""))
        return cls(
            folder=folder,
            stretches=[
                s
                for s in counting
                if since <= s.day <= until
                # A verdict does not say which topic it is on.
                and (topic is None or s.topic == topic or s.kind in ("verdicts", "damaged"))
            ],
        )

    def blocks(self) -> pa.Table:
        """The catalogue of its decisions."""
        with _compacted():
            return load_catalogue(self.folder, self._of_kind("decisions"))

    def read(
        self, name: str, wanted: frozenset[tuple[int, int]]
    ) -> Iterator[tuple[BlockFacts, Block]]:
        """The blocks of a file that stand at these places of the ledger topic."""
        yield from self.opened(name).blocks(wanted)

    def opened(self, name: str) -> DecisionFile:
        """A file of decisions."""
        with _compacted():
            return DecisionFile(self.folder.filesystem, self.folder.path(name))

    def whole(self, stretch: Stretch) -> Iterator[tuple[StoredBlock, Block]]:
        """All that a file holds, each page compared with its checksum."""
        with _compacted():
            path = self.folder.path(stretch.name)
            file = DecisionFile(self.folder.filesystem, path, checks_pages=True)
        yield from file.whole()

    def footer(self, stretch: Stretch) -> list[BlockFacts]:
        """The facts that a file itself holds."""
        with _compacted():
            return DecisionFile(self.folder.filesystem, self.folder.path(stretch.name)).facts

    def dataset(self, kind: str) -> ds.Dataset:
        """All rows of a kind, with topic and day."""
        rows = DECISION_ROWS if kind == "decisions" else JUDGEMENTS[kind]
        stretches = self._of_kind(kind)
        schema = pa.schema([*_PLACED, *rows])
        if not stretches:
            return ds.dataset(schema.empty_table())
        return ds.FileSystemDataset.from_paths(
            [self.folder.path(s.name) for s in stretches],
            schema=schema,
            format=ds.ParquetFileFormat(dictionary_columns=LABELS if kind == "decisions" else None),
            filesystem=self.folder.filesystem,
            partitions=[
                (ds.field("topic") == s.topic) & (ds.field("day") == s.day) for s in stretches
            ],
        )

    def _of_kind(self, kind: str) -> list[Stretch]:
        return [s for s in self.stretches if s.kind == kind]


class _compacted:
    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise StreamFilterError("the store was compacted meanwhile: ask again") from error
