"""Ledger blocks, verdicts and certificates from their topics into the store, each exactly once.

1. the records from where the store ends are read, up to what is committed now,
2. each topic's and day's part of them is written as one file, whose name says what it accounts for,
3. the progress is written.

Killed anywhere, the next run reads from the progress on and leaves out, account by account, what
the files' names say is there. A file is written whole or not at all (`store/folder.py`).
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from aiokafka import TopicPartition

from stream_filter.app.archive_batch import Pending
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.catalogue import catalogue_name, save_catalogue
from stream_filter.store.compaction import compact, due
from stream_filter.store.folder import Folder
from stream_filter.store.progress import load_progress, save_progress
from stream_filter.store.stretches import Stretch, day_of, days_before, that_count

EVENTS_PER_FILE = 2_000_000
RECORDS_PER_FILE = 50_000
"""What is held in memory before it is written, of one partition."""


@dataclass(slots=True, kw_only=True)
class Archived:
    """What one pass did."""

    records: Counter[str] = field(default_factory=Counter)
    """By kind: decisions (blocks), verdicts, certificates, damaged."""
    events: int = 0
    files: int = 0
    compacted: int = 0
    """Files that became part of larger ones."""
    dropped_days: int = 0
    """Folders that retention took."""
    expired: dict[str, int] = field(default_factory=dict)
    """Offsets that the topic lost before they were archived, by topic/partition."""


class Archiver:
    """Of one store. Its caller holds the folder (`Folder.held`)."""

    def __init__(
        self,
        folder: Folder,
        settings: Settings,
        *,
        keep_days: int | None,
        clock_ms: Callable[[], int],
        known: Iterable[Stretch] = (),
    ) -> None:
        """`known`: of another store; what they account for is left out."""
        self._folder = folder
        self._settings = settings
        self._keep_days = keep_days
        self._clock_ms = clock_ms
        self._stretches: list[Stretch] = []
        self._known = list(known)

    async def run(self, reader: TopicReader) -> Archived:
        """One pass, up to what is committed when it begins. Raises StreamFilterError."""
        done = Archived()
        self._stretches, replaced = that_count(self._folder.files(""))
        for left_behind in replaced:
            self._folder.delete(left_behind.name)
        for kind, topic in _topics(self._settings, reader):
            await self._read(reader, kind, topic, done)
        await asyncio.to_thread(self._tidy, done)
        return done

    async def _read(self, reader: TopicReader, kind: str, topic: str, done: Archived) -> None:
        bounds = await reader.bounds(reader.partitions(topic))
        ranges, pending = {}, {}
        starts: dict[TopicPartition, int] = {}
        for source, (first, end) in bounds.items():
            at = load_progress(self._folder, topic, source.partition)
            if at > end:
                raise ConfigError(
                    f"store {self._folder.where!r}: has {topic}/{source.partition} up to {at}, and "
                    f"the topic ends at {end}: it is another one; give it a store of its own"
                )
            if first > at:
                done.expired[f"{topic}/{source.partition}"] = first - at
            starts[source] = at
            ranges[source] = (max(first, at), end)
            pending[source] = Pending(kind, topic)
        reached = dict(starts)
        async for source, records in reader.read(ranges):
            for record in records:
                pending[source].add(record)
            reached[source] = records[-1].offset + 1
            waiting = pending[source]
            span = reached[source] - starts[source]
            if waiting.events >= EVENTS_PER_FILE or span >= RECORDS_PER_FILE:
                await self._flush(source, waiting, (starts[source], reached[source]), done)
                starts[source] = reached[source]
                pending[source] = Pending(kind, topic)
        for source, waiting in pending.items():
            await self._flush(source, waiting, (starts[source], reached[source]), done)

    async def _flush(
        self, source: TopicPartition, pending: Pending, span: tuple[int, int], done: Archived
    ) -> None:
        if span[0] < span[1]:
            await asyncio.to_thread(self._write, source, pending, span, done)

    def _write(
        self, source: TopicPartition, pending: Pending, span: tuple[int, int], done: Archived
    ) -> None:
        for account in pending.accounts():
            key = (*account, source.partition)
            written = max(
                (s.next for s in [*self._stretches, *self._known] if s.key == key), default=0
            )
            first = max(span[0], written)
            found = pending.file(account, not_before=first)
            if found is None:
                continue
            records, data = found
            stretch = Stretch(
                kind=account.kind,
                topic=account.topic,
                day=account.day,
                partition=source.partition,
                first=first,
                next=span[1],
            )
            self._folder.put(stretch.name, data)
            self._stretches.append(stretch)
            done.files += 1
            done.records[account.kind] += records
            self._save_catalogue(stretch)
        done.events += pending.events
        save_progress(self._folder, source.topic, source.partition, span[1])

    def _save_catalogue(self, changed: Stretch) -> None:
        if changed.kind == "decisions":
            of_day = [
                s
                for s in self._stretches
                if (s.kind, s.topic, s.day) == (changed.kind, changed.topic, changed.day)
            ]
            save_catalogue(self._folder, changed.topic, changed.day, of_day)

    def _tidy(self, done: Archived) -> None:
        today = day_of(self._clock_ms())
        sizes = self._folder.sizes("")
        for run in due(self._stretches, sizes, today=today):
            whole = compact(self._folder, run)
            self._stretches = [s for s in self._stretches if s not in run] + [whole]
            self._save_catalogue(whole)
            for replaced in run:
                if replaced != whole:
                    self._folder.delete(replaced.name)
            done.compacted += len(run)
        if self._keep_days is not None:
            self._drop_old(self._keep_days, done)

    def _drop_old(self, keep_days: int, done: Archived) -> None:
        old = {
            (s.topic, s.day)
            for s in self._stretches
            if days_before(s.day, self._clock_ms()) > keep_days
        }
        for stretch in [s for s in self._stretches if (s.topic, s.day) in old]:
            self._folder.delete(stretch.name)
            self._stretches.remove(stretch)
        for topic, day in old:
            self._folder.delete(catalogue_name(topic, day))
        done.dropped_days += len(old)


def _topics(settings: Settings, reader: TopicReader) -> list[tuple[str, str]]:
    """What to archive: kind and topic. Verdicts and certificates where there are such topics."""
    reader.partitions(settings.ledger_topic)  # raises where there is none
    topics = [
        ("decisions", settings.ledger_topic),
        ("verdicts", settings.verdict_topic),
        ("certificates", settings.certificate_topic),
    ]
    return [(kind, topic) for kind, topic in topics if reader.has(topic)]
