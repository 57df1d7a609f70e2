"""A partition's memory with its journal: how it is saved, bit by bit, and found again.

A save is a snapshot of everything, or what changed since the save before. Each is one or more
records of a compacted topic; keys return, so that compaction keeps the topic small:

    topic/partition/snapshot/<slot>/<piece>     two slots in turn
    topic/partition/changes/<number>/<piece>    numbers 1 to SAVES_PER_SNAPSHOT - 1

What was saved for offsets that were not committed is passed over, so that at least once a unit
that is repeated counts once.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from stream_filter.core.entry import Entry
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.memory import Memory
from stream_filter.gate.ports import MemoryCodec, MemoryPiece

SAVES_PER_SNAPSHOT = 100
PIECE_BYTES = 500_000
"""About the most that one record takes: less than any topic's default limit."""
_ENTRY_BYTES = 24
_GENERATIONS = 1 << 50
"""More than any gate writes: a piece that claims more is not ours."""


class MemoryRecord(NamedTuple):
    """A record of the memory topic."""

    key: bytes
    value: bytes


class PartitionMemory:
    """What one owner of a partition has in hand. Its first save is a snapshot."""

    def __init__(
        self,
        topic: str,
        partition: int,
        *,
        codec: MemoryCodec,
        generation: int = 0,
        slot: int = 1,
        supersedes: bool = False,
    ) -> None:
        """`generation`: the greatest that was ever seen; `slot`: of the snapshot that counts;
        `supersedes`: something was written that was not committed, and must not count when its
        offsets have been passed: the first save is made in any case."""
        self.memory = Memory()
        self.topic = topic
        self.partition = partition
        self._codec = codec
        self._generation = generation
        self._slot = slot
        self._saves = SAVES_PER_SNAPSHOT
        self._must_save = supersedes

    @property
    def entries(self) -> dict[str, int]:
        """How many entries are remembered, by kind."""
        return {part.kind: len(part) for part in self.memory.parts}

    def save(self, next_offset: int) -> list[MemoryRecord]:
        """The records that make the memory as it is now durable: none where nothing changed.
        `next_offset`: the source offset that is committed with them."""
        changes = self.memory.changes()
        if not changes and not self._must_save:
            return []
        self._must_save = False
        if self._saves >= SAVES_PER_SNAPSHOT:
            self._saves, self._generation, self._slot = 0, self._generation + 1, 1 - self._slot
            changes = self.memory.everything()
        number = self._saves
        self._saves += 1
        place = f"changes/{number}" if number else f"snapshot/{self._slot}"
        pieces = list(_pieces(changes))
        return [
            MemoryRecord(
                f"{self.topic}/{self.partition}/{place}/{index}".encode(),
                self._codec.encode(
                    MemoryPiece(
                        topic=self.topic,
                        partition=self.partition,
                        generation=self._generation,
                        slot=self._slot,
                        number=number,
                        piece=index,
                        pieces=len(pieces),
                        next_offset=next_offset,
                        entries=entries,
                    )
                ),
            )
            for index, entries in enumerate(pieces)
        ]


def recall(
    records: Mapping[bytes, bytes], source: tuple[str, int], *, up_to: int, codec: MemoryCodec
) -> tuple[PartitionMemory, list[str]]:
    """The memory of a source partition, from the latest value of each of its keys, and what of
    them could not be used. `up_to`: the committed offset."""
    alarms: list[str] = []
    saves: dict[tuple[int, int], dict[int, MemoryPiece]] = defaultdict(dict)
    for key, value in records.items():
        try:
            piece = codec.decode(value)
            if (piece.topic, piece.partition) != source or piece.generation >= _GENERATIONS:
                raise StreamFilterError("it is another partition's")
        except StreamFilterError as error:
            alarms.append(f"{key.decode(errors='replace')}: {error}")
            continue
        saves[piece.generation, piece.number][piece.piece] = piece

    latest = max((generation for generation, _ in saves), default=0)
    usable = {
        place: _join(pieces)
        for place, pieces in saves.items()
        if _is_whole(pieces) and all(piece.next_offset <= up_to for piece in pieces.values())
    }
    snapshot = max((generation for generation, number in usable if number == 0), default=None)
    slot = saves[snapshot, 0][0].slot if snapshot is not None else 1
    beyond = any(p.next_offset > up_to for pieces in saves.values() for p in pieces.values())

    def begin() -> PartitionMemory:
        return PartitionMemory(
            *source, codec=codec, generation=latest, slot=slot, supersedes=beyond
        )

    found = begin()
    try:
        number = 0
        while snapshot is not None and (snapshot, number) in usable:
            found.memory.apply(usable[snapshot, number])
            number += 1
    except ValueError as error:
        alarms.append(f"generation {snapshot}, save {number}: {error}; nothing is remembered")
        found = begin()
    return found, alarms


def _pieces(entries: Mapping[str, Sequence[Entry]]) -> Iterator[dict[str, list[Entry]]]:
    """Entries in portions of about PIECE_BYTES; at least one."""
    portion: dict[str, list[Entry]] = {}
    size = 0
    for kind, of_kind in entries.items():
        for entry in of_kind:
            portion.setdefault(kind, []).append(entry)
            # A character has at most four bytes in UTF-8.
            size += _ENTRY_BYTES + 9 * len(entry.numbers) + 4 * len(entry.text)
            if size >= PIECE_BYTES:
                yield portion
                portion, size = {}, 0
    yield portion


def _is_whole(pieces: Mapping[int, MemoryPiece]) -> bool:
    """A save of fewer pieces leaves the rest of an earlier one behind."""
    return 0 in pieces and all(index in pieces for index in range(pieces[0].pieces))


def _join(pieces: Mapping[int, MemoryPiece]) -> dict[str, list[Entry]]:
    joined: dict[str, list[Entry]] = {}
    for index in range(pieces[0].pieces):
        for kind, entries in pieces[index].entries.items():
            joined.setdefault(kind, []).extend(entries)
    return joined
