"""Creating what a policy needs on a cluster."""

from dataclasses import dataclass

from stream_filter.app.cluster import (
    control_topics,
    evidence_topics,
    inspect_cluster,
    target_topics,
)
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy
from stream_filter.kafka.board import BOARD_TOPIC_CONFIGS
from stream_filter.kafka.order_log import ORDER_TOPIC_CONFIGS
from stream_filter.kafka.report_board import REPORT_TOPIC_CONFIGS
from stream_filter.kafka.topics import DEFAULT_MAX_MESSAGE_BYTES, TopicAdmin

_HEADER_ROOM_BYTES = 64 << 10
_DAY_MS = 24 * 60 * 60 * 1000
_TABLE_BYTES = 8 << 20
"""A page of evidence takes what one block may bring: some hundred thousand events at the most."""


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
    wanted[settings.memory_topic] |= BOARD_TOPIC_CONFIGS
    wanted |= {topic: {} for topic in cluster.missing_sources}
    counts = dict.fromkeys(wanted, count)
    if settings.control:
        wanted[settings.policy_topic] = dict(ORDER_TOPIC_CONFIGS)
        wanted[settings.worker_topic] = dict(REPORT_TOPIC_CONFIGS)
    if settings.evidence:
        verdicts, certificates, table = evidence_topics(settings)
        # Read again from the last saved evidence on: a week covers any pause of the workers.
        wanted[verdicts] = {"message.timestamp.type": "LogAppendTime"}
        wanted[certificates] = {**BOARD_TOPIC_CONFIGS, "message.timestamp.type": "LogAppendTime"}
        wanted[settings.incidents_topic] = dict(BOARD_TOPIC_CONFIGS)
        wanted[table] = {**BOARD_TOPIC_CONFIGS, "max.message.bytes": str(_TABLE_BYTES)}
    kept = [settings.audit_topic, settings.replay_topic]
    wanted |= {topic: {"retention.ms": "-1"} for topic in kept}
    counts |= dict.fromkeys([*control_topics(settings), *kept, settings.incidents_topic], 1)
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
        await admin.until_seen(wanted)
    return prepared
