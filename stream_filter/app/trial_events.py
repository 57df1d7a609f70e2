"""Real events for a trial: the lines of a file, or the last records of a topic."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from stream_filter.app.line_file import numbered_lines
from stream_filter.app.rehearsal import RehearsedRecord
from stream_filter.core.errors import ConfigError
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.ports import Record
from stream_filter.kafka.reader import TopicReader

AnyRecord = TypeVar("AnyRecord", bound=Record)


def file_batches(path: Path, topic: str, *, batch_records: int) -> Iterator[RecordBatch]:
    """The lines of a file as records of partition 0 of a topic, at timestamp 0, the first line at
    offset 0. `-` is stdin; gzip is told by its first bytes. Blank lines are no events.

    Raises ConfigError: not readable, damaged gzip, a line over 64 MiB.
    """
    records: list[RehearsedRecord] = []
    for number, line in numbered_lines(path):
        if line.strip():
            records.append(RehearsedRecord(offset=number - 1, value=line))
        if len(records) == batch_records:
            yield _batch(topic, 0, records)
            records = []
    if records:
        yield _batch(topic, 0, records)


async def topic_batches(
    reader: TopicReader, topic: str, *, last: int, partition: int | None, batch_records: int
) -> AsyncIterator[RecordBatch]:
    """The last records of a topic or of one partition: partition after partition, in offset
    order. Raises ConfigError or BrokerError.

    Several partitions give equal parts, as far as they have them. Offsets without a record
    (compaction, transaction markers) count.
    """
    sources = reader.partitions(topic)
    if partition is not None:
        sources = [source for source in sources if source.partition == partition]
        if not sources:
            raise ConfigError(f"topic {topic!r} has no partition {partition}")
    bounds = await reader.bounds(sources)
    ranges = last_offsets({s.partition: bounds[s] for s in sources}, last)
    for source in sources:
        async for _, records in reader.read({source: ranges[source.partition]}):
            for at in range(0, len(records), batch_records):
                yield _batch(topic, source.partition, records[at : at + batch_records])


def last_offsets(bounds: Mapping[int, tuple[int, int]], last: int) -> dict[int, tuple[int, int]]:
    """The last offsets [first, next) of each partition: together `last`, or all that there are;
    equal parts, but for what a shorter partition cannot give."""
    ranges: dict[int, tuple[int, int]] = {}
    left = last
    # The shortest first: what it cannot give is shared by those after it.
    order = sorted(bounds, key=lambda p: (bounds[p][1] - bounds[p][0], p))
    for index, p in enumerate(order):
        first, end = bounds[p]
        taken = min(end - first, -(-left // (len(order) - index)))
        ranges[p] = (end - taken, end)
        left -= taken
    return ranges


def _batch(topic: str, partition: int, records: Sequence[AnyRecord]) -> RecordBatch:
    return RecordBatch(
        topic=topic,
        partition=partition,
        first_offset=records[0].offset,
        next_offset=records[-1].offset + 1,
        records=records,
    )
