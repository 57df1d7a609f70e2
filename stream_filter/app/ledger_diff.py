"""Champion and challenger side by side, from the ledger: whose verdicts differ, and where."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeAlias

import numpy as np
from aiokafka import TopicPartition

from stream_filter.app.verify import Progress
from stream_filter.core.decision import Reason, Verdict
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block, Span, effective_chain
from stream_filter.core.position import Position
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.arrow_block import ArrowLedgerCodec

Pair: TypeAlias = tuple[Verdict, Verdict]
"""The champion's and the challenger's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A record on which the two disagree."""

    position: Position
    champion_score: float
    """NaN where there is none."""
    champion_reason: Reason
    challenger_score: float
    challenger_reason: Reason


@dataclass(slots=True, kw_only=True)
class Comparison:
    """What was compared under one policy."""

    records: int = 0
    unread: int = 0
    """Records that the challenger's model gave no score: it concludes nothing of them, and they are
    in no pair."""
    verdicts: Counter[Pair] = field(default_factory=Counter)
    examples: dict[Pair, list[Difference]] = field(default_factory=dict)

    @property
    def newly_dropped(self) -> int:
        """Records that the challenger would drop and the champion would not."""
        return sum(
            n for (old, new), n in self.verdicts.items() if new is Verdict.DROP and old is not new
        )

    @property
    def newly_forwarded(self) -> int:
        """Records that the champion would drop and the challenger would not."""
        return sum(
            n for (old, new), n in self.verdicts.items() if old is Verdict.DROP and old is not new
        )

    def add(self, other: "Comparison", *, examples: int) -> None:
        """Take in what another block says, with at most so many examples of each pair."""
        self.records += other.records
        self.unread += other.unread
        self.verdicts.update(other.verdicts)
        for pair, found in other.examples.items():
            kept = self.examples.setdefault(pair, [])
            kept += found[: examples - len(kept)]


async def compare(
    reader: TopicReader,
    topic: str,
    *,
    ledger_topic: str,
    window_ms: tuple[int | None, int | None],
    examples: int,
    progress: Progress,
) -> dict[str, Comparison]:
    """By policy id, of the effective blocks that have a challenger and records in a window of
    time (None: open). Raises BrokerError or ConfigError."""
    codec = ArrowLedgerCodec()
    spans: dict[int, list[Span]] = defaultdict(list)
    compared: dict[int, list[tuple[str, Comparison | None]]] = defaultdict(list)
    read = 0
    async for _, records in reader.read(await reader.bounds(reader.partitions(ledger_topic))):
        read += len(records)
        progress(ledger_topic, read)
        for record in records:
            try:
                block = codec.decode(record.value or b"")
            except StreamFilterError:  # `ledger verify` names it
                continue
            header = block.header
            if header.topic != topic:
                continue
            of_partition = spans[header.partition]
            of_partition.append(
                Span(header.first_offset, header.last_offset + 1, len(of_partition))
            )
            found = compare_block(block, examples=examples) if _is_in(block, window_ms) else None
            compared[header.partition].append((header.policy_id, found))
    total: dict[str, Comparison] = {}
    for partition, of_partition in spans.items():
        for span in effective_chain(of_partition):
            policy_id, found = compared[partition][span.sequence]
            if found is not None:
                total.setdefault(policy_id, Comparison()).add(found, examples=examples)
    return total


def compare_block(block: Block, *, examples: int) -> Comparison | None:
    """One block's part; None where it has no challenger."""
    challenge, decisions = block.challenge, block.decisions
    if challenge is None:
        return None
    header = block.header
    is_read = ~np.isin(challenge.reason, _UNREAD)
    found = Comparison(records=header.rows, unread=int((~is_read).sum()))
    codes = decisions.verdict.astype(np.int64) * len(Verdict) + challenge.verdict
    for code, count in enumerate(np.bincount(codes[is_read]).tolist()):
        old, new = Verdict(code // len(Verdict)), Verdict(code % len(Verdict))
        if not count:
            continue
        found.verdicts[old, new] = count
        if old is not new:
            found.examples[old, new] = [
                Difference(
                    position=Position(header.topic, header.partition, int(block.offsets[row])),
                    champion_score=float(decisions.score[row]),
                    champion_reason=Reason(decisions.reason[row]),
                    challenger_score=float(challenge.score[row]),
                    challenger_reason=Reason(challenge.reason[row]),
                )
                for row in islice(np.flatnonzero(is_read & (codes == code)).tolist(), examples)
            ]
    return found


async def values_at(
    reader: TopicReader, positions: Iterable[Position]
) -> dict[Position, bytes | None]:
    """What stands there, as far as the topic still holds it. Raises BrokerError or ConfigError."""
    found: dict[Position, bytes | None] = {}
    for position in positions:
        source = TopicPartition(position.topic, position.partition)
        ranges = {source: (position.offset, position.offset + 1)}
        async for _, records in reader.read(ranges):
            found[position] = records[0].value
    return found


_UNREAD = np.array([Reason.DEGRADED, Reason.OVERLOADED], np.uint8)


def _is_in(block: Block, window_ms: tuple[int | None, int | None]) -> bool:
    """Whether a block has records in a window, as far as its header tells."""
    first, end = window_ms
    header = block.header
    return (first is None or header.last_timestamp_ms >= first) and (
        end is None or header.first_timestamp_ms < end
    )
