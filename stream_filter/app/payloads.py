"""Values of events, read back from their source topics for as long as these hold them."""

from collections import defaultdict
from collections.abc import Iterable

from aiokafka import ConsumerRecord, TopicPartition

from stream_filter.core.position import Position
from stream_filter.kafka.reader import TopicReader

_GAP = 2_000
"""Offsets nearer than that are read as one range: cheaper than asking again."""


async def read_payloads(
    reader: TopicReader, positions: Iterable[Position]
) -> dict[Position, bytes | None]:
    """What stands there; positions that the topic no longer holds are missing, and so are topics
    that do not exist. Raises BrokerError."""
    wanted = set(positions)
    found: dict[Position, bytes | None] = {}
    for ranges in _rounds(await _held(reader, wanted)):
        async for source, records in reader.read(ranges):
            for record in records:
                position = Position(source.topic, source.partition, record.offset)
                if position in wanted:
                    found[position] = record.value
    return found


async def read_record(reader: TopicReader, position: Position) -> ConsumerRecord | None:
    """The record that stands there, with key, headers and timestamp; None where it is gone. Raises
    BrokerError."""
    for source in await _held(reader, [position]):
        async for _, records in reader.read({source: (position.offset, position.offset + 1)}):
            return records[0]
    return None


async def _held(
    reader: TopicReader, positions: Iterable[Position]
) -> dict[TopicPartition, list[int]]:
    """Offsets that are still there, ascending."""
    offsets: dict[TopicPartition, list[int]] = defaultdict(list)
    for position in sorted(positions):
        if reader.has(position.topic):
            offsets[TopicPartition(position.topic, position.partition)].append(position.offset)
    known = {source for topic in {s.topic for s in offsets} for source in reader.partitions(topic)}
    asked = [source for source in offsets if source in known]
    if not asked:
        return {}
    bounds = await reader.bounds(asked)
    return {s: [o for o in offsets[s] if bounds[s][0] <= o < bounds[s][1]] for s in asked}


def _rounds(
    offsets: dict[TopicPartition, list[int]],
) -> list[dict[TopicPartition, tuple[int, int]]]:
    """Ranges to be read, one a partition at a time."""
    rounds: list[dict[TopicPartition, tuple[int, int]]] = []
    for source, of_source in offsets.items():
        ranges: list[tuple[int, int]] = []
        for offset in of_source:
            if ranges and offset - ranges[-1][1] < _GAP:
                ranges[-1] = (ranges[-1][0], offset + 1)
            else:
                ranges.append((offset, offset + 1))
        for index, each in enumerate(ranges):
            if index == len(rounds):
                rounds.append({})
            rounds[index][source] = each
    return rounds
