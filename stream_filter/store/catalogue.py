"""The catalogue: the facts of all blocks of a topic's day in one small file, so that a question
opens only the files that it needs.

It is a copy of the footers, rebuilt from them where it is missing or behind: nothing is lost with
it.
"""

import io
from collections import defaultdict
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from stream_filter.store.block_facts import BLOCK_FACTS
from stream_filter.store.decision_file import DecisionFile
from stream_filter.store.folder import Folder
from stream_filter.store.stretches import Stretch

CATALOGUE = BLOCK_FACTS.insert(0, pa.field("file", pa.string(), nullable=False))
"""A row for each block; `file` is the name of the stretch that holds it."""


def catalogue_name(topic: str, day: str) -> str:
    """Where it stands in the store."""
    return f"catalogue/topic={topic}/day={day}/blocks.parquet"


def save_catalogue(folder: Folder, topic: str, day: str, stretches: Iterable[Stretch]) -> None:
    """Write the catalogue of a day that has these stretches."""
    sink = pa.BufferOutputStream()
    pq.write_table(_of_day(folder, topic, day, list(stretches)), sink, compression="zstd")
    folder.put(catalogue_name(topic, day), sink.getvalue())


def load_catalogue(folder: Folder, stretches: Iterable[Stretch]) -> pa.Table:
    """The facts of all blocks in these stretches of decisions, as `CATALOGUE`. Raises
    StreamFilterError where a file is damaged, FileNotFoundError where one was compacted away."""
    days: dict[tuple[str, str], list[Stretch]] = defaultdict(list)
    for stretch in stretches:
        days[stretch.topic, stretch.day].append(stretch)
    tables = [_of_day(folder, topic, day, found) for (topic, day), found in sorted(days.items())]
    return pa.concat_tables([CATALOGUE.empty_table(), *tables])


def _of_day(folder: Folder, topic: str, day: str, stretches: Sequence[Stretch]) -> pa.Table:
    wanted = {stretch.name for stretch in stretches}
    known = _read(folder, catalogue_name(topic, day))
    names = known.column("file").to_pylist()
    rows = known.filter(pa.array([name in wanted for name in names], pa.bool_()))
    missing = sorted(wanted - set(names))
    return pa.concat_tables([rows, *(_of_footer(folder, name) for name in missing)])


def _of_footer(folder: Folder, name: str) -> pa.Table:
    file = DecisionFile(folder.filesystem, folder.path(name))
    rows = [{"file": name, **facts.as_row()} for facts in file.facts]
    return pa.Table.from_pylist(rows, schema=CATALOGUE)


def _read(folder: Folder, name: str) -> pa.Table:
    data = folder.read(name)
    if data is None:
        return CATALOGUE.empty_table()
    try:
        found = pq.read_table(io.BytesIO(data))
        if found.schema.names == CATALOGUE.names:
            return found.cast(CATALOGUE)
    except (pa.ArrowException, OSError, ValueError):
        pass
    return CATALOGUE.empty_table()  # the footers have it all
