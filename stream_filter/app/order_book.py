"""What a worker has heard of the order log."""

import asyncio
from collections import deque
from typing import Protocol

from stream_filter.core.orders import counts
from stream_filter.gate.orders import OrderRecord

_REMEMBERED = 20
"""Orders kept, to find one that can be put in force where the last ones cannot."""


class OrderWatcher(Protocol):
    """Told what becomes of orders. Returns at once."""

    def order_unreadable(self, position: str, problem: str) -> None: ...

    def orders_lost(self, error: Exception) -> None:
        """The policy topic cannot be read; what is in force stays."""
        ...


class OrderBook:
    """An `OrderListener` that keeps the orders that count, and wakes whoever waits for news."""

    def __init__(self, watcher: OrderWatcher) -> None:
        self._watcher = watcher
        self._records: deque[OrderRecord] = deque(maxlen=_REMEMBERED)
        self._news = asyncio.Event()
        self.is_caught_up = False
        """All that the log held at the start was heard."""
        self.is_readable = True

    @property
    def latest(self) -> OrderRecord | None:
        return self._records[-1] if self._records else None

    @property
    def records(self) -> tuple[OrderRecord, ...]:
        """The last ones that count, each with its order, oldest first."""
        return tuple(self._records)

    def order_heard(self, record: OrderRecord) -> None:
        self.is_readable = True
        if record.order is None:
            self._watcher.order_unreadable(record.position, record.problem)
        elif counts(record.order, self.latest.order if self.latest else None):
            self._records.append(record)
            self._wake()

    def caught_up(self) -> None:
        self.is_caught_up = self.is_readable = True
        self._wake()

    def log_lost(self, error: Exception) -> None:
        if self.is_readable:
            self._watcher.orders_lost(error)
        self.is_readable = False

    async def changed(self, *, within_s: float | None = None) -> None:
        """Returns at the next news after the call, or in time."""
        try:
            await asyncio.wait_for(self._news.wait(), within_s)
        except asyncio.TimeoutError:
            pass

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
