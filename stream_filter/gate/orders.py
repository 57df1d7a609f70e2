"""The ports of the control plane: orders go to the workers, reports come back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol

from stream_filter.core.orders import Order, Report


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderRecord:
    """A record of the order log of this group, or one that nobody can read."""

    position: str
    appended_ms: int
    """By the log's clock."""
    order: Order | None
    problem: str
    """Why there is no order in it; else empty."""


class OrderListener(Protocol):
    """Told by `OrderLog.follow`. Returns at once and never raises."""

    def order_heard(self, record: OrderRecord) -> None:
        """The next record, in log order; also those that cannot be read, and that do not count."""
        ...

    def caught_up(self) -> None:
        """What the log held at the beginning was heard."""
        ...

    def log_lost(self, error: Exception) -> None:
        """The log cannot be read now; it is tried again."""
        ...


class OrderLog(Protocol):
    """All orders ever given to the group, in one order for everybody; none is forgotten."""

    async def read(self) -> list[OrderRecord]:
        """From the first to the last. Raises BrokerError or ConfigError."""
        ...

    async def append(self, order: Order) -> OrderRecord:
        """Give an order; durable when this returns. Whether it counts is seen by reading.
        Raises BrokerError or ConfigError."""
        ...

    async def follow(self, listener: OrderListener) -> None:
        """From the first order on, and then as they come, until cancelled. A log that cannot be
        read is tried again without end, from where it stopped: nothing is heard twice."""
        ...


class ReportBoard(Protocol):
    """What the workers say. Old reports are forgotten."""

    async def write(self, report: Report) -> None:
        """Raises BrokerError or ConfigError."""
        ...

    def follow(self) -> AsyncIterator[list[Report]]:
        """The latest reports, and then as they come; now and then an empty list where nothing
        came. Raises BrokerError or ConfigError."""
        ...
