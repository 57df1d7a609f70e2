"""What a partition remembers survives its owner, and nothing that it finds can harm the next."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.occurrences import Occurrences
from stream_filter.gate import partition_memory
from stream_filter.gate.partition_memory import (
    PIECE_BYTES,
    SAVES_PER_SNAPSHOT,
    MemoryRecord,
    PartitionMemory,
    recall,
)
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec

CODEC = MsgpackMemoryCodec()
SOURCE = ("logs", 3)


def fresh() -> PartitionMemory:
    return PartitionMemory(*SOURCE, codec=CODEC)


def see(memory: PartitionMemory, digests: Sequence[int], at: int) -> int:
    """One unit of work in which these texts would be dropped; how many of them are novel."""
    batch = Occurrences(
        offsets=np.arange(at, at + len(digests)),
        codes=np.arange(len(digests), dtype=np.int32),
        digests=np.array(digests, np.uint64),
        texts=["text"] * len(digests),
    )
    novel = memory.memory.novelty.take_first(batch, np.ones(len(digests), np.bool_), 1)
    return int(novel.sum())


def known(memory: PartitionMemory) -> set[int]:
    return {entry.key for entry in memory.memory.novelty.everything()}


class Topic:
    """The memory topic: a log that compaction may thin out."""

    def __init__(self) -> None:
        self.latest: dict[bytes, bytes] = {}
        self.written = 0

    def write(self, records: Sequence[MemoryRecord]) -> None:
        self.latest.update(records)
        self.written += len(records)

    def recall(self, up_to: int) -> PartitionMemory:
        found, alarms = recall(self.latest, SOURCE, up_to=up_to, codec=CODEC)
        assert alarms == []
        return found


UNITS = st.lists(
    st.tuples(
        st.lists(st.integers(1, 40), min_size=1, max_size=5, unique=True),
        st.sampled_from(["committed", "committed", "new owner", "written, not committed"]),
    ),
    max_size=40,
)


@settings(max_examples=60)
@given(UNITS, st.integers(1, 6))
def test_a_new_owner_knows_what_was_committed(
    units: list[tuple[list[int], str]], saves: int
) -> None:
    """Exactly what was committed is known after each change of owner, however often a snapshot is
    due, and although units were written that never were committed (at least once)."""
    partition_memory.SAVES_PER_SNAPSHOT, before = saves, partition_memory.SAVES_PER_SNAPSHOT
    try:
        topic, memory, at = Topic(), fresh(), 0
        committed: set[int] = set()
        for digests, then in units:
            see(memory, digests, at)
            topic.write(memory.save(at + len(digests)))
            if then == "written, not committed":
                memory = topic.recall(up_to=at)
            else:
                at += len(digests)
                committed |= set(digests)
                if then == "new owner":
                    memory = topic.recall(up_to=at)
            assert known(memory) == committed
        assert known(topic.recall(up_to=at)) == committed
        assert len(topic.latest) <= saves + 2, "keys return: compaction bounds the topic"
    finally:
        partition_memory.SAVES_PER_SNAPSHOT = before


def test_nothing_new_is_not_written() -> None:
    """A unit in which nothing changed writes nothing."""
    memory = fresh()
    assert memory.save(0) == []
    see(memory, [1], 0)
    assert len(memory.save(1)) == 1
    see(memory, [1], 1)
    assert memory.save(2) == []


def test_changes_are_small() -> None:
    """Between snapshots only what changed is written."""
    memory = fresh()
    see(memory, range(1, 5_000), 0)
    (snapshot,) = memory.save(10_000)
    see(memory, [20_000], 10_000)
    (changes,) = memory.save(10_001)
    assert snapshot.key == b"logs/3/snapshot/0/0"
    assert changes.key == b"logs/3/changes/1/0"
    assert len(changes.value) < 300 < len(snapshot.value)
    for n in range(SAVES_PER_SNAPSHOT - 2):
        see(memory, [30_000 + n], 10_001 + n)
        memory.save(10_002 + n)
    see(memory, [40_000], 20_000)
    assert memory.save(20_001)[0].key == b"logs/3/snapshot/1/0"


def test_large_memories_are_cut() -> None:
    """No record of the memory topic is larger than any topic takes; all pieces make the whole."""
    topic, memory = Topic(), fresh()
    texts = range(1, 60_000)
    see(memory, texts, 0)
    records = memory.save(60_000)
    assert len(records) > 3
    assert max(len(record.value) for record in records) <= PIECE_BYTES
    topic.write(records)
    assert known(topic.recall(up_to=60_000)) == set(texts)
    del topic.latest[records[1].key]
    assert known(topic.recall(up_to=60_000)) == set(), "a snapshot with a gap is none"


def test_beyond_the_committed_offset() -> None:
    """Where offsets were moved back by hand, what came after them is not remembered; and it does
    not come back when the offsets are passed again."""
    topic, memory = Topic(), fresh()
    see(memory, [1], 0)
    topic.write(memory.save(100))
    again = topic.recall(up_to=50)
    assert known(again) == set()
    see(again, [2], 50)
    topic.write(again.save(60))
    assert known(topic.recall(up_to=200)) == {2}


def damage(topic: Topic, key: bytes, value: bytes) -> tuple[PartitionMemory, list[str]]:
    return recall({**topic.latest, key: value}, SOURCE, up_to=1_000, codec=CODEC)


@pytest.fixture
def two_saves() -> Topic:
    """A snapshot with text 1, changes with text 2, changes with text 3."""
    topic, memory = Topic(), fresh()
    for n in (1, 2, 3):
        see(memory, [n], n)
        topic.write(memory.save(n))
    return topic


def test_damaged_changes(two_saves: Topic) -> None:
    """What comes after damaged changes is not applied, and an alarm says so: less is known, so
    more is forwarded."""
    memory, (alarm,) = damage(two_saves, b"logs/3/changes/1/0", b"\x00garbage")
    assert known(memory) == {1}
    assert "logs/3/changes/1/0" in alarm


def test_damaged_snapshot(two_saves: Topic) -> None:
    """Without its snapshot nothing is remembered; the next save begins anew, above all that is
    there."""
    memory, alarms = damage(two_saves, b"logs/3/snapshot/0/0", b"")
    assert (known(memory), len(alarms)) == (set(), 1)
    see(memory, [9], 5)
    two_saves.write(memory.save(6))
    assert known(two_saves.recall(up_to=6)) == {9}


def test_impossible_entries(two_saves: Topic) -> None:
    """Well-formed nonsense is an alarm, and nothing is remembered."""
    piece = CODEC.decode(two_saves.latest[b"logs/3/changes/1/0"])
    entries = {"novelty": [piece.entries["novelty"][0]._replace(numbers=(-5, 1))]}
    bad = CODEC.encode(
        partition_memory.MemoryPiece(
            **{name: getattr(piece, name) for name in piece.__slots__ if name != "entries"},
            entries=entries,
        )
    )
    memory, (alarm,) = damage(two_saves, b"logs/3/changes/1/0", bad)
    assert known(memory) == set()
    assert "nothing is remembered" in alarm


def test_another_partitions_piece(two_saves: Topic) -> None:
    """A piece under the wrong key is not taken for one's own."""
    other = PartitionMemory("logs", 4, codec=CODEC)
    see(other, [77], 0)
    ((_, value),) = other.save(1)
    memory, (alarm,) = damage(two_saves, b"logs/3/snapshot/1/0", value)
    assert known(memory) == {1, 2, 3}
    assert "another partition's" in alarm


def test_kinds_of_later_versions(two_saves: Topic) -> None:
    """A kind that this version does not know is passed over."""
    piece = CODEC.decode(two_saves.latest[b"logs/3/changes/2/0"])
    extended = {**piece.entries, "later": [piece.entries["novelty"][0]]}
    value = CODEC.encode(
        partition_memory.MemoryPiece(
            **{name: getattr(piece, name) for name in piece.__slots__ if name != "entries"},
            entries=extended,
        )
    )
    memory, alarms = damage(two_saves, b"logs/3/changes/2/0", value)
    assert (known(memory), alarms) == ({1, 2, 3}, [])


@given(st.dictionaries(st.binary(max_size=30), st.binary(max_size=60), max_size=5))
def test_garbage(records: dict[bytes, bytes]) -> None:
    """Whatever the memory topic holds, a partition starts, with an alarm for each piece."""
    memory, alarms = recall(records, SOURCE, up_to=10, codec=CODEC)
    assert known(memory) == set()
    assert len(alarms) == len(records)
