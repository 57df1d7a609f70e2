"""What the gate needs from outside. Each port fits on a screen and states its guarantees."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.entry import Entry
from stream_filter.core.ledger import Block
from stream_filter.core.template import FieldPath


class Record(Protocol):
    """A record as Kafka's client delivers it."""

    @property
    def offset(self) -> int: ...
    @property
    def timestamp(self) -> int:
        """Unix milliseconds; -1 where the producer gave none."""
        ...

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> Sequence[tuple[str, bytes | None]]: ...


@dataclass(frozen=True, slots=True)
class FieldRead:
    """A field that rules read."""

    path: FieldPath
    """() is the whole value, for plain text."""
    as_object: bool = False
    """Only whether an object stands there: True or missing. Its members need not be built."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A field of n records, each with a type of its own. Null reads as missing."""

    codes: NDArray[np.int32]
    """Shape (n,): index into `values`, or -1 where a record has no such field."""
    values: list[object]
    """str, bool, int, float (finite), list and dict as JSON has them; all but lists and
    dicts stand once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The canonical texts of a batch of n values."""

    distinct: list[str]
    codes: NDArray[np.int32]
    """Shape (n,): index into `distinct`, or -1 where there is no text to read."""
    causes: dict[int, str]
    """Why a value cannot be decoded, by its index in the batch."""
    is_cut: NDArray[np.bool_] | None = None
    """Shape (n,): not all of the text was read, since it is too long; None where that holds for
    none."""
    columns: Sequence[Column] = ()
    """One for each field that rules read."""


class TextReader(Protocol):
    """Turns values into canonical texts. Never raises for what a value holds; what a value reads
    as depends on that value alone."""

    def read(self, values: Sequence[bytes | None]) -> Texts: ...


class RuleSet(Protocol):
    """The rules of one topic. Never raises for what a record holds; which rule decides a record
    depends on that record alone. Thread-safe."""

    @property
    def reads(self) -> tuple[FieldRead, ...]:
        """The fields that the rules read."""
        ...

    def first_match(
        self, records: Sequence[Record], columns: Sequence[Column]
    ) -> NDArray[np.int16]:
        """The index of the first rule that holds for each of n records, or -1: shape (n,).

        `columns`: one for each of `reads`, of length n.
        """
        ...


class Scorer(Protocol):
    """The model. Thread-safe, and a text's score does not depend on its neighbours."""

    @property
    def model_id(self) -> str:
        """The id of the pack in force; empty where none is loaded."""
        ...

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores in [0, 1], shape (n,). Raises ScorerError where the model gives none."""
        ...

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `score`, by the model's cheap first stage alone: another number for the same text.
        Raises ScorerError where the model has no such stage."""
        ...


class LedgerCodec(Protocol):
    """Writes a block as bytes that anyone can read by the published schema."""

    def encode(self, block: Block) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryPiece:
    """A piece of a saved memory: of a snapshot, or of the changes of one unit of work."""

    topic: str
    partition: int
    generation: int
    """Counts the snapshots; changes belong to the snapshot of their generation."""
    slot: int
    """Where the snapshot stands: 0 or 1, in turn, so that a new one never replaces the one that
    still counts."""
    number: int
    """0: of a snapshot. Else of the changes that came after it as number 1, 2, …"""
    piece: int
    """Which of `pieces`, from 0."""
    pieces: int
    next_offset: int
    """What it holds is true when all source offsets before this one are committed."""
    entries: Mapping[str, Sequence[Entry]]
    """By kind."""


class MemoryCodec(Protocol):
    """Writes a piece of a memory as bytes, and reads it."""

    def encode(self, piece: MemoryPiece) -> bytes: ...

    def decode(self, data: bytes) -> MemoryPiece:
        """Raises StreamFilterError where `data` is none, whatever it holds."""
        ...
