"""Records of an analysis topic as the view of an outage sees them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import orjson

from stream_filter.analyst.prompt import Prompt
from stream_filter.analyst.reading import read_event
from stream_filter.analyst.redaction import redact
from stream_filter.outage.sighting import Sighting

UNKNOWN = "unknown"
"""The service of an event that names none."""
_NAME_CHARS = 100
_MOST_NAMES = 8
"""Peers, or traces, of one event: more are left out."""


class Record(Protocol):
    """What is read of a Kafka record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """Where an event says who speaks, of whom, and in the course of what: dotted paths."""

    service: tuple[str, ...] = ("service",)
    peer: tuple[str, ...] = ("peer",)
    trace: tuple[str, ...] = ("trace_id", "request_id")
    """Of `service` the first that is there counts, of the others all."""


def sightings(records: Sequence[Record], prompt: Prompt, fields: Fields) -> Iterator[Sighting]:
    """Of the records that the gate has forwarded. Names and texts are redacted as in prompts; what
    cannot be read has neither service nor peers, and its text is what it is."""
    shown = prompt.show([record.value or b"" for record in records])
    documents = [_document(record.value or b"") for record in records]
    services = [_names(document, fields.service)[:1] for document in documents]
    peers = [_names(document, fields.peer) for document in documents]
    names = list(dict.fromkeys(name for found in (*services, *peers) for name in found))
    redacted = dict(zip(names, redact(names, prompt.redactions), strict=True))
    for number, (record, each) in enumerate(zip(records, shown, strict=True)):
        event = read_event(record.topic, record.partition, record.offset, record.headers)
        if event is None or each is None:
            continue
        yield Sighting(
            event_id=event.event_id,
            at_ms=record.timestamp,
            service=redacted[services[number][0]] if services[number] else UNKNOWN,
            kind=each.kind,
            text=each.text,
            peers=tuple(redacted[name] for name in peers[number]),
            traces=tuple(_names(documents[number], fields.trace)),
        )


def _document(value: bytes) -> dict[str, Any]:
    try:
        document = orjson.loads(value)
    except orjson.JSONDecodeError:
        return {}
    return document if isinstance(document, dict) else {}


def _names(document: dict[str, Any], paths: Sequence[str]) -> list[str]:
    """The values at these paths that can be names, each once."""
    found: dict[str, None] = {}
    for path in paths:
        at: Any = document.get(path)
        if at is None and "." in path:
            at = document
            for step in path.split("."):
                at = at.get(step) if isinstance(at, dict) else None
        for value in at if isinstance(at, list) else [at]:
            if isinstance(value, str | int) and not isinstance(value, bool):
                name = " ".join(str(value)[:_NAME_CHARS].split())
                if name:
                    found[name.encode("utf-8", "replace").decode()] = None
            if len(found) == _MOST_NAMES:
                return list(found)
    return list(found)
