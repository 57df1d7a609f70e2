"""The `OrderLog` port on a topic of one partition, compacted under keys that never repeat, so
that no order is deleted by its age."""

import asyncio
import uuid

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.core.orders import Order
from stream_filter.gate.orders import OrderListener, OrderRecord
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translate, translated
from stream_filter.kafka.order_record import decode_order, encode_order
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.unit_of_work import close_quietly

ORDER_TOPIC_CONFIGS = {
    "cleanup.policy": "compact",
    "message.timestamp.type": "LogAppendTime",
    "max.message.bytes": str(2 << 20),
}
"""A policy file is 1 MB at the most; as JSON it is somewhat longer."""
_AGAIN_S = (0.5, 5.0)


class KafkaOrderLog:
    """Orders of one group; those of other groups in the topic are passed over."""

    def __init__(self, connection: Connection, *, topic: str, group: str) -> None:
        self._connection = connection
        self._topic = topic
        self._group = group

    async def read(self) -> list[OrderRecord]:
        async with TopicReader(self._connection) as reader:
            source = self._source(reader)
            bounds = await reader.bounds([source])
            return [r async for _, records in reader.read(bounds) for r in self._read(records)]

    async def append(self, order: Order) -> OrderRecord:
        producer = AIOKafkaProducer(
            **self._connection.client_options(), acks="all", max_request_size=2 << 20
        )
        try:
            with translated(f"writing to {self._topic}"):
                await producer.start()
                sent = await producer.send_and_wait(
                    self._topic,
                    encode_order(order),
                    key=f"{order.group}/{order.sequence}/{uuid.uuid4().hex}".encode(),
                    partition=0,
                )
        finally:
            await close_quietly(producer)
        return OrderRecord(
            position=f"{self._topic}/0/{sent.offset}",
            appended_ms=sent.timestamp,
            order=order,
            problem="",
        )

    async def follow(self, listener: OrderListener) -> None:
        at: int | None = None
        again_s = _AGAIN_S[0]
        while True:
            try:
                async with TopicReader(self._connection) as reader:
                    source = self._source(reader)
                    first, end = (await reader.bounds([source]))[source]
                    begin = first if at is None else at
                    async for _, records in reader.read({source: (begin, end)}):
                        at = self._tell(records, listener)
                    at = max(at or 0, end)
                    listener.caught_up()
                    again_s = _AGAIN_S[0]
                    async for _, records in reader.follow({source: at}):
                        at = self._tell(records, listener)
            except Exception as error:  # whatever it is, the next try may do better
                listener.log_lost(translate(error, f"reading {self._topic}"))
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, _AGAIN_S[1])

    def _tell(self, records: list[ConsumerRecord], listener: OrderListener) -> int:
        for record in self._read(records):
            listener.order_heard(record)
        return int(records[-1].offset) + 1

    def _read(self, records: list[ConsumerRecord]) -> list[OrderRecord]:
        return [heard for record in records if (heard := self._decoded(record)) is not None]

    def _decoded(self, record: ConsumerRecord) -> OrderRecord | None:
        order, problem = None, ""
        try:
            order = decode_order(record.value)
        except StreamFilterError as error:
            problem = str(error)
        if order is not None and order.group != self._group:
            return None
        return OrderRecord(
            position=f"{record.topic}/{record.partition}/{record.offset}",
            appended_ms=record.timestamp,
            order=order,
            problem=problem,
        )

    def _source(self, reader: TopicReader) -> TopicPartition:
        try:
            sources = reader.partitions(self._topic)
        except ConfigError as error:
            raise ConfigError(
                f"policy topic {self._topic!r} does not exist: run `stream-filter topics create "
                "--control`"
            ) from error
        if len(sources) != 1:
            raise ConfigError(
                f"policy topic {self._topic!r} has {len(sources)} partitions: orders have one "
                "order only in one; make it anew"
            )
        return sources[0]
