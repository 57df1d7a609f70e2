"""What a cluster has: topics, partitions, limits; and creating what is missing."""

import asyncio
import time
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Self

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, for_code

from stream_filter.core.errors import BrokerError
from stream_filter.kafka.connection import Connection
from stream_filter.kafka.errors import translate, translated

_SEEN_S = 15.0
DEFAULT_MAX_MESSAGE_BYTES = 1_048_588
"""Kafka's default of max.message.bytes."""


class TopicAdmin:
    """An admin client; use as an async context. Every call raises BrokerError or ConfigError."""

    def __init__(self, connection: Connection) -> None:
        self._bootstrap = connection.bootstrap
        self._client = AIOKafkaAdminClient(**connection.client_options())

    async def __aenter__(self) -> Self:
        try:
            with translated(f"connecting to {self._bootstrap}"):
                await self._client.start()
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._client.close()

    async def partitions(self) -> dict[str, int]:
        """Every topic that we may see, with its partition count."""
        with translated("listing topics"):
            # Names first: to describe a topic that is not there makes some brokers create it.
            names = await self._client.list_topics()
            described = await self._client.describe_topics(sorted(names)) if names else []
        return {topic["topic"]: len(topic["partitions"]) for topic in described}

    async def replication(self, topic: str) -> int:
        """How many brokers hold each partition of a topic that is there."""
        with translated(f"describing {topic}"):
            (described,) = await self._client.describe_topics([topic])
        return min(len(partition["replicas"]) for partition in described["partitions"])

    async def max_message_bytes(self, topics: Iterable[str]) -> dict[str, int]:
        """The largest record batch that each topic takes; Kafka's default where unknown."""
        limits = dict.fromkeys(topics, DEFAULT_MAX_MESSAGE_BYTES)
        configured = await self._configs(limits, "max.message.bytes")
        return limits | {topic: int(value) for topic, value in configured.items()}

    async def uncompacted(self, topics: Iterable[str]) -> list[str]:
        """Which of the topics are known not to be compacted."""
        configured = await self._configs(topics, "cleanup.policy")
        return [topic for topic, policy in configured.items() if "compact" not in policy]

    async def retention_ms(self, topics: Iterable[str]) -> dict[str, int]:
        """For how long each topic keeps its records; without those that time alone does not take
        them from, and those of which it is not to be had."""
        topics = list(topics)
        configured = await self._configs(topics, "retention.ms")
        policies = await self._configs(topics, "cleanup.policy")
        return {
            topic: int(value)
            for topic, value in configured.items()
            if int(value) >= 0 and "delete" in policies.get(topic, "delete")
        }

    async def _configs(self, topics: Iterable[str], name: str) -> dict[str, str]:
        """The value of one config of each topic; without those where it is not to be had."""
        resources = [ConfigResource(ConfigResourceType.TOPIC, topic) for topic in topics]
        try:
            responses = await self._client.describe_configs(resources)
        except (KafkaError, OSError):
            return {}
        return {
            resource[3]: value
            for response in responses
            for resource in response.resources
            for entry, value, *_ in resource[4]
            if entry == name and value
        }

    async def create(
        self, topic: str, *, partitions: int, replication: int, configs: Mapping[str, str]
    ) -> bool:
        """Create a topic; False where it exists already."""
        new = NewTopic(topic, partitions, replication, topic_configs=dict(configs))
        with translated(f"creating {topic}"):
            response = await self._client.create_topics([new])
        code, message = response.topic_errors[0][1], response.topic_errors[0][-1]
        error = for_code(code)
        if error.__name__ == "TopicAlreadyExistsError":
            return False
        if code:
            translated_error = translate(error(message), f"creating {topic}")
            if isinstance(translated_error, BrokerError):
                raise BrokerError(str(translated_error), retriable=False)
            raise translated_error
        return True

    async def until_seen(self, topics: Iterable[str]) -> None:
        """Wait until the brokers tell of new topics: they learn of them after the answer."""
        wanted = set(topics)
        deadline_s = time.monotonic() + _SEEN_S
        while not wanted <= (await self.partitions()).keys():
            if time.monotonic() > deadline_s:
                raise BrokerError(
                    f"the new topics were not to be seen after {_SEEN_S:.0f} s", retriable=True
                )
            await asyncio.sleep(0.1)

    async def delete(self, topics: Iterable[str]) -> None:
        """Delete topics and what they hold."""
        with translated("deleting topics"):
            await self._client.delete_topics(list(topics))
