"""Small files of a day become large ones. The new file accounts for the range of those that it
replaces, so that a crash between writing and deleting doubles nothing."""

import io
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from stream_filter.store.decision_file import DecisionFile, StoredBlock, encode_file
from stream_filter.store.folder import Folder
from stream_filter.store.judgement_rows import encode_table
from stream_filter.store.stretches import Stretch

FEW_FILES = 8
"""Of a day that goes on, so many small files are left alone."""
LARGE_BYTES = 16 << 20
"""Files of this size are never rewritten: some four million decisions."""


def due(stretches: Iterable[Stretch], sizes: dict[str, int], *, today: str) -> list[list[Stretch]]:
    """Runs of small files that are to become one each, of the stretches that count. A day that is
    over is compacted whatever its number of files."""
    accounts: dict[tuple[str, str, str, int], list[Stretch]] = defaultdict(list)
    for stretch in sorted(stretches):
        accounts[stretch.key].append(stretch)
    found = []
    for of_account in accounts.values():
        least = FEW_FILES if of_account[0].day >= today else 2
        found += [run for run in _runs(of_account, sizes) if len(run) >= least]
    return found


def compact(folder: Folder, run: Sequence[Stretch]) -> Stretch:
    """Write one file in place of a run of them; the caller deletes these when readers may no longer
    want them. Raises StreamFilterError."""
    first = run[0]
    whole = Stretch(
        kind=first.kind,
        topic=first.topic,
        day=first.day,
        partition=first.partition,
        first=first.first,
        next=run[-1].next,
    )
    if first.kind == "decisions":
        data = encode_file(_blocks(folder, run))
    else:
        tables = [pq.read_table(io.BytesIO(folder.read(each.name) or b"")) for each in run]
        data = encode_table(pa.concat_tables(tables))
    folder.put(whole.name, data)
    return whole


def _blocks(folder: Folder, run: Sequence[Stretch]) -> Iterator[StoredBlock]:
    for stretch in run:
        yield from DecisionFile(folder.filesystem, folder.path(stretch.name)).rows()


def _runs(stretches: Sequence[Stretch], sizes: dict[str, int]) -> Iterator[list[Stretch]]:
    """Neighbours that together stay near `LARGE_BYTES`."""
    run: list[Stretch] = []
    total = 0
    for stretch in stretches:
        size = sizes[stretch.name]
        if run and (size >= LARGE_BYTES or total + size > 2 * LARGE_BYTES):
            yield run
            run, total = [], 0
        if size < LARGE_BYTES:
            run.append(stretch)
            total += size
    if run:
        yield run
