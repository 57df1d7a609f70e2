"""Opens, updates and closes incidents: one at a time, look by look."""

from collections.abc import Iterable
from dataclasses import replace

from stream_filter.outage.incident import (
    Assessment,
    Incident,
    incident_id,
    link_records,
    service_records,
    suspect_records,
    text_records,
)
from stream_filter.outage.looking import look
from stream_filter.outage.view import View
from stream_filter.outage.watch import Span, Watch

_SPANS = 1_000
"""Incidents that are over and remembered: more than a baseline can hold."""


class Docket:
    """While one is open, whatever complains belongs to it, and is held against the time before it
    began. It is over when nothing has complained for `quiet_ms`. The time of those that are over
    is neither usual nor looked at again."""

    def __init__(self, watch: Watch, *, quiet_ms: int, known: Iterable[Incident] = ()) -> None:
        """`known`: the newest record of each incident. Of an open one, the watch must already
        hold what was usual before it (`Watch.hold`)."""
        self._watch = watch
        self._quiet_ms = quiet_ms
        known = sorted(known, key=lambda incident: incident.onset_ms)
        still_open = [incident for incident in known if incident.state == "open"]
        self.open: Incident | None = still_open[-1] if still_open else None
        self._spans: list[Span] = spans(known)
        self.view: View | None = None
        """What was seen last."""

    def step(self, now_ms: int) -> Incident | None:
        """Look; the incident as it is now to be written, or None where nothing has changed."""
        view = self.view = look(self._watch, now_ms, self._spans)
        if self.open is None:
            return self._opened(view) if view.is_excess else None
        if view.is_going_on:
            return self._updated(self.open, view)
        if now_ms - self.open.seen_ms >= self._quiet_ms:
            return self._closed(self.open, now_ms)
        return None

    def assess(self, of: str, said: Assessment | str) -> Incident | None:
        """What a model says of an incident, or why it says nothing; None: it is over."""
        if self.open is None or self.open.incident_id != of:
            return None
        if isinstance(said, Assessment):
            changed = replace(self.open, assessment=said, unassessed=None)
        else:
            changed = replace(self.open, unassessed=said)
        self.open = replace(changed, revision=self.open.revision + 1)
        return self.open

    def _opened(self, view: View) -> Incident:
        onset_ms = view.onset_ms if view.onset_ms is not None else view.since_ms
        services = service_records(view)
        self.open = Incident(
            incident_id=incident_id(onset_ms, [each.service for each in services]),
            state="open",
            revision=1,
            onset_ms=onset_ms,
            opened_ms=view.now_ms,
            seen_ms=view.now_ms,
            services=services,
            suspects=suspect_records(view),
            texts=text_records(view),
            links=link_records(view),
        )
        self._watch.hold(onset_ms, self._spans)
        return self.open

    def _updated(self, known: Incident, view: View) -> Incident:
        """Who has complained once stays named."""
        now = {each.service: each for each in service_records(view)}
        before = {each.service: each for each in known.services}
        merged = [
            replace(each, since_ms=min(each.since_ms, before[name].since_ms))
            if name in before
            else each
            for name, each in now.items()
        ]
        merged += [each for name, each in before.items() if name not in now]
        self.open = replace(
            known,
            revision=known.revision + 1,
            seen_ms=view.now_ms,
            services=tuple(sorted(merged, key=lambda each: (each.since_ms, each.service))),
            suspects=suspect_records(view) or known.suspects,
            texts=text_records(view) or known.texts,
            links=link_records(view) or known.links,
        )
        return self.open

    def _closed(self, known: Incident, now_ms: int) -> Incident:
        closed = replace(known, state="closed", revision=known.revision + 1, closed_ms=now_ms)
        self.open = None
        self._spans = [*self._spans, *spans([closed])][-_SPANS:]
        self._watch.release()
        return closed


def spans(known: Iterable[Incident]) -> list[Span]:
    """The times of those that are over."""
    found = [(each.onset_ms, each.seen_ms) for each in known if each.state == "closed"]
    return found[-_SPANS:]
