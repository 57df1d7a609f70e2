"""The generator's events, produced at the pace of the storyline."""

import asyncio
import time
from zlib import crc32

from aiokafka import AIOKafkaProducer

from stream_filter.demo.generator import GeneratedEvent, PlatformStream, Scenario
from stream_filter.demo.scoreboard import Scoreboard
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translated

_STEP_S = 0.05
_MAX_BATCH_BYTES = 512 << 10


class PacedProducer:
    """Produces `rate` events a second, times what the scenario of the moment says.

    The stream is a function of the generator's seed, the rate and the duration: where the
    machine does not keep the pace, producing takes longer, and the events stay the same. What
    the broker acknowledges is told to the scoreboard.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        topic: str,
        partitions: int,
        stream: PlatformStream,
        rate: int,
        duration_s: float,
        scoreboard: Scoreboard,
    ) -> None:
        self._topic = topic
        self._partitions = partitions
        self._stream = stream
        self._rate = rate
        self._duration_s = duration_s
        self._scoreboard = scoreboard
        self._at_s = 0.0
        self._unacknowledged: set[asyncio.Task[None]] = set()
        self._producer = AIOKafkaProducer(
            **connection.client_options(), acks="all", max_batch_size=_MAX_BATCH_BYTES
        )

    @property
    def at_s(self) -> float:
        """How far the storyline is, in seconds of its duration."""
        return self._at_s

    @property
    def scenario(self) -> Scenario:
        """What happens now."""
        return self._stream.scenario(self._at_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Produce until the storyline or `stop` ends it, and wait for all acknowledgements.

        Raises BrokerError.
        """
        with translated("producing"):
            try:
                await self._producer.start()
                await self._play(stop)
                await self._producer.flush()
                await asyncio.gather(*self._unacknowledged)
            finally:
                await self._producer.stop()

    async def _play(self, stop: asyncio.Event) -> None:
        began_s, owed, step = time.monotonic(), 0.0, 0
        while self._at_s < self._duration_s and not stop.is_set():
            owed += self._rate * self.scenario.rate_factor * _STEP_S
            await self._send(self._stream.events(self._at_s, int(owed)))
            owed -= int(owed)
            step += 1
            self._at_s = step * _STEP_S
            await asyncio.sleep(max(0.0, began_s + self._at_s - time.monotonic()))
            for acknowledged in [task for task in self._unacknowledged if task.done()]:
                self._unacknowledged.discard(acknowledged)
                acknowledged.result()

    async def _send(self, events: list[GeneratedEvent]) -> None:
        shares: dict[int, list[GeneratedEvent]] = {}
        for event in events:
            shares.setdefault(crc32(event.key) % self._partitions, []).append(event)
        for partition, share in shares.items():
            begin = 0
            while begin < len(share):
                begin = await self._send_batch(partition, share, begin)

    async def _send_batch(self, partition: int, events: list[GeneratedEvent], begin: int) -> int:
        """Send as many of `events` from `begin` on as one batch takes; the index after them."""
        batch, now_ms, end = self._producer.create_batch(), int(time.time() * 1000), begin
        while end < len(events):
            event = events[end]
            if batch.append(key=event.key, value=event.value, timestamp=now_ms) is None:
                break
            end += 1
        batch.close()
        future = await self._producer.send_batch(batch, self._topic, partition=partition)
        part = events[begin:end]
        self._unacknowledged.add(asyncio.create_task(self._acknowledge(partition, future, part)))
        return end

    async def _acknowledge(
        self, partition: int, future: "asyncio.Future[object]", events: list[GeneratedEvent]
    ) -> None:
        metadata = await future
        self._scoreboard.acknowledge(partition, metadata.offset, events)  # type: ignore[attr-defined]  # aiokafka's
