"""FastStream (aiokafka): a batch subscriber; what matches is published as one batch."""

from __future__ import annotations

import asyncio
import importlib.util
import logging

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker, KafkaMessage

from bench.peers.arguments import peer_arguments

_MAX_RECORDS = 5_000
# A batch that does not fit is refused, and the default of 16 KiB is 80 small events.
_MAX_BATCH_BYTES = 8 << 20


async def run() -> None:
    """Run until SIGTERM. The offsets are committed after each batch that was handled."""
    given = peer_arguments(__doc__)
    matches = given.rule.matcher()
    # Neither validation nor dependency injection: the handler gets the bytes as they came.
    log = logging.getLogger("faststream-peer")
    log.setLevel(logging.WARNING)
    broker = KafkaBroker(
        given.bootstrap,
        apply_types=False,
        max_batch_size=_MAX_BATCH_BYTES,
        max_request_size=_MAX_BATCH_BYTES,
        logger=log,
    )

    async def undecoded(message: KafkaMessage) -> list[bytes]:
        return [record.value for record in message.raw_message]

    @broker.subscriber(
        given.source,
        group_id=given.group,
        batch=True,
        max_records=_MAX_RECORDS,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        decoder=undecoded,
    )
    async def handle(values: list[bytes]) -> None:
        forwarded = [value for value in values if matches(value)]
        if forwarded:
            await broker.publish_batch(*forwarded, topic=given.target)

    await FastStream(broker, logger=log).run()


def main() -> None:
    """Under uvloop where it is installed, as FastStream's own command line does."""
    if importlib.util.find_spec("uvloop"):
        import uvloop

        uvloop.run(run())
    else:
        asyncio.run(run())


if __name__ == "__main__":
    main()
