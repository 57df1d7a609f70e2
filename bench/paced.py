"""Produces a stream at a steady rate: ``python -m bench.paced``.

Every tick sends what is due, one batch a partition, as a producer with that linger would. Writes
a row a batch to a file, as a numpy array of int64: partition, first offset, records, and when it
was sent and acknowledged (CLOCK_MONOTONIC, nanoseconds).
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Protocol

import numpy as np
from aiokafka import AIOKafkaProducer

from bench.streams import STREAMS, open_stream

_TICK_S = 0.01
_MOST_IN_BATCH = 2_000
"""So that a batch is never full: after a stall, what is due goes out over the next ticks."""


class Acknowledged(Protocol):
    """The part of aiokafka's RecordMetadata that is read here."""

    @property
    def offset(self) -> int:
        """Offset of a batch's first record."""


async def produce(
    bootstrap: str, topic: str, values: Iterator[bytes], *, rate: float, seconds: float
) -> list[tuple[int, int, int, int, int]]:
    """Send ``rate`` events/s for so long; the rows of all batches, when all are acknowledged."""
    rows: list[tuple[int, int, int, int, int]] = []
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, max_batch_size=1 << 20, acks=1)

    async def note(
        future: asyncio.Future[Acknowledged], partition: int, count: int, sent_ns: int
    ) -> None:
        acknowledged = await future
        rows.append((partition, acknowledged.offset, count, sent_ns, time.monotonic_ns()))

    async with producer:
        partitions = sorted(await producer.partitions_for(topic))
        began_s = time.monotonic()
        sent, pending = 0, set[asyncio.Task[None]]()
        while (elapsed_s := time.monotonic() - began_s) < seconds:
            due = int(rate * elapsed_s) - sent
            for partition in partitions if due >= len(partitions) else ():
                batch = producer.create_batch()
                for value in islice(values, min(_MOST_IN_BATCH, due // len(partitions))):
                    batch.append(key=None, value=value, timestamp=time.time_ns() // 1_000_000)
                batch.close()
                count, sent_ns = batch.record_count(), time.monotonic_ns()
                sent += count
                future = await producer.send_batch(batch, topic, partition=partition)
                task = asyncio.ensure_future(note(future, partition, count, sent_ns))
                pending.add(task)
                task.add_done_callback(pending.discard)
            next_tick_s = began_s + (int(elapsed_s / _TICK_S) + 1) * _TICK_S
            await asyncio.sleep(max(0.0, next_tick_s - time.monotonic()))
        await asyncio.gather(*pending)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bootstrap", "--topic"):
        parser.add_argument(name, required=True)
    parser.add_argument("--stream", choices=STREAMS, required=True)
    parser.add_argument("--rate", type=float, required=True, help="events/s")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    stream = open_stream(given.stream)
    if stream is None:
        parser.error(f"the data of the stream {given.stream} is not there")
    count = int(given.rate * given.seconds) + 1
    rows = asyncio.run(
        produce(
            given.bootstrap,
            given.topic,
            iter(stream.values(count)),
            rate=given.rate,
            seconds=given.seconds,
        )
    )
    np.save(given.out, np.array(rows, np.int64).reshape(-1, 5))


if __name__ == "__main__":
    main()
