"""The newest minutes: what stands in the topics and not yet in the store, archived aside for as
long as a question is asked."""

import time
from collections.abc import Sequence

from aiokafka import TopicPartition

from stream_filter.app.archiving import Archiver
from stream_filter.app.settings import Settings
from stream_filter.audit.snapshot import Snapshot, Window
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.folder import Folder
from stream_filter.store.progress import load_progress, save_progress

_LATE_MS = 60_000
"""A block is decided before it is written, by another clock."""


async def archive_newest(
    settings: Settings, aside: Folder, *, store: Snapshot | None, window_ms: Window
) -> None:
    """Bring into `aside` what `store` does not have, or of a window where there is no store. Raises
    StreamFilterError."""
    async with TopicReader(settings.connection()) as reader:
        topics = [settings.ledger_topic, settings.verdict_topic, settings.certificate_topic]
        for topic in filter(reader.has, topics):
            sources = reader.partitions(topic)
            starts = (
                {s: load_progress(store.folder, topic, s.partition) for s in sources}
                if store is not None
                else await _starts(reader, sources, window_ms[0])
            )
            for source, at in starts.items():
                save_progress(aside, topic, source.partition, at)
        archiver = Archiver(
            aside,
            settings,
            keep_days=None,
            clock_ms=lambda: int(time.time() * 1000),
            known=store.stretches if store else (),
        )
        await archiver.run(reader)


async def _starts(
    reader: TopicReader, sources: Sequence[TopicPartition], first_ms: int | None
) -> dict[TopicPartition, int]:
    bounds = await reader.bounds(sources)
    if first_ms is None:
        return {source: first for source, (first, _) in bounds.items()}
    found = await reader.offsets_at(sources, max(0, first_ms - _LATE_MS))
    # Nothing is as new as that: nothing is to be read.
    return {s: end if found[s] is None else found[s] or 0 for s, (_, end) in bounds.items()}
