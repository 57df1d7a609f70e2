"""What the gate needs from outside. Each port fits on a screen and states its guarantees."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ledger import Block


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """The canonical texts of a batch of n values."""

    distinct: list[str]
    codes: NDArray[np.int32]
    """Shape (n,): index into `distinct`, or -1 where there is no text to read."""
    causes: dict[int, str]
    """Why a value cannot be decoded, by its index in the batch."""


class TextReader(Protocol):
    """Turns values into canonical texts. Never raises for what a value holds; what a value reads
    as depends on that value alone."""

    def read(self, values: Sequence[bytes | None]) -> Texts: ...


class Scorer(Protocol):
    """The model. Thread-safe, and a text's score does not depend on its neighbours."""

    @property
    def model_id(self) -> str:
        """The id of the pack in force; empty where none is loaded."""
        ...

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores in [0, 1], shape (n,). Raises ScorerError where the model gives none."""
        ...


class LedgerCodec(Protocol):
    """Writes a block as bytes that anyone can read by the published schema."""

    def encode(self, block: Block) -> bytes: ...
