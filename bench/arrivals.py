"""Notes when records arrive at two consumers: ``python -m bench.arrivals``, until SIGTERM.

One reads the forward topic, read_committed, as the analyst would; one reads partition 0 of the
source topic, as if there were no gate. Prints ``ready`` when both stand at the end of their
topics. Writes two numpy arrays of int64: ``forward`` has partition and offset of the source
record and its arrival, ``source`` the last offset and the arrival of each fetch (CLOCK_MONOTONIC,
nanoseconds).
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import time
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaConsumer, TopicPartition

from bench.cluster import PARTITIONS
from stream_filter.gate.headers import SF_SOURCE

_POLL_MS = 200


async def _consumer(bootstrap: str, partitions: list[TopicPartition]) -> AIOKafkaConsumer:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    consumer.assign(partitions)
    await consumer.seek_to_end(*partitions)
    for partition in partitions:
        await consumer.position(partition)
    return consumer


async def watch(bootstrap: str, source: str, target: str, out: Path) -> None:
    """Read both topics until told to stop, then write what was seen."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    analyst = await _consumer(bootstrap, [TopicPartition(target, n) for n in range(PARTITIONS)])
    direct = await _consumer(bootstrap, [TopicPartition(source, 0)])
    forward_rows: list[tuple[int, int, int]] = []
    source_rows: list[tuple[int, int]] = []

    async def read_forward() -> None:
        while not stop.is_set():
            fetched = await analyst.getmany(timeout_ms=_POLL_MS)
            now_ns = time.monotonic_ns()
            for record in (record for records in fetched.values() for record in records):
                position = dict(record.headers)[SF_SOURCE].decode().split("/")
                forward_rows.append((int(position[1]), int(position[2]), now_ns))

    async def read_source() -> None:
        while not stop.is_set():
            fetched = await direct.getmany(timeout_ms=_POLL_MS)
            now_ns = time.monotonic_ns()
            source_rows.extend((records[-1].offset, now_ns) for records in fetched.values())

    print("ready", flush=True)
    await asyncio.gather(read_forward(), read_source())
    await analyst.stop()
    await direct.stop()
    forward = np.array(forward_rows, np.int64).reshape(-1, 3)
    np.savez(out, forward=forward, source=np.array(source_rows, np.int64).reshape(-1, 2))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--bootstrap", "--source", "--target"):
        parser.add_argument(name, required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    asyncio.run(watch(given.bootstrap, given.source, given.target, given.out))


if __name__ == "__main__":
    main()
