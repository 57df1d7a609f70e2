"""Which of several processes does what only one should do: the member of a group that holds the
first partition of a topic."""

import asyncio
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition

from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translated


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka has no types
    def __init__(self, turn: "Turn") -> None:
        self._turn = turn

    async def on_partitions_revoked(self, revoked: list[TopicPartition]) -> None:
        self._turn.is_mine.clear()
        await self._turn.idle.wait()

    async def on_partitions_assigned(self, assigned: list[TopicPartition]) -> None:
        if TopicPartition(self._turn.topic, 0) in assigned:
            self._turn.is_mine.set()


class Turn:
    """A member of the group. Use as an async context; it reads no record and commits nothing."""

    def __init__(self, connection: Connection, *, topic: str, group: str) -> None:
        self.topic = topic
        self.is_mine = asyncio.Event()
        self.idle = asyncio.Event()
        """Not set while something is under way that another must not begin: a rebalance waits."""
        self.idle.set()
        self._consumer = AIOKafkaConsumer(
            **connection.client_options(), group_id=group, enable_auto_commit=False
        )

    async def __aenter__(self) -> Self:
        with translated("joining the archive's group"):
            self._consumer.subscribe([self.topic], listener=_Listener(self))
            await self._consumer.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.idle.set()
        await self._consumer.stop()
