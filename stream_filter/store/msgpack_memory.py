"""A piece of a partition's memory as MessagePack. Published in schemas/memory.schema.json."""

from typing import Annotated

import msgspec

from stream_filter.core.entry import Entry
from stream_filter.core.errors import StreamFilterError
from stream_filter.gate.ports import MemoryPiece

MEMORY_VERSION = "1"

_Count = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]


class MemoryDocument(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a record of the memory topic holds."""

    memory_version: str
    topic: str
    partition: _Count
    generation: _Count
    slot: Annotated[int, msgspec.Meta(ge=0, le=1)]
    number: _Count
    piece: _Count
    pieces: Annotated[int, msgspec.Meta(ge=1, lt=1 << 20)]
    next_offset: Annotated[int, msgspec.Meta(ge=0)]
    entries: dict[str, list[Entry]]


class MsgpackMemoryCodec:
    """The `MemoryCodec` port."""

    def __init__(self) -> None:
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(MemoryDocument)

    def encode(self, piece: MemoryPiece) -> bytes:
        document = MemoryDocument(
            memory_version=MEMORY_VERSION,
            topic=piece.topic,
            partition=piece.partition,
            generation=piece.generation,
            slot=piece.slot,
            number=piece.number,
            piece=piece.piece,
            pieces=piece.pieces,
            next_offset=piece.next_offset,
            entries={kind: list(entries) for kind, entries in piece.entries.items()},
        )
        return self._encoder.encode(document)

    def decode(self, data: bytes) -> MemoryPiece:
        """Raises StreamFilterError where `data` is no piece of this version."""
        try:
            found = self._decoder.decode(data)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            said = " ".join(str(error).split())[:200]
            raise StreamFilterError(f"not a piece of a memory: {said}") from error
        if found.memory_version != MEMORY_VERSION:
            raise StreamFilterError(
                f"memory version {found.memory_version[:20]!r}, this reads {MEMORY_VERSION!r}"
            )
        return MemoryPiece(
            topic=found.topic,
            partition=found.partition,
            generation=found.generation,
            slot=found.slot,
            number=found.number,
            piece=found.piece,
            pieces=found.pieces,
            next_offset=found.next_offset,
            entries=found.entries,
        )
