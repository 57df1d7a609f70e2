"""The memory of a source partition: what must outlive a batch.

Only the partition's owner has it. It is made of parts, one for each kind of thing remembered; a
part is saved and loaded as entries of one shape, so that a new kind needs nothing but its class.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from stream_filter.core.chain import ChainEnd
from stream_filter.core.clock import PartitionClock
from stream_filter.core.entry import Entry
from stream_filter.core.folds import Folds
from stream_filter.core.novelty import NoveltyCounts
from stream_filter.core.spending import Spending
from stream_filter.core.worth import TextCounts


class MemoryPart(Protocol):
    """One kind of thing remembered. Bounded in entries; forgetting errs towards forwarding."""

    @property
    def kind(self) -> str:
        """Its name where it is saved. Never given to another kind."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """What the numbers of an entry are, in order. Never changed: they are stored."""
        ...

    def __len__(self) -> int:
        """How many entries it holds."""
        ...

    def changes(self) -> list[Entry]:
        """What changed since the last call, forgotten entries included."""
        ...

    def everything(self) -> list[Entry]:
        """All that it holds."""
        ...

    def apply(self, entries: Iterable[Entry]) -> None:
        """Take over what `changes` or `everything` gave. Raises ValueError where it cannot have
        come from there."""
        ...


class Memory:
    """All that one partition remembers. `apply(everything())` of one makes another equal to it,
    and so does each `changes()` in turn."""

    def __init__(self) -> None:
        self.clock = PartitionClock()
        self.novelty = NoveltyCounts()
        self.folds = Folds()
        self.spending = Spending()
        self.chain = ChainEnd()
        self.text_counts = TextCounts()
        """Only ranks records of equal score, and begins anew with each owner: not saved."""

    @property
    def parts(self) -> tuple[MemoryPart, ...]:
        return (self.clock, self.novelty, self.folds, self.spending, self.chain)

    def changes(self) -> dict[str, list[Entry]]:
        """By kind, without kinds that did not change."""
        found = {part.kind: part.changes() for part in self.parts}
        return {kind: entries for kind, entries in found.items() if entries}

    def everything(self) -> dict[str, list[Entry]]:
        """By kind."""
        return {part.kind: part.everything() for part in self.parts}

    def apply(self, entries: Mapping[str, Iterable[Entry]]) -> None:
        """Kinds that this version does not know are left out. Raises ValueError; the memory must
        not be used after that."""
        for part in self.parts:
            part.apply(entries.get(part.kind, ()))
