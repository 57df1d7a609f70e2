"""Backpressure: how many bytes of records may be in the worker at once."""

import asyncio


class ByteBudget:
    """A worker's records in flight, in bytes.

    A partition that cannot get its share stops polling; the fetcher holds one response for it
    and asks for no more. A batch larger than the whole budget goes through alone.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._used = 0
        self._freed = asyncio.Condition()

    async def acquire(self, size_bytes: int) -> None:
        async with self._freed:
            await self._freed.wait_for(
                lambda: self._used == 0 or self._used + size_bytes <= self._limit
            )
            self._used += size_bytes

    async def release(self, size_bytes: int) -> None:
        async with self._freed:
            self._used -= size_bytes
            self._freed.notify_all()
