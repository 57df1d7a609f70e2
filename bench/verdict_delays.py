"""From an event on the source topic to the verdict on it."""

from __future__ import annotations

import numpy as np
import orjson
from numpy.typing import NDArray

from stream_filter.kafka.connection import Connection
from stream_filter.kafka.reader import TopicReader


async def verdict_delays(bootstrap: str, *, forwarded: str, verdicts: str) -> NDArray[np.float64]:
    """Seconds, shape (events,): the first verdict's timestamp less the event's, which a forwarded
    record has from its source."""
    async with TopicReader(Connection(bootstrap=bootstrap)) as reader:
        since_ms: dict[str, int] = {}
        bounds = await reader.bounds(reader.partitions(forwarded))
        async for _, records in reader.read(bounds):
            for record in records:
                headers = dict(record.headers)
                since_ms[headers["sf-id"].decode()] = record.timestamp
        delays: dict[str, float] = {}
        bounds = await reader.bounds(reader.partitions(verdicts))
        async for _, records in reader.read(bounds):
            for record in records:
                event_id = orjson.loads(record.value)["sf-id"]
                delays.setdefault(event_id, (record.timestamp - since_ms[event_id]) / 1000)
    return np.array(list(delays.values()))
