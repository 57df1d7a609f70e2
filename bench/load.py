"""Fills a topic with a stream, as fast as one process can: ``python -m bench.load``.

Prints one JSON object: records, bytes of values, how many match the rule of the peers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

from aiokafka import AIOKafkaProducer

from bench.streams import STREAMS, Stream, open_stream

_BATCH_BYTES = 256 << 10
_BATCHES_IN_FLIGHT = 8


async def load(bootstrap: str, topic: str, stream: Stream, count: int) -> dict[str, int]:
    """Produce ``count`` values, in batches that go to the partitions in turn, without keys."""
    matches = stream.rule.matcher()
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap, max_batch_size=_BATCH_BYTES, max_request_size=8 << 20, acks=1
    )
    totals = {"records": 0, "size_bytes": 0, "matching": 0}
    async with producer:
        partitions = sorted(await producer.partitions_for(topic))
        in_flight: list[asyncio.Future[object]] = []
        batch, now_ms = producer.create_batch(), time.time_ns() // 1_000_000
        turn = 0

        async def flush() -> None:
            nonlocal batch, now_ms, turn
            batch.close()
            partition = partitions[turn % len(partitions)]
            in_flight.append(await producer.send_batch(batch, topic, partition=partition))
            if len(in_flight) >= _BATCHES_IN_FLIGHT:
                await in_flight.pop(0)
            batch, now_ms, turn = producer.create_batch(), time.time_ns() // 1_000_000, turn + 1

        for value in stream.values(count):
            while batch.append(key=None, value=value, timestamp=now_ms) is None:
                await flush()
            totals["records"] += 1
            totals["size_bytes"] += len(value)
            totals["matching"] += matches(value)
        if batch.record_count():
            await flush()
        await asyncio.gather(*in_flight)
    return totals


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--topic", required=True)
    parser.add_argument("--stream", choices=STREAMS, required=True)
    parser.add_argument("--count", type=int, required=True)
    given = parser.parse_args()
    stream = open_stream(given.stream)
    if stream is None:
        parser.error(f"the data of the stream {given.stream} is not there")
    print(json.dumps(asyncio.run(load(given.bootstrap, given.topic, stream, given.count))))


if __name__ == "__main__":
    main()
