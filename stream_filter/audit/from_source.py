"""Decisions made again from the records themselves: read back from the source topic by a consumer
that is in no group, and put through the gate with scores that are looked up."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.app.cluster import Cluster, inspect_cluster
from stream_filter.app.gate_assembly import assemble_gate
from stream_filter.app.rehearsal import Rehearsal, UnwrittenLedger
from stream_filter.app.settings import Settings
from stream_filter.audit.rows import rows_of
from stream_filter.core.errors import ConfigError
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.what_if import Supposed
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.recorded_scores import RecordedScores
from stream_filter.gate.score_cache import text_digest
from stream_filter.kafka.reader import TopicReader

_SAMPLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceDecider:
    """One topic of a policy, its blocks decided again."""

    settings: Settings
    policy: Policy
    topic: str
    scores: RecordedScores
    spans: Mapping[int, tuple[int, int]]
    """By partition, the offsets [first, next) of the blocks."""

    async def decide(
        self,
        blocks_of: Callable[[int], Iterator[Block]],
        variants: Sequence[TopicPolicy],
        take: Callable[[Block, list[Supposed]], None],
    ) -> int:
        """Give `take` each block with what each variant of the topic's rules makes of its records,
        as many as the source still holds. Returns how many it no longer does.

        `blocks_of`: a partition's effective blocks, in order: they are the batches. Raises
        ConfigError or BrokerError.
        """
        cluster = await inspect_cluster(self.policy, self.settings)
        gone = 0
        async with TopicReader(
            self.settings.connection(), isolation_level=self.settings.isolation_level
        ) as reader:
            if not reader.has(self.topic):
                raise ConfigError(
                    f"topic {self.topic!r} does not exist here, and the policy needs its records: "
                    "give the broker that has them"
                )
            for source in reader.partitions(self.topic):
                gates = [_Supposing(self, rules, cluster) for rules in variants]
                held = _held(reader, source, self.spans.get(source.partition))
                async for block, records in joined(blocks_of(source.partition), held):
                    gone += len(block.offsets) - len(records)
                    if records:
                        kept = np.isin(block.offsets, [record.offset for record in records])
                        again = [gate.decide(block, records) for gate in gates]
                        take(rows_of(block, kept), again)
        return gone


class _Supposing:
    """A gate with one variant of the rules, for one partition."""

    def __init__(self, asked: SourceDecider, rules: TopicPolicy, cluster: Cluster) -> None:
        self._now_ms = 0
        before = asked.policy.for_topic(asked.topic)
        topics = tuple(
            rules if each is before else replace(each, overload=None, challenger=None)
            for each in asked.policy.topics
        )
        policy = Policy(topics=topics)
        self._rehearsal = Rehearsal(
            assemble_gate(
                policy,
                asked.settings,
                scorers=dict.fromkeys((name for name, _ in policy.packs), asked.scores),
                delivery="none",
                codec=UnwrittenLedger(),
                clock_ms=lambda: self._now_ms,
            ),
            size_limits=cluster.size_limits,
            sources=cluster.sources,
        )

    def decide(self, block: Block, records: Sequence[ConsumerRecord]) -> Supposed:
        header = block.header
        self._now_ms = header.decided_at_ms
        batch = RecordBatch(
            topic=header.topic,
            partition=header.partition,
            first_offset=header.first_offset,
            next_offset=header.last_offset + 1,
            records=records,
        )
        again = self._rehearsal.decide(batch).block
        unscored = np.isnan(again.decisions.score) & (again.text_digests != 0)
        if again.decisions.rule is not None:
            unscored &= again.decisions.rule < 0
        return Supposed(decisions=again.decisions, unscored=unscored)


async def reads_other_text(settings: Settings, rules: TopicPolicy, block: Block) -> bool | None:
    """Whether the rules read another text than was read of a block's records; None where the source
    does not hold them. Raises ConfigError or BrokerError."""
    rows = np.flatnonzero(block.text_digests != 0)[-_SAMPLE:]
    if not len(rows):
        return None
    recorded = dict(
        zip(block.offsets[rows].tolist(), block.text_digests[rows].tolist(), strict=True)
    )
    source = TopicPartition(block.header.topic, block.header.partition)
    async with TopicReader(
        settings.connection(), isolation_level=settings.isolation_level
    ) as reader:
        if not reader.has(source.topic) or source not in reader.partitions(source.topic):
            return None
        span = (int(block.offsets[rows[0]]), int(block.offsets[rows[-1]]) + 1)
        found = [
            record
            async for records in _held(reader, source, span)
            for record in records
            if record.offset in recorded
        ]
    if not found:
        return None
    texts = text_reader(rules).read([record.value for record in found])
    digests = [int.from_bytes(text_digest(text)[:8], "little") for text in texts.distinct]
    read = [digests[code] if code >= 0 else 0 for code in texts.codes.tolist()]
    return any(digest != recorded[r.offset] for r, digest in zip(found, read, strict=True))


async def _held(
    reader: TopicReader, source: TopicPartition, span: tuple[int, int] | None
) -> AsyncIterator[list[ConsumerRecord]]:
    """What the source still holds of offsets [first, next), as it comes."""
    if span is None:
        return
    first, end = (await reader.bounds([source]))[source]
    wanted = {source: (max(first, span[0]), min(end, span[1]))}
    async for _, records in reader.read(wanted, to_the_end=True):
        yield records


async def joined(
    blocks: Iterator[Block], polled: AsyncIterator[list[ConsumerRecord]]
) -> AsyncIterator[tuple[Block, list[ConsumerRecord]]]:
    """Each block with those of its records that are there; records of no block are left out."""
    waiting: deque[ConsumerRecord] = deque()
    for block in blocks:
        last = block.header.last_offset
        while not waiting or waiting[-1].offset < last:
            records = await anext(polled, None)
            if records is None:
                break
            waiting.extend(records)
        own = set(block.offsets.tolist())
        found = []
        while waiting and waiting[0].offset <= last:
            record = waiting.popleft()
            if record.offset in own:
                found.append(record)
        yield block, found
