"""A record of an analysis topic as an event: who it is and what it is worth, or why it is none."""

from collections.abc import Sequence
from hashlib import blake2b

from stream_filter.analyst.backlog import NO_PRIORITY, NO_SCORE, Event
from stream_filter.gate.headers import SF_FOLD, SF_ID, SF_PRIORITY, SF_SCORE

_ID_CHARS = 32


def read_event(
    topic: str, partition: int, offset: int, headers: Sequence[tuple[str, bytes | None]]
) -> Event | None:
    """None: the gate's mark is missing, or it is a fold summary, on which a verdict counts
    nothing."""
    found = dict(headers)  # of two of one name the last is the gate's
    event_id = (found.get(SF_ID) or b"").decode("ascii", "replace")
    is_id = len(event_id) == _ID_CHARS and not set(event_id) - set("0123456789abcdef")
    if not is_id or SF_FOLD in found:
        return None
    return Event(
        topic=topic,
        partition=partition,
        offset=offset,
        event_id=event_id,
        priority=int(_number(found.get(SF_PRIORITY), NO_PRIORITY)),
        score=_number(found.get(SF_SCORE), NO_SCORE),
    )


def _number(value: bytes | None, otherwise: float) -> float:
    try:
        number = float(value or b"")
    except ValueError:
        return otherwise
    return number if abs(number) < 1e9 else otherwise


def is_drawn(event_id: str, share: float, purpose: str) -> bool:
    """Whether an event belongs to a share: decided by its id, so each time alike."""
    draw = blake2b(f"{purpose}/{event_id}".encode(), digest_size=8).digest()
    return int.from_bytes(draw, "big") < share * 2.0**64
