"""What the benchmarks ask of the broker: topics, a group's committed offsets, a record count."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError

PARTITIONS = 4


class Cluster:
    """An admin client of one broker; an async context."""

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)

    async def __aenter__(self) -> Self:
        await self._admin.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._admin.close()

    async def create_topics(self, topics: Sequence[str], *, partitions: int = PARTITIONS) -> None:
        """Create topics that do not exist yet; raises RuntimeError when the broker refuses."""
        answer = await self._admin.create_topics(
            [NewTopic(topic, partitions, 1) for topic in topics]
        )
        for topic, code, *_ in answer.topic_errors:
            if code:
                raise RuntimeError(f"the broker did not create {topic}: error {code}")

    async def delete_topics(self, topics: Sequence[str]) -> None:
        """Ask the broker to remove topics; it does so in its own time."""
        await self._admin.delete_topics(list(topics))

    async def committed(self, group: str, topic: str) -> int:
        """Records of ``topic`` before the group's committed offsets, over all partitions."""
        try:
            offsets = await self._admin.list_consumer_group_offsets(group, group_coordinator_id=1)
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
            return 0
        return sum(
            max(0, position.offset)
            for partition, position in offsets.items()
            if partition.topic == topic
        )

    async def count_committed_records(self, topic: str, *, partitions: int = PARTITIONS) -> int:
        """Records that a read_committed consumer gets: no markers, nothing aborted."""
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._bootstrap, isolation_level="read_committed"
        )
        count = 0
        async with consumer:
            assigned = [TopicPartition(topic, number) for number in range(partitions)]
            ends = await consumer.end_offsets(assigned)
            consumer.assign(assigned)
            await consumer.seek_to_beginning(*assigned)
            for partition, end in ends.items():
                # A poll returns at most what is there; markers move the position too.
                while await consumer.position(partition) < end:
                    batch = await consumer.getmany(partition, timeout_ms=500)
                    count += sum(len(records) for records in batch.values())
        return count
