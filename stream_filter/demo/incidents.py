"""The incidents that the analyst sees, as they come."""

from collections.abc import Callable
from dataclasses import dataclass

from stream_filter.kafka.board import KafkaBoard
from stream_filter.outage.incident import Incident
from stream_filter.store.incident_json import decode_incident


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenIncident:
    """An incident, newest record, and when the demo first heard of it."""

    at_s: float
    """Seconds of the storyline."""
    incident: Incident


class Incidents:
    """Follows the incidents topic."""

    def __init__(self, board: KafkaBoard, *, at_s: Callable[[], float]) -> None:
        self._board = board
        self._at_s = at_s
        self._seen: dict[str, SeenIncident] = {}

    async def follow(self) -> None:
        """Without end. Raises StreamFilterError."""
        async for records in self._board.follow():
            for record in records:
                self.take(decode_incident(record.value))

    def take(self, incident: Incident) -> None:
        """A record of it."""
        before = self._seen.get(incident.incident_id)
        at_s = before.at_s if before else self._at_s()
        self._seen[incident.incident_id] = SeenIncident(at_s=at_s, incident=incident)

    @property
    def seen(self) -> tuple[SeenIncident, ...]:
        """In the order in which they came."""
        return tuple(self._seen.values())
