"""Incidents as JSON. Published in schemas/incident.schema.json."""

import msgspec

from stream_filter.core.errors import StreamFilterError
from stream_filter.outage.incident import INCIDENT_VERSION, Incident


def encode_incident(incident: Incident) -> bytes:
    return msgspec.json.encode(incident)


def decode_incident(value: bytes | None) -> Incident:
    """Raises StreamFilterError where a value is none."""
    try:
        incident = msgspec.json.decode(value or b"", type=Incident)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise StreamFilterError(f"not an incident: {error}") from error
    if incident.incident_version != INCIDENT_VERSION:
        raise StreamFilterError(
            f"incident version {incident.incident_version}, this reads {INCIDENT_VERSION}"
        )
    return incident
