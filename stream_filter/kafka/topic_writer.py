"""Writing single records to a topic of one partition, by a producer that connects when needed."""

from typing import Literal

from aiokafka import AIOKafkaProducer

from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translated
from stream_filter.kafka.unit_of_work import close_quietly


class TopicWriter:
    """Connects when it first writes."""

    def __init__(self, connection: Connection, *, topic: str, acks: Literal[1, "all"]) -> None:
        self._connection = connection
        self._topic = topic
        self._acks = acks
        self._producer: AIOKafkaProducer | None = None

    async def write(self, key: bytes, value: bytes) -> None:
        """Acknowledged when this returns. Raises BrokerError or ConfigError."""
        with translated(f"writing to {self._topic}"):
            if self._producer is None:
                producer = AIOKafkaProducer(**self._connection.client_options(), acks=self._acks)
                try:
                    await producer.start()
                except BaseException:
                    await close_quietly(producer)
                    raise
                self._producer = producer
            await self._producer.send_and_wait(self._topic, value, key=key, partition=0)

    async def close(self) -> None:
        """Never raises."""
        if self._producer is not None:
            await close_quietly(self._producer)
