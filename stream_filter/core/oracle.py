"""What the analyst says of events, as it comes back, and why some of it does not count."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True, order=True)
class Judge:
    """Who gave a verdict: a model or a person."""

    name: str
    is_person: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleVerdict:
    """The analyst's answer on one event, as a record of the verdict topic says it."""

    event_id: bytes
    """The 16 bytes of the event's `sf-id`."""
    important: bool
    judge: Judge
    repeat: int = 0
    """Which of several answers of this judge on this event."""
    cost: float = 0.0
    """In the analyst's own currency."""
    tokens: int = 0
    seconds: float = 0.0
    offset: int
    """Its place in the verdict topic: who reads the topic again sees the same verdict there."""
    at_ms: int
    """When the broker took it, Unix milliseconds."""


class Flaw(StrEnum):
    """Why a record of the verdict topic does not count. A closed list."""

    EMPTY = "empty"
    """A record without a value."""
    TOO_LARGE = "too_large"
    UNREADABLE = "unreadable"
    """Not a JSON object."""
    INVALID = "invalid"
    """A key is missing, or its value is none that it may have."""
    NO_VERDICT = "no_verdict"
    """The analyst says that he has none, and why."""
    UNKNOWN = "unknown"
    """No event with this id was shown, as far as is remembered: forged, or far too late."""
    DUPLICATE = "duplicate"
    """The same judge said it of the same event before, under the same repeat number."""
    LATE = "late"
    """Its epoch was closed when it came."""
