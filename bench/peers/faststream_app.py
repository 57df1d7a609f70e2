"""The settings that both FastStream peers share."""

from __future__ import annotations

import asyncio
import importlib.util
import logging
from collections.abc import Callable
from typing import Any

from faststream import AckPolicy, FastStream
from faststream.kafka import KafkaBroker

from bench.peers.arguments import PeerArguments

_MAX_RECORDS = 5_000
# A batch that does not fit is refused, and the default of 16 KiB is 80 small events.
_MAX_BATCH_BYTES = 8 << 20

_log = logging.getLogger("faststream-peer")
_log.setLevel(logging.WARNING)


def make_broker(given: PeerArguments) -> KafkaBroker:
    """A broker without validation and dependency injection, which cost much per event."""
    return KafkaBroker(
        given.bootstrap,
        apply_types=False,
        max_batch_size=_MAX_BATCH_BYTES,
        max_request_size=_MAX_BATCH_BYTES,
        logger=_log,
    )


def subscribe(broker: KafkaBroker, given: PeerArguments, **options: Any) -> Callable[..., Any]:
    """A batch subscriber of the source; offsets are committed after each batch handled."""
    subscriber: Callable[..., Any] = broker.subscriber(
        given.source,
        group_id=given.group,
        batch=True,
        max_records=_MAX_RECORDS,
        auto_offset_reset="earliest",
        ack_policy=AckPolicy.ACK,
        **options,
    )
    return subscriber


def run_app(broker: KafkaBroker) -> None:
    """Run until SIGTERM, under uvloop where installed, as FastStream's command line does."""
    app = FastStream(broker, logger=_log)
    if importlib.util.find_spec("uvloop"):
        import uvloop

        uvloop.run(app.run())
    else:
        asyncio.run(app.run())
