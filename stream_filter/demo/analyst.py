"""Stands for the language model: judges what is forwarded by the truth that the generator knows."""

import asyncio
from collections.abc import Callable, Sequence

import orjson
from aiokafka import AIOKafkaProducer, ConsumerRecord

from stream_filter.app.settings import Settings
from stream_filter.core.position import parse_position
from stream_filter.gate.headers import SF_ID, SF_SOURCE
from stream_filter.kafka.errors import translated
from stream_filter.kafka.reader import TopicReader

_LOOK_S = 0.02


class TruthfulAnalyst:
    """Reads the analysis topic and writes a verdict on each event."""

    def __init__(
        self,
        settings: Settings,
        *,
        analysis: str,
        kind_at: Callable[[int, int], tuple[str, bool] | None],
    ) -> None:
        """`kind_at`: by partition and offset in the source, the kind of an event and whether it is
        important; None while nobody knows."""
        self._settings = settings
        self._analysis = analysis
        self._kind_at = kind_at

    async def run(self) -> None:
        """Judge without end. Raises BrokerError or ConfigError."""
        connection = self._settings.connection()
        producer = AIOKafkaProducer(**connection.client_options(), acks="all")
        async with TopicReader(connection) as reader:
            with translated("writing verdicts"):
                try:
                    await producer.start()
                    starts = dict.fromkeys(reader.partitions(self._analysis), 0)
                    async for _, records in reader.follow(starts):
                        await self._judge(records, producer)
                finally:
                    await producer.stop()

    async def _judge(self, records: Sequence[ConsumerRecord], producer: AIOKafkaProducer) -> None:
        sent = []
        for record in records:
            headers = dict(record.headers)
            source = parse_position(headers[SF_SOURCE].decode())
            # The gate may be quicker than the producer hears of its own record.
            place = (source.partition, source.offset)
            while (kind := self._kind_at(*place)) is None:  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(_LOOK_S)
            verdict = {
                "sf-id": headers[SF_ID].decode(),
                "important": kind[1],
                "judge": {"name": "truth", "kind": "model"},
            }
            sent.append(
                await producer.send(
                    self._settings.verdict_topic, orjson.dumps(verdict), partition=0
                )
            )
        await asyncio.gather(*sent)
