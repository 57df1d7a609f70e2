"""An analyst that knows the truth: reads what the gate forwards and says what its events say of
themselves. For tests and for the demo."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord

from stream_filter.gate.headers import SF_ID, SF_REASON, SF_SOURCE

Answer = Callable[[ConsumerRecord, Mapping[str, str]], dict[str, Any] | None]
"""From a forwarded record and the gate's headers to a verdict without its `sf-id`; None: silent."""


def truthful(record: ConsumerRecord, headers: Mapping[str, str]) -> dict[str, Any] | None:
    """What the event itself says under `truth`."""
    event = orjson.loads(record.value or b"{}")
    return {
        "important": bool(event.get("truth")),
        "judge": {"name": "scripted", "kind": "model"},
        "tokens": 100,
        "cost": 0.001,
    }


@dataclass(slots=True)
class Analyst:
    """Reads `analysis_topic` and writes to `verdict_topic` until cancelled. Keeps its own account
    of what it has said, by `sf-id`."""

    bootstrap: str
    analysis_topic: str
    verdict_topic: str
    answer: Answer = truthful
    said: dict[str, tuple[str, bool]] = field(default_factory=dict)
    """By `sf-id`: the reason that the gate gave, and whether the analyst found it important."""
    sources: dict[str, str] = field(default_factory=dict)
    """By `sf-id`: where the event stood."""

    async def run(self) -> None:
        consumer = AIOKafkaConsumer(
            self.analysis_topic,
            bootstrap_servers=self.bootstrap,
            group_id=f"{self.verdict_topic}-analyst",
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            # A test that waits for a command stops its loop: it must not be taken for dead.
            session_timeout_ms=60_000,
        )
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, acks="all")
        await consumer.start()
        try:
            await producer.start()
            try:
                while True:
                    polled = await consumer.getmany(timeout_ms=100, max_records=1_000)
                    for records in polled.values():
                        await self._judge(records, producer)
            finally:
                await producer.stop()
        finally:
            await consumer.stop()

    async def _judge(self, records: list[ConsumerRecord], producer: AIOKafkaProducer) -> None:
        sent = []
        for record in records:
            headers = {name: (value or b"").decode() for name, value in record.headers}
            event_id = headers.get(SF_ID)
            said = self.answer(record, headers) if event_id and SF_SOURCE in headers else None
            if event_id is None or said is None:
                continue
            self.said[event_id] = (headers[SF_REASON], bool(said["important"]))
            self.sources[event_id] = headers[SF_SOURCE]
            value = orjson.dumps({"sf-id": event_id, **said})
            sent.append(await producer.send(self.verdict_topic, value, partition=0))
        if sent:
            await asyncio.gather(*sent)
