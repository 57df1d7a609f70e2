"""An event's identity."""

import hashlib
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """Where an event stands in Kafka, printed `topic/partition/offset`."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


def parse_position(text: str) -> Position:
    """The inverse of `str(position)`. Raises ValueError."""
    topic, _, rest = text.partition("/")
    partition, _, offset = rest.partition("/")
    if not (topic and partition.isascii() and partition.isdigit()):
        raise ValueError(f"{text!r} is not a position: write topic/partition/offset")
    if not (offset.isascii() and offset.isdigit()):
        raise ValueError(f"{text!r} is not a position: write topic/partition/offset")
    return Position(topic, int(partition), int(offset))


def event_id(position: str, *, key: bytes) -> str:
    """The `sf-id` of the event at a printed position: 32 hex digits, keyed BLAKE2b.

    Equal for every repeat of the event. Whoever does not know the gate's key cannot make one,
    so a verdict that carries a foreign id can be told from a real one.
    """
    identity = keyed_hash(key)
    identity.update(position.encode())
    return identity.hexdigest()


def keyed_hash(key: bytes) -> "hashlib.blake2b":
    """The hash of `event_id`, to be copied and given positions: the key is taken in once."""
    return hashlib.blake2b(digest_size=16, key=key)
