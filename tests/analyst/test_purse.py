"""The purse on a broker."""

import asyncio
import uuid

from stream_filter.analyst.claimed_purse import ClaimedPurse
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.topics import TopicAdmin


async def test_what_was_claimed_counts_once_however_often_it_is_read(
    embedded_bootstrap: str,
) -> None:
    """After a broken connection the log is read anew; the day's budget is as large as before."""
    connection = Connection(bootstrap=embedded_bootstrap)
    topic = f"spending-{uuid.uuid4().hex[:8]}"
    async with TopicAdmin(connection) as admin:
        await admin.create(topic, partitions=1, replication=1, configs={})
        await admin.until_seen({topic})
    purse = ClaimedPurse(connection, topic=topic, budget=10.0, emptied=lambda empty: None)
    try:
        async with asyncio.timeout(60):
            for amount in (4.0, 3.0, 3.0):  # together all of it, each in a life of its own
                reading = asyncio.create_task(purse.run())
                await purse.reserve(amount)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
    finally:
        await purse.close()
