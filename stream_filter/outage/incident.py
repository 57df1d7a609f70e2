"""An incident: what is known of one outage, as it stands in the incidents topic."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from stream_filter.outage.view import View

INCIDENT_VERSION = "1"
MOST_SERVICES, MOST_TEXTS, MOST_LINKS, MOST_SUSPECTS = 100, 30, 60, 5
"""In a record, the most telling: a record stays small, whatever the stream."""
NAME_CHARS, TEXT_CHARS = 100, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRecord:
    """A service that complains."""

    service: str
    count: int
    usual: float
    since_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TextRecord:
    """A text that tells of it."""

    service: str
    text: str
    count: int
    usual: float
    first_ms: int
    last_ms: int
    is_novel: bool
    event_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkRecord:
    """The first service names the second, or stands after it in the same requests."""

    source: str
    target: str
    by: str
    count: int
    usual: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SuspectRecord:
    """Where the blame comes to rest, and how much of it."""

    service: str
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What a model says of it."""

    judge: str
    at_ms: int
    is_outage: bool
    since_ms: int | None
    root: str | None
    affected: tuple[str, ...]
    advice: str
    rests_on: tuple[str, ...]
    tokens: int
    cost: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """One outage, from the first sign until it is over. Times are Unix milliseconds."""

    incident_version: str = INCIDENT_VERSION
    incident_id: str
    state: Literal["open", "closed"]
    revision: int
    onset_ms: int
    opened_ms: int
    seen_ms: int
    closed_ms: int | None = None
    services: tuple[ServiceRecord, ...]
    suspects: tuple[SuspectRecord, ...]
    texts: tuple[TextRecord, ...]
    links: tuple[LinkRecord, ...]
    assessment: Assessment | None = None
    unassessed: str | None = None


def incident_id(onset_ms: int, services: Sequence[str]) -> str:
    """From what it is about: who opens it a second time gives it the same name."""
    at = datetime.fromtimestamp(onset_ms / 1000, UTC).strftime("%Y%m%dT%H%M%SZ")
    digest = hashlib.sha256("\0".join(sorted(services)).encode("utf-8", "replace")).hexdigest()
    return f"{at}-{digest[:6]}"


def service_records(view: View) -> tuple[ServiceRecord, ...]:
    """In the order in which they began."""
    return tuple(
        ServiceRecord(
            service=_name(each.service),
            count=each.count,
            usual=each.usual,
            since_ms=each.onset_ms or view.now_ms,
        )
        for each in view.complaining[:MOST_SERVICES]
    )


def suspect_records(view: View) -> tuple[SuspectRecord, ...]:
    """The first has most of the blame."""
    return tuple(
        SuspectRecord(service=_name(name), share=share)
        for name, share in view.suspects[:MOST_SUSPECTS]
    )


def text_records(view: View) -> tuple[TextRecord, ...]:
    """The most telling first; of services that complain or are suspected."""
    named = {each.service for each in view.complaining}
    named |= {name for name, _ in view.suspects[:MOST_SUSPECTS]}
    kinds = [kind for kind in view.kinds if kind.service in named and kind.surprise > 0.0]
    return tuple(
        TextRecord(
            service=_name(kind.service),
            text=_cut(kind.text, TEXT_CHARS),
            count=kind.count,
            usual=kind.usual,
            first_ms=kind.first_ms,
            last_ms=kind.last_ms,
            is_novel=kind.is_novel,
            event_id=kind.examples[-1].event_id,
        )
        for kind in kinds[:MOST_TEXTS]
    )


def link_records(view: View) -> tuple[LinkRecord, ...]:
    """Of services that complain, those that are more than usual."""
    named = {each.service for each in view.complaining}
    links = [e for e in view.links if e.source in named and e.count > e.usual]
    return tuple(
        LinkRecord(
            source=_name(link.source),
            target=_name(link.target),
            by=link.by,
            count=link.count,
            usual=link.usual,
        )
        for link in links[:MOST_LINKS]
    )


def _name(text: str) -> str:
    return _cut(text, NAME_CHARS)


def _cut(text: str, most: int) -> str:
    """As UTF-8 can say it: a lone surrogate has no form there."""
    return text[:most].encode("utf-8", "replace").decode()
