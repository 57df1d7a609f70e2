"""What is told to whoever watches: logs, metrics, health. Every method returns at once."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from stream_filter.gate.batch import Outcome, Settlement


class Observer(Protocol):
    """Told by the data plane. Implementations never raise and never block."""

    def group_joined(self, partitions: int) -> None:
        """The group has settled; so many partitions are this worker's."""
        ...

    def partition_assigned(self, topic: str, partition: int, next_offset: int) -> None: ...

    def memory_recalled(
        self, topic: str, partition: int, entries: Mapping[str, int], problems: Sequence[str]
    ) -> None:
        """What the partition remembers, by kind, and what of it could not be read."""
        ...

    def partition_released(self, topic: str, partition: int, *, clean: bool) -> None: ...

    def batch_committed(
        self, outcome: Outcome, *, source_bytes: int, poll_s: float, deliver_s: float, lag: int
    ) -> None:
        """A unit of work is durable. `lag`: records of the partition not yet read."""
        ...

    def partition_settled(self, settlement: Settlement) -> None:
        """An idle partition's fold summaries are durable."""
        ...

    def unit_failed(self, topic: str, partition: int, error: Exception, retry_in_s: float) -> None:
        """A unit of work is void and will be taken up again from the committed offset."""
        ...

    def offsets_expired(self, topic: str, partition: int, lost: int) -> None:
        """Retention took records before they were read."""
        ...

    def plane_failed(self, error: Exception, retry_in_s: float) -> None:
        """The consumer broke and will be made anew."""
        ...
