"""Creating what a policy needs on a cluster."""

import asyncio
import time
from dataclasses import dataclass

from stream_filter.app.cluster import (
    control_topics,
    evidence_topics,
    inspect_cluster,
    target_topics,
)
from stream_filter.app.settings import Settings
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.core.policy import Policy
from stream_filter.kafka.order_log import ORDER_TOPIC_CONFIGS
from stream_filter.kafka.report_board import REPORT_TOPIC_CONFIGS
from stream_filter.kafka.topics import DEFAULT_MAX_MESSAGE_BYTES, TopicAdmin

_HEADER_ROOM_BYTES = 64 << 10
_DAY_MS = 24 * 60 * 60 * 1000
_SEEN_S = 15.0
_TABLE_BYTES = 8 << 20
"""A page of evidence takes what one block may bring: some hundred thousand events at the most."""
COMPACTED = {
    "cleanup.policy": "compact",
    # A new owner reads all that is not compacted: keep that short.
    "segment.bytes": str(16 << 20),
    "min.cleanable.dirty.ratio": "0.1",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedTopic:
    """A topic that exists now."""

    topic: str
    partitions: int
    was_created: bool


async def create_topics(
    policy: Policy,
    settings: Settings,
    *,
    partitions: int | None = None,
    replication_factor: int = 1,
    ledger_days: int = 30,
    with_sources: bool = False,
) -> list[PreparedTopic]:
    """Create the analysis, ledger, memory, dead-letter, audit and replay topics that are missing,
    those of control plane and evidence where the settings have them, and the sources if asked for.
    New ones take records as large as the sources do, and the gate's headers.

    `partitions` None: as many as the largest source. Raises BrokerError or ConfigError.
    """
    cluster = await inspect_cluster(policy, settings)
    if cluster.missing_sources and not with_sources:
        raise ConfigError(
            *(
                f"source topic {topic!r} does not exist: create it, or give --with-sources"
                for topic in cluster.missing_sources
            )
        )
    count = partitions or max(cluster.sources.values(), default=1)
    largest = max(cluster.source_limits.values(), default=DEFAULT_MAX_MESSAGE_BYTES)
    wanted = {
        topic: {"max.message.bytes": str(largest + _HEADER_ROOM_BYTES)}
        for topic in target_topics(policy, settings)
    }
    wanted[settings.ledger_topic]["retention.ms"] = str(ledger_days * _DAY_MS)
    wanted[settings.memory_topic] |= COMPACTED
    wanted |= {topic: {} for topic in cluster.missing_sources}
    counts = dict.fromkeys(wanted, count)
    if settings.control:
        wanted[settings.policy_topic] = dict(ORDER_TOPIC_CONFIGS)
        wanted[settings.worker_topic] = dict(REPORT_TOPIC_CONFIGS)
    if settings.evidence:
        verdicts, certificates, table = evidence_topics(settings)
        # Read again from the last saved evidence on: a week covers any pause of the workers.
        wanted[verdicts] = {"message.timestamp.type": "LogAppendTime"}
<<<<<<< HEAD
        wanted[certificates] = {**_COMPACTED, "message.timestamp.type": "LogAppendTime"}
        wanted[table] = {**_COMPACTED, "max.message.bytes": str(_TABLE_BYTES)}
    kept = [settings.audit_topic, settings.replay_topic]
    wanted |= {topic: {"retention.ms": "-1"} for topic in kept}
    counts |= dict.fromkeys([*control_topics(settings), *kept], 1)
=======
        wanted[certificates] = {**COMPACTED, "message.timestamp.type": "LogAppendTime"}
        wanted[settings.incidents_topic] = dict(COMPACTED)
        wanted[table] = {**COMPACTED, "max.message.bytes": str(_TABLE_BYTES)}
    wanted[settings.audit_topic] = {"retention.ms": "-1"}
    counts |= dict.fromkeys([*control_topics(settings), settings.audit_topic], 1)
    counts[settings.incidents_topic] = 1
>>>>>>> 3d31334 (The view of an outage beside the verdicts: read, looked at, asked about, written (half done))
    there = {**cluster.targets, **cluster.control_topics}
    prepared = []
    async with TopicAdmin(settings.connection()) as admin:
        present = await admin.partitions()
        for topic, configs in wanted.items():
            existing = there.get(topic) or present.get(topic)
            created = not existing and await admin.create(
                topic, partitions=counts[topic], replication=replication_factor, configs=configs
            )
            prepared.append(
                PreparedTopic(
                    topic=topic, partitions=existing or counts[topic], was_created=created
                )
            )
        await all_seen(admin, set(wanted))
    return prepared


async def all_seen(admin: TopicAdmin, topics: set[str]) -> None:
    """Wait until the brokers tell of the new topics: they learn it after the answer."""
    deadline_s = time.monotonic() + _SEEN_S
    while not topics <= (await admin.partitions()).keys():
        if time.monotonic() > deadline_s:
            raise BrokerError(
                f"the new topics were not to be seen after {_SEEN_S:.0f} s", retriable=True
            )
        await asyncio.sleep(0.1)
