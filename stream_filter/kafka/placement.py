"""Which partition of a target topic a record goes to."""

import zlib
from functools import lru_cache

from aiokafka import TopicPartition
from aiokafka.partitioner import murmur2


def by_key(key: bytes, count: int) -> int:
    """Kafka's default partitioning of keyed records."""
    return _kafka_hash(key) % count


def by_source(source: TopicPartition, count: int) -> int:
    """One source partition's records stay together and in order."""
    return (zlib.crc32(source.topic.encode()) + int(source.partition)) % count


@lru_cache(maxsize=50_000)
def _kafka_hash(key: bytes) -> int:
    """Remembered, because aiokafka's is a loop over the bytes in Python."""
    hashed: int = murmur2(key) & 0x7FFFFFFF
    return hashed
