"""A forwarded event as the view of an outage sees it, and the shape of the view."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """Who said what, when, about whom, in the course of what."""

    event_id: str
    at_ms: int
    service: str
    kind: bytes
    """Digest of what makes its text the same as another's."""
    text: str
    peers: tuple[str, ...] = ()
    """Services that it names."""
    traces: tuple[str, ...] = ()
    """Requests or traces that it belongs to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How the view looks at a stream."""

    window_ms: int = 300_000
    baseline_ms: int = 3_600_000
    """The time before the window, or before the outage, that counts are held against."""
    every_ms: int = 30_000
    """From one look to the next."""
    false_alarms: float = 0.001
    """The chance, in any one window, that an excess is seen where there is none."""

    SLOTS = 30
    """In a window: the resolution of all counts."""
    SCALES = (1, 4)
    """An excess is looked for in one window, and in four: what grows slowly shows there."""

    @property
    def slot_ms(self) -> int:
        return max(1, self.window_ms // self.SLOTS)

    @property
    def kept_slots(self) -> int:
        """The longest look and its baseline."""
        return self.baseline_ms // self.slot_ms + max(self.SCALES) * self.SLOTS
