"""The purse of one analyst, filled from the group's budget by claims in the spending topic."""

import asyncio
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from stream_filter.analyst.claims import ClaimBook, ClaimModel, read_claim
from stream_filter.core.errors import ConfigError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.topic_writer import TopicWriter

_PARTS = 100
"""A claim is such a part of the budget, or what is needed."""
_LOOK_S = 0.5


class ClaimedPurse:
    """Use as: `run()` in a task of its own, `close()` at the end."""

    def __init__(
        self,
        connection: Connection,
        *,
        topic: str,
        budget: float,
        emptied: Callable[[bool], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`emptied` hears when somebody begins or ends to wait for tomorrow."""
        self._connection = connection
        self._topic = topic
        self._budget = budget
        self._emptied = emptied
        self._clock = clock
        self._book = ClaimBook(budget)
        self._writer = TopicWriter(connection, topic=topic, acks="all")
        self._who = uuid.uuid4().hex
        self._number = 0
        self._heard: dict[int, asyncio.Future[float]] = {}
        self._day = ""
        self._free = 0.0
        self._turn = asyncio.Lock()
        self._is_empty = False

    async def run(self) -> None:
        """Read the log without end, from its beginning. Raises BrokerError or ConfigError."""
        self._book = ClaimBook(self._budget)  # what an earlier run has read counts once
        async with TopicReader(self._connection) as reader:
            sources = reader.partitions(self._topic)
            starts = {
                source: first for source, (first, _) in (await reader.bounds(sources)).items()
            }
            async for _, records in reader.follow(starts):
                for record in records:
                    claim = read_claim(record.value)
                    if claim is None:
                        continue
                    granted = self._book.take(claim)
                    waiting = self._heard.get(claim.number) if claim.who == self._who else None
                    if waiting is not None and not waiting.done():
                        waiting.set_result(granted)

    async def reserve(self, amount: float) -> str:
        if amount > self._budget:
            raise ConfigError(
                f"limits.budget_per_day: {self._budget:g} is less than one prompt may cost, "
                f"{amount:.4g}: raise it, or lower batch.tokens and batch.events"
            )
        async with self._turn:
            while True:
                self._begin_day()
                if self._free >= amount:
                    break
                wanted = max(self._budget / _PARTS, amount - self._free)
                wanted = min(wanted, self._book.left(self._day))
                if self._free + wanted < amount:
                    self._say_empty(True)
                    await asyncio.sleep(_LOOK_S)
                    continue
                day = self._day
                granted = await self._claim(wanted)
                if day == self._day:
                    self._free += granted
            self._say_empty(False)
            self._free -= amount
            return self._day

    def settle(self, day: str, reserved: float, actual: float) -> None:
        if day == self._day:
            self._free += reserved - actual

    async def close(self) -> None:
        """Give back what is left. Never raises."""
        try:
            if self._free > 0.0 and self._day == self._today():
                async with asyncio.timeout(2.0):
                    await self._write(-self._free)
        except Exception:  # noqa: S110  it is lost until tomorrow
            pass
        await self._writer.close()

    async def _claim(self, amount: float) -> float:
        number = self._number + 1
        self._heard[number] = heard = asyncio.get_running_loop().create_future()
        try:
            await self._write(amount)
            granted: float = await heard
            return granted
        finally:
            del self._heard[number]

    async def _write(self, amount: float) -> None:
        self._number += 1
        claim = ClaimModel(day=self._day, who=self._who, number=self._number, amount=amount)
        await self._writer.write(self._day.encode(), claim.model_dump_json().encode())

    def _begin_day(self) -> None:
        today = self._today()
        if today != self._day:
            self._day, self._free = today, 0.0
            self._book.forget_before(today)

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).strftime("%Y-%m-%d")

    def _say_empty(self, is_empty: bool) -> None:
        if is_empty is not self._is_empty:
            self._is_empty = is_empty
            self._emptied(is_empty)
