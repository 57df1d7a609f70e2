"""Conservation from outside: reads the ledger, the targets and the source, believes nobody."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from aiokafka import TopicPartition
from numpy.typing import NDArray

from stream_filter.app.replay_record import read_replays
from stream_filter.core.conservation import Conservation, FoldCount, PartitionFacts, conserve
from stream_filter.core.decision import Route
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.ledger import Block, Span, effective_chain
from stream_filter.core.position import parse_position
from stream_filter.gate.fold_summary import parse_summary
from stream_filter.gate.headers import SF_FOLD, SF_RELEASED, SF_REPLAY, SF_SOURCE
from stream_filter.kafka.reader import TopicReader
from stream_filter.store.arrow_block import ArrowLedgerCodec

Progress = Callable[[str, int], None]
"""Told what is being read and how many records of it so far."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The finding on one source topic, by partition."""

    topic: str
    partitions: dict[int, Conservation]
    pending: dict[int, int]
    """Records behind the last block: not yet decided."""
    damaged_blocks: tuple[str, ...]

    @property
    def holds(self) -> bool:
        return not self.damaged_blocks and not any(c.problems for c in self.partitions.values())


@dataclass(slots=True)
class _Account:
    """What was read about one source partition so far."""

    spans: list[Span] = field(default_factory=list)
    rows: list[NDArray[np.int64]] = field(default_factory=list)
    forward: list[NDArray[np.int64]] = field(default_factory=list)
    dead: list[NDArray[np.int64]] = field(default_factory=list)
    defer: list[NDArray[np.int64]] = field(default_factory=list)
    fold: list[NDArray[np.int64]] = field(default_factory=list)
    fold_digests: list[NDArray[np.uint64]] = field(default_factory=list)
    exactly_once: bool = True

    def add(self, block: Block) -> None:
        header, route = block.header, block.decisions.route
        self.spans.append(Span(header.first_offset, header.last_offset + 1, len(self.spans)))
        self.rows.append(block.offsets)
        self.forward.append(block.offsets[route == Route.FORWARD])
        self.dead.append(block.offsets[route == Route.DEAD_LETTER])
        self.defer.append(block.offsets[route == Route.DEFER])
        self.fold.append(block.offsets[route == Route.FOLD])
        self.fold_digests.append(block.text_digests[route == Route.FOLD])
        self.exactly_once &= header.delivery == "exactly_once"


async def verify_topic(
    reader: TopicReader,
    topic: str,
    *,
    ledger_topic: str,
    forward_topics: Iterable[str],
    dead_letter_topic: str,
    deferred_topic: str,
    replay_topic: str,
    window_ms: tuple[int | None, int | None],
    progress: Progress,
) -> Verification:
    """Verify a window of record time (None: open). Raises BrokerError or ConfigError.

    The ledger's end is read first, then the targets', then the source's: whatever a live worker
    adds meanwhile lies behind the last block read, and is left to the next verification.
    """
    targets = frozenset(forward_topics)
    accounts, damaged = await _read_ledger(reader, topic, ledger_topic, progress)
    replays = await read_replays(reader, replay_topic)
    sent = await _read_sent(reader, topic, targets, progress)
    later_replays = await read_replays(reader, replay_topic)
    dead = await _read_sent(reader, topic, [dead_letter_topic], progress)
    # Without a budget that defers there need be no such topic.
    waiting = [deferred_topic] if reader.has(deferred_topic) else []
    deferred = await _read_sent(reader, topic, waiting, progress)
    sources = reader.partitions(topic)
    bounds = await reader.bounds(sources)
    windows = await _windows(reader, bounds, window_ms)
    chains = {p: effective_chain(account.spans) for p, account in accounts.items()}
    pending: dict[int, int] = {}
    for source, (first, end) in windows.items():
        chain = chains.get(source.partition)
        accounted = chain[-1].next if chain else first
        pending[source.partition] = max(0, end - max(first, accounted))
        began = chain[0].first if chain else end
        windows[source] = (max(first, min(began, end)), min(end, max(first, accounted)))
    held = await _read_offsets(reader, windows, progress)
    partitions = {}
    for source in sources:
        p = source.partition
        account = accounts.get(p, _Account())
        chain = chains.get(p, [])
        counts = {span.sequence for span in chain}
        facts = PartitionFacts(
            window=windows[source],
            source=held[p],
            chain=chain,
            rows=_joined(account.rows[s] for s in sorted(counts)),
            forward_rows=_joined(account.forward[s] for s in sorted(counts)),
            dead_rows=_joined(account.dead[s] for s in sorted(counts)),
            defer_rows=_joined(account.defer[s] for s in sorted(counts)),
            fold_rows=_joined(account.fold[s] for s in sorted(counts)),
            fold_digests=np.concatenate(
                [np.empty(0, np.uint64), *(account.fold_digests[s] for s in sorted(counts))]
            ),
            forwarded=sent[p].as_array(),
            dead=dead[p].as_array(),
            deferred=deferred[p].as_array(),
            released=np.array(sent[p].released, np.int64),
            replayed=np.array(sent[p].replayed, np.int64),
            replay_ranges=replays.ranges(topic=topic, partition=p, to_topics=targets),
            later_replay_ranges=later_replays.ranges(topic=topic, partition=p, to_topics=targets),
            summaries=sent[p].summaries,
            overtaken=_joined(
                offsets
                for s in range(len(account.spans))
                if s not in counts
                for offsets in (account.forward[s], account.dead[s], account.defer[s])
            ),
            exactly_once=account.exactly_once,
        )
        partitions[p] = conserve(facts)
    return Verification(
        topic=topic, partitions=partitions, pending=pending, damaged_blocks=tuple(damaged)
    )


async def _read_ledger(
    reader: TopicReader, topic: str, ledger_topic: str, progress: Progress
) -> tuple[dict[int, _Account], list[str]]:
    codec = ArrowLedgerCodec()
    accounts: dict[int, _Account] = defaultdict(_Account)
    damaged: list[str] = []
    read = 0
    ranges = await reader.bounds(reader.partitions(ledger_topic))
    async for _, records in reader.read(ranges):
        read += len(records)
        progress(ledger_topic, read)
        for record in records:
            try:
                block = codec.decode(record.value or b"")
            except StreamFilterError as error:
                damaged.append(f"{record.topic}/{record.partition}/{record.offset}: {error}")
                continue
            if block.header.topic == topic:
                accounts[block.header.partition].add(block)
    return dict(accounts), damaged


@dataclass(slots=True)
class _Sent:
    """What the gate sent of one source partition."""

    offsets: list[int] = field(default_factory=list)
    released: list[int] = field(default_factory=list)
    """What came by way of the deferred topic."""
    replayed: list[int] = field(default_factory=list)
    summaries: list[FoldCount] = field(default_factory=list)

    def as_array(self) -> NDArray[np.int64]:
        return np.array(self.offsets, np.int64)


async def _read_sent(
    reader: TopicReader, topic: str, targets: Iterable[str], progress: Progress
) -> dict[int, _Sent]:
    """What the gate's headers in the target topics name, by source partition."""
    found: dict[int, _Sent] = defaultdict(_Sent)
    prefix = f"{topic}/".encode()
    for target in sorted(set(targets)):
        read = 0
        async for _, records in reader.read(await reader.bounds(reader.partitions(target))):
            read += len(records)
            progress(target, read)
            for record in records:
                origin = _origin(record.headers)
                if not origin.named.startswith(prefix):
                    continue
                try:
                    position = parse_position(origin.named.decode())
                    if origin.is_fold:
                        found[position.partition].summaries.append(_counted(record.value))
                    elif origin.is_replayed:
                        found[position.partition].replayed.append(position.offset)
                    elif origin.is_released:
                        found[position.partition].released.append(position.offset)
                    else:
                        found[position.partition].offsets.append(position.offset)
                except ValueError:  # a foreign producer's header, not the gate's
                    continue
    return found


class _Origin(NamedTuple):
    """What the gate's headers say of where a record comes from."""

    named: bytes = b""
    """A printed position; empty where the record is not the gate's."""
    is_fold: bool = False
    is_released: bool = False
    is_replayed: bool = False


def _origin(headers: Sequence[tuple[str, bytes | None]]) -> _Origin:
    is_released = is_replayed = False
    # The gate's headers come last: a source may have brought its own of that name.
    for name, value in reversed(headers):
        is_released |= name == SF_RELEASED
        is_replayed |= name == SF_REPLAY
        if name in (SF_SOURCE, SF_FOLD):
            return _Origin(value or b"", name == SF_FOLD, is_released, is_replayed)
    return _Origin()


def _counted(value: bytes | None) -> FoldCount:
    """Raises ValueError where a value is no summary."""
    summary = parse_summary(value or b"")
    return FoldCount(
        digest=int(summary.text_digest, 16),
        first=parse_position(summary.first).offset,
        last=parse_position(summary.last).offset,
        folded=summary.folded,
    )


async def _windows(
    reader: TopicReader,
    bounds: dict[TopicPartition, tuple[int, int]],
    window_ms: tuple[int | None, int | None],
) -> dict[TopicPartition, tuple[int, int]]:
    windows = dict(bounds)
    for side, at_ms in enumerate(window_ms):
        if at_ms is None:
            continue
        found = await reader.offsets_at(bounds, at_ms)
        for source, (first, end) in windows.items():
            at = found[source] if found[source] is not None else bounds[source][1]
            assert at is not None
            windows[source] = (max(first, at), end) if side == 0 else (first, min(end, at))
    return {s: (first, max(first, end)) for s, (first, end) in windows.items()}


async def _read_offsets(
    reader: TopicReader, windows: dict[TopicPartition, tuple[int, int]], progress: Progress
) -> dict[int, NDArray[np.int64]]:
    parts: dict[int, list[NDArray[np.int64]]] = {s.partition: [] for s in windows}
    read = 0
    async for source, records in reader.read(windows):
        read += len(records)
        progress(source.topic, read)
        offsets = np.fromiter((r.offset for r in records), np.int64, len(records))
        parts[source.partition].append(offsets)
    return {partition: _joined(offsets) for partition, offsets in parts.items()}


def _joined(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *parts])
