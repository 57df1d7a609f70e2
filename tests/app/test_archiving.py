"""The archiver, stopped between any two of its steps."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow.dataset as ds
import pytest
from aiokafka import TopicPartition

from stream_filter.app import archiving
from stream_filter.app.archiving import Archived, Archiver
from stream_filter.app.settings import load_settings
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.catalogue import load_catalogue
from stream_filter.store.decision_file import DecisionFile
from stream_filter.store.folder import Folder
from stream_filter.store.progress import progress_name
from stream_filter.store.stretches import that_count
from tests.store.test_arrow_block import SMALL

SETTINGS = load_settings(None, {})
LEDGER, VERDICTS = SETTINGS.ledger_topic, SETTINGS.verdict_topic
DAY_MS = 24 * 3600 * 1000
NOW_MS = SMALL.header.decided_at_ms + 2 * DAY_MS


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as the reader gives it."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None


class Topics:
    """Stands for a cluster: what a `TopicReader` is asked for by the archiver."""

    def __init__(self) -> None:
        self.records: dict[TopicPartition, list[Stored]] = {}
        self.first: dict[TopicPartition, int] = {}

    def add(self, topic: str, partition: int, value: bytes | None, at_ms: int) -> None:
        held = self.records.setdefault(TopicPartition(topic, partition), [])
        # Every third offset is a transaction's marker.
        offset = held[-1].offset + 1 + (len(held) % 3 == 0) if held else 0
        held.append(Stored(topic, partition, offset, at_ms, value))

    def has(self, topic: str) -> bool:
        return any(source.topic == topic for source in self.records)

    def partitions(self, topic: str) -> list[TopicPartition]:
        return sorted(source for source in self.records if source.topic == topic)

    async def bounds(
        self, sources: Iterable[TopicPartition]
    ) -> dict[TopicPartition, tuple[int, int]]:
        return {s: (self.first.get(s, 0), self.records[s][-1].offset + 1) for s in sources}

    async def read(
        self, ranges: Mapping[TopicPartition, tuple[int, int]]
    ) -> AsyncIterator[tuple[TopicPartition, list[Stored]]]:
        for source, (first, end) in ranges.items():
            inside = [r for r in self.records[source] if first <= r.offset < end]
            for at in range(0, len(inside), 3):
                yield source, inside[at : at + 3]


class Crash(BaseException):
    """The process ends here."""


class Fragile(Folder):
    """Ends the process after so many changes."""

    def __init__(self, where: str, changes: int) -> None:
        super().__init__(where)
        self.left = changes

    def put(self, name: str, data: Any) -> None:
        self._count()
        super().put(name, data)

    def delete(self, name: str) -> None:
        self._count()
        super().delete(name)

    def _count(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise Crash


def block_bytes(topic: str, partition: int, number: int, day: int) -> bytes:
    first = 1000 + 10 * number
    header = replace(
        SMALL.header,
        topic=topic,
        partition=partition,
        first_offset=first,
        last_offset=first + 9,
        decided_at_ms=SMALL.header.decided_at_ms + day * DAY_MS,
    )
    offsets = SMALL.offsets - 1_000 + first
    return ArrowLedgerCodec().encode(replace(SMALL, header=header, offsets=offsets))


def filled(*, rounds: range, topics: Topics | None = None) -> Topics:
    topics = topics or Topics()
    for number in rounds:
        for topic in ("a", "b"):
            data = block_bytes(topic, number % 2, number, number // 8)
            topics.add(LEDGER, number % 2, data, NOW_MS)
        if number % 4 == 0:
            topics.add(LEDGER, 0, b"no block", NOW_MS)
            verdict = {
                "sf-id": f"{number:032x}",
                "important": number % 3 == 0,
                "judge": {"name": "llm", "kind": "model"},
                "reason": "quotes the event",
            }
            topics.add(VERDICTS, 0, orjson.dumps(verdict), NOW_MS)
    return topics


def archive(topics: Topics, folder: Folder, keep_days: int | None = None) -> Archived:
    archiver = Archiver(folder, SETTINGS, keep_days=keep_days, clock_ms=lambda: NOW_MS)
    with folder.held():
        return asyncio.run(archiver.run(topics))  # type: ignore[arg-type]  # stands for a reader


def in_topics(topics: Topics, topic: str) -> list[tuple[int, int]]:
    return sorted(
        (r.partition, r.offset) for s in topics.partitions(topic) for r in topics.records[s]
    )


def in_store(folder: Folder) -> dict[str, list[tuple[int, int]]]:
    """What counts, by kind: places in the topics."""
    found: dict[str, list[tuple[int, int]]] = {"decisions": [], "verdicts": [], "damaged": []}
    for stretch in that_count(folder.files(""))[0]:
        path = folder.path(stretch.name)
        if stretch.kind == "decisions":
            for facts, block in DecisionFile(folder.filesystem, path).blocks():
                assert len(block.offsets) == facts.header.rows
                assert stretch.first <= facts.ledger_offset < stretch.next
                found["decisions"].append(facts.place)
        else:
            rows = ds.dataset(path).to_table(["topic_partition", "topic_offset"]).to_pylist()
            found[stretch.kind] += [(r["topic_partition"], r["topic_offset"]) for r in rows]
    return {kind: sorted(places) for kind, places in found.items()}


def assert_equal(topics: Topics, folder: Folder) -> None:
    stored = in_store(folder)
    assert sorted(stored["decisions"] + stored["damaged"]) == in_topics(topics, LEDGER)
    assert stored["verdicts"] == in_topics(topics, VERDICTS)
    counting, _ = that_count(folder.files("decisions"))
    catalogue = load_catalogue(folder, counting)
    places = zip(
        catalogue["ledger_partition"].to_pylist(),
        catalogue["ledger_offset"].to_pylist(),
        strict=True,
    )
    assert sorted(places) == stored["decisions"]


def test_a_crash_between_any_two_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the process ends, also while it compacts, the next one brings the store to what the
    topics hold: no record missing, none twice; and what counts was never a double in between."""
    monkeypatch.setattr(archiving, "RECORDS_PER_FILE", 10)
    topics = filled(rounds=range(3))
    archive(topics, Folder(str(tmp_path / "before")))
    filled(rounds=range(3, 8), topics=topics)
    changes = 0
    while True:
        folder = tmp_path / str(changes)
        shutil.copytree(tmp_path / "before", folder)
        try:
            archive(topics, Fragile(str(folder), changes))
        except Crash:
            stored = in_store(Folder(str(folder)))
            assert all(len(set(places)) == len(places) for places in stored.values())
            archive(topics, Folder(str(folder)))
            assert_equal(topics, Folder(str(folder)))
        else:
            break
        changes += 1
    assert changes > 20
    assert_equal(topics, Folder(str(folder)))


def test_lost_progress_doubles_nothing(tmp_path: Path) -> None:
    """Without its progress, and without its catalogue, the archiver reads all again and writes
    nothing twice."""
    topics, folder = filled(rounds=range(16)), Folder(str(tmp_path))
    archive(topics, folder)
    for name in folder.files("catalogue") + folder.files("progress"):
        folder.delete(name)
    done = archive(topics, folder)
    assert (done.files, sum(done.records.values())) == (0, 0)
    assert_equal(topics, folder)


def test_small_files_become_few(tmp_path: Path) -> None:
    """Days that are over end as one file an account; a day that goes on keeps a handful."""
    topics, folder = Topics(), Folder(str(tmp_path))
    for number in range(24):
        archive(filled(rounds=range(number, number + 1), topics=topics), folder)
    counting, replaced = that_count(folder.files("decisions"))
    assert not replaced
    by_account: dict[Any, int] = {}
    for stretch in counting:
        by_account[stretch.key] = by_account.get(stretch.key, 0) + 1
    assert max(by_account.values()) <= 8
    assert max(n for (_, _, day, _), n in by_account.items() if day < "2025-11-26") == 1
    assert_equal(topics, folder)


def test_retention(tmp_path: Path) -> None:
    """Days older than asked are dropped, and do not come back."""
    topics, folder = filled(rounds=range(24)), Folder(str(tmp_path))
    assert archive(topics, folder, keep_days=1).dropped_days == 2
    assert archive(topics, folder, keep_days=1).dropped_days == 0
    days = {s.day for s in that_count(folder.files("decisions"))[0]}
    assert len(days) == 2


def test_words_of_the_analyst_stay_out(tmp_path: Path) -> None:
    """The store holds no payload: what an analyst says in words may quote one."""
    topics, folder = filled(rounds=range(8)), Folder(str(tmp_path))
    archive(topics, folder)
    stored = b"".join(Path(folder.path(name)).read_bytes() for name in folder.files(""))
    assert b"quotes the event" not in stored


def test_what_expired_is_said(tmp_path: Path) -> None:
    """Offsets that the ledger topic lost before a pass are named."""
    topics = filled(rounds=range(8))
    topics.first[TopicPartition(LEDGER, 1)] = 3
    assert archive(topics, Folder(str(tmp_path))).expired == {f"{LEDGER}/1": 3}


def test_another_topic_of_that_name(tmp_path: Path) -> None:
    """A topic that ends before the store does was created anew: refused, not skipped."""
    archive(filled(rounds=range(8)), Folder(str(tmp_path)))
    with pytest.raises(ConfigError, match="it is another one"):
        archive(filled(rounds=range(2)), Folder(str(tmp_path)))


def test_two_archivers(tmp_path: Path) -> None:
    """A second process is refused while one has the store."""
    folder = Folder(str(tmp_path))
    with folder.held(), pytest.raises(ConfigError, match="another process"):
        archive(filled(rounds=range(2)), Folder(str(tmp_path)))


def test_damaged_progress(tmp_path: Path) -> None:
    """One line says what to do."""
    topics, folder = filled(rounds=range(4)), Folder(str(tmp_path))
    archive(topics, folder)
    folder.put(progress_name(LEDGER, 0), b"{")
    with pytest.raises(StreamFilterError, match="delete it"):
        archive(topics, folder)


def test_a_foreign_block_cannot_leave_the_store(tmp_path: Path) -> None:
    """A topic's name that is a path is archived as damaged."""
    topics, folder = Topics(), Folder(str(tmp_path / "store"))
    topics.add(LEDGER, 0, block_bytes("../../evil", 0, 0, 0), NOW_MS)
    topics.add(LEDGER, 0, block_bytes("..", 0, 0, 0), NOW_MS)
    assert archive(topics, folder).records == {"damaged": 2}
    assert [p.name for p in tmp_path.iterdir()] == ["store"]
