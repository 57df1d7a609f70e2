"""What one look shows."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An event of a kind, as it stood."""

    event_id: str
    at_ms: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KindSeen:
    """One text of one service. Counts are since the onset, at least of the window."""

    service: str
    text: str
    """The newest one of its kind."""
    count: int
    usual: float
    """How many there would have been."""
    surprise: float
    first_ms: int
    last_ms: int
    is_novel: bool
    """Not once in the time before."""
    complains: bool
    examples: tuple[Example, ...]
    """The first and the newest of them, in order of time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSeen:
    """One service. Counts are as those of kinds."""

    service: str
    count: int
    usual: float
    onset_ms: int | None
    """When it began to complain; None: it does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """The first service names the second, or stands before it in the same requests."""

    source: str
    target: str
    by: str
    """`peer` or `trace`."""
    count: int
    usual: float


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All of it, the most telling first."""

    now_ms: int
    since_ms: int
    """What the counts begin with."""
    is_learning: bool
    """Too little is known of the time before to say anything."""
    is_excess: bool
    """Something complains beyond chance, at the stated rate of false alarms."""
    is_going_on: bool
    """Something complains in the last window."""
    onset_ms: int | None
    """None: nothing complains."""
    services: tuple[ServiceSeen, ...]
    kinds: tuple[KindSeen, ...]
    links: tuple[Link, ...]
    suspects: tuple[tuple[str, float], ...]
    """Services with their share of the blame."""

    @property
    def complaining(self) -> tuple[ServiceSeen, ...]:
        """In the order in which they began."""
        found = [each for each in self.services if each.onset_ms is not None]
        return tuple(sorted(found, key=lambda each: (each.onset_ms or 0, each.service)))
