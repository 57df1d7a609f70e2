"""The ports of the control plane without a broker, for tests and for trying things out."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from stream_filter.core.errors import BrokerError
from stream_filter.core.orders import Order, Report
from stream_filter.gate.orders import OrderListener, OrderRecord


class InMemoryOrderLog:
    """The `OrderLog` port. `fail_with` makes it unreadable until it is None again."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._records: list[OrderRecord] = []
        self._grown = asyncio.Event()
        self.fail_with: BrokerError | None = None

    async def read(self) -> list[OrderRecord]:
        if self.fail_with is not None:
            raise self.fail_with
        return list(self._records)

    async def append(self, order: Order) -> OrderRecord:
        if self.fail_with is not None:
            raise self.fail_with
        return self._keep(order, "")

    def append_garbage(self, problem: str) -> None:
        """A record in which nobody can read an order."""
        self._keep(None, problem)

    async def follow(self, listener: OrderListener) -> None:
        at = 0
        while True:
            if self.fail_with is not None:
                listener.log_lost(self.fail_with)
            else:
                fresh, at = self._records[at:], len(self._records)
                for record in fresh:
                    listener.order_heard(record)
                listener.caught_up()
            self._grown.clear()
            try:
                await asyncio.wait_for(self._grown.wait(), 0.01)
            except asyncio.TimeoutError:
                pass

    def _keep(self, order: Order | None, problem: str) -> OrderRecord:
        record = OrderRecord(
            position=f"orders/0/{len(self._records)}",
            appended_ms=self._clock_ms(),
            order=order,
            problem=problem,
        )
        self._records.append(record)
        self._grown.set()
        return record


class InMemoryReportBoard:
    """The `ReportBoard` port."""

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._reports: list[Report] = []

    async def write(self, report: Report) -> None:
        self._reports.append(replace(report, heard_ms=self._clock_ms()))

    async def follow(self) -> AsyncIterator[list[Report]]:
        at = 0
        while True:
            fresh, at = self._reports[at:], len(self._reports)
            yield fresh
            await asyncio.sleep(0.01)
