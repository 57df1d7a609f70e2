"""What the policy and the settings need of a cluster, and what is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stream_filter.app.durations import duration_text
from stream_filter.app.settings import Settings
from stream_filter.control.faust_evidence import changelog_topic
from stream_filter.core.policy import Policy
from stream_filter.gate.budget_shares import budget_shares
from stream_filter.kafka.topics import TopicAdmin


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """The topics that matter."""

    sources: Mapping[str, int]
    """Partition counts of the source topics that exist."""
    missing_sources: tuple[str, ...]
    own_sources: tuple[str, ...]
    """Source topics that the gate itself writes to: it would feed itself."""
    unmatched: tuple[str, ...]
    """Globs that match no topic: no obstacle, topics may come."""
    targets: Mapping[str, int]
    missing_targets: tuple[str, ...]
    control_topics: Mapping[str, int]
    """Partition counts of the topics that need one; 0 where one does not exist."""
    of_evidence: tuple[str, ...]
    """Those of them that the evidence needs."""
    size_limits: dict[str, int]
    """Largest record, by target topic that exists."""
    source_limits: Mapping[str, int]
    uncompacted: tuple[str, ...]
    """Topics that should be compacted and are not."""
    starved: tuple[str, ...]
    """Limits of budgets that have not one event for each partition."""
    short_retentions: tuple[str, ...]
    """Source topics that keep records for less than the policy's `undo_for`."""

    def obstacles(self) -> list[str]:
        """Why a worker cannot run here: one line each."""
        return (
            [
                f"source topic {topic!r} is written by the gate itself: correct policy or settings"
                for topic in self.own_sources
            ]
            + [
                f"source topic {topic!r} does not exist: create it, or correct the policy"
                for topic in self.missing_sources
            ]
            + [
                f"target topic {topic!r} does not exist: run `stream-filter topics create`"
                for topic in self.missing_targets
            ]
            + _control_obstacles(self.control_topics, self.of_evidence)
        )

    def warnings(self) -> list[str]:
        """What may surprise later: one line each."""
        found = [f"no topic matches {glob!r} yet" for glob in self.unmatched]
        found += [
            f"{topic!r} is not compacted: what it remembers is lost to retention, and it grows; "
            "set cleanup.policy=compact"
            for topic in self.uncompacted
        ]
        found += self.starved
        found += self.short_retentions
        for target, limit in self.size_limits.items():
            found += [
                f"{source!r} takes records of {size} bytes and {target!r} only {limit}: larger "
                "ones go to the dead letters; raise max.message.bytes"
                for source, size in self.source_limits.items()
                if size > limit
            ]
        return found


def target_topics(policy: Policy, settings: Settings) -> list[str]:
    """The topics that records, blocks and memories are written to."""
    own = {settings.ledger_topic, settings.memory_topic, settings.dead_letter_topic}
    if policy.defers:
        own.add(settings.deferred_topic)
    return sorted(own | policy.targets)


def control_topics(settings: Settings) -> list[str]:
    """The topics of control plane and evidence, of one partition each; none without them."""
    return [
        *([settings.policy_topic, settings.worker_topic] if settings.control else []),
        *(evidence_topics(settings) if settings.evidence else []),
    ]


def evidence_topics(settings: Settings) -> list[str]:
    """The topics that verdicts and certificates need: the first one is the analyst's."""
    table = changelog_topic(settings.evidence_app)
    return [settings.verdict_topic, settings.certificate_topic, table]


def own_topics(settings: Settings) -> frozenset[str]:
    """What no glob of a policy takes: topics that the gate writes to, whatever the policy."""
    return frozenset(
        {
            *(settings.ledger_topic, settings.memory_topic, settings.dead_letter_topic),
            *(settings.deferred_topic, settings.policy_topic, settings.worker_topic),
            *(settings.audit_topic, settings.replay_topic, settings.incidents_topic),
            *evidence_topics(settings),
        }
    )


async def control_obstacles(settings: Settings) -> list[str]:
    """Why the control plane cannot work on this cluster. Raises BrokerError or ConfigError."""
    async with TopicAdmin(settings.connection()) as admin:
        present = await admin.partitions()
    counts = {topic: present.get(topic, 0) for topic in control_topics(settings)}
    return _control_obstacles(counts, evidence_topics(settings))


def _control_obstacles(counts: Mapping[str, int], of_evidence: Sequence[str]) -> list[str]:
    found = []
    for topic, count in counts.items():
        kind = "evidence" if topic in of_evidence else "control"
        if count > 1:
            found.append(f"{kind} topic {topic!r} has {count} partitions and needs 1: make it anew")
        elif not count:
            found.append(
                f"{kind} topic {topic!r} does not exist: run `stream-filter topics create --{kind}`"
            )
    return found


async def inspect_cluster(policy: Policy, settings: Settings) -> Cluster:
    """Ask the cluster. Raises BrokerError or ConfigError."""
    async with TopicAdmin(settings.connection()) as admin:
        present = await admin.partitions()
        targets = target_topics(policy, settings)
        own = {*targets, *own_topics(settings)}
        named = [rules.topic for rules in policy.topics if not rules.is_pattern]
        internal = {topic for topic in present if topic.startswith("__")}
        sources = {
            topic: count
            for topic, count in present.items()
            if policy.for_topic(topic) and topic not in internal | own
        }
        existing_targets = [topic for topic in targets if topic in present]
        limits = await admin.max_message_bytes(existing_targets)
        source_limits = await admin.max_message_bytes(sources)
        retention_ms = await admin.retention_ms(sources)
        kept = {settings.memory_topic, settings.incidents_topic, *evidence_topics(settings)[1:]}
        uncompacted = await admin.uncompacted(
            topic
            for topic in (*existing_targets, *control_topics(settings), settings.incidents_topic)
            if topic in kept and topic in present
        )
    return Cluster(
        sources=sources,
        missing_sources=tuple(topic for topic in named if topic not in present),
        own_sources=tuple(topic for topic in named if topic in own),
        unmatched=tuple(
            rules.topic
            for rules in policy.topics
            if rules.is_pattern and not any(rules.covers(topic) for topic in sources)
        ),
        targets={topic: present[topic] for topic in existing_targets},
        missing_targets=tuple(topic for topic in targets if topic not in present),
        control_topics={topic: present.get(topic, 0) for topic in control_topics(settings)},
        of_evidence=tuple(evidence_topics(settings)),
        size_limits=limits,
        source_limits=source_limits,
        uncompacted=tuple(uncompacted),
        starved=tuple(starved_limits(policy, sources)),
        short_retentions=tuple(short_retentions(policy, retention_ms)),
    )


def starved_limits(policy: Policy, sources: Mapping[str, int]) -> Iterator[str]:
    """A line for each limit that is too small to be shared out."""
    for topic in sources:
        rules = policy.for_topic(topic)
        if rules is None or rules.budget is None:
            continue
        shares = budget_shares(policy, rules, (topic, sources[topic] - 1), sources)
        for share in shares:
            if not share.amount:
                limit = share.limit
                yield (
                    f"budget of {topic!r}: {limit.amount} {limit.unit.value} in "
                    f"{duration_text(limit.window_ms)} leave nothing for some of its partitions: "
                    "raise it, or limit a longer time"
                )


def short_retentions(policy: Policy, retention_ms: Mapping[str, int]) -> Iterator[str]:
    """A line for each source topic, of those whose retention is given, that loses records while
    their drop is to be undoable."""
    for topic, kept_ms in sorted(retention_ms.items()):
        rules = policy.for_topic(topic)
        if rules is not None and rules.undo_for_ms is not None and kept_ms < rules.undo_for_ms:
            yield (
                f"{topic!r} keeps records for {duration_text(kept_ms)}, and drops are to be "
                f"undoable for {duration_text(rules.undo_for_ms)}: raise its retention.ms, or "
                "lower undo_for"
            )
