"""Payloads as a person may see them: recorded first, then read, then redacted."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from stream_filter.app.audit_trail import record_use
from stream_filter.app.payloads import read_payloads
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.position import Position
from stream_filter.formats.redaction import redact
from stream_filter.kafka.reader import TopicReader


async def shown_payloads(
    settings: Settings,
    policy: Policy,
    positions: Iterable[Position],
    *,
    command: str,
    detail: dict[str, Any],
) -> dict[Position, bytes | None]:
    """By position, what may be shown of it; missing where the source no longer holds it. The use is
    recorded, a record for each topic. Raises BrokerError, or ConfigError where the policy does not
    cover a topic."""
    wanted = set(positions)
    rules = {topic: covering(policy, topic) for topic in sorted({p.topic for p in wanted})}
    counts = Counter(position.topic for position in wanted)
    for topic in rules:
        await record_use(
            settings, command=command, topic=topic, events=counts[topic], detail=detail
        )
    if not wanted:
        return {}
    async with TopicReader(
        settings.connection(), isolation_level=settings.isolation_level
    ) as reader:
        values = await read_payloads(reader, wanted)
    return {position: shown(value, rules[position.topic]) for position, value in values.items()}


def covering(policy: Policy, topic: str) -> TopicPolicy:
    """What a policy says of a topic. Raises ConfigError where it says nothing."""
    found = policy.for_topic(topic)
    if found is None:
        raise ConfigError(
            f"the policy does not cover {topic}: whether its payloads may be shown, nobody says"
        )
    return found


def shown(value: bytes | None, rules: TopicPolicy) -> bytes | None:
    """A value without what the rules redact."""
    return None if value is None else redact(value, rules.redact)
