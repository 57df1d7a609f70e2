"""What the analyst tells its operator: counts of everything, a log line where something changes."""

from collections.abc import Sequence

import structlog

from stream_filter.analyst.backlog import Event
from stream_filter.analyst.endpoint import Reply
from stream_filter.analyst.outcome import Cause, Finding
from stream_filter.outage.incident import Incident
from stream_filter.outage.packing import moment
from stream_filter.telemetry.analyst_metrics import AnalystMetrics

_log = structlog.get_logger("stream_filter")


class AnalystObserver:
    """Courier's, desk's and session's observer."""

    def __init__(self, metrics: AnalystMetrics) -> None:
        self._metrics = metrics
        self.is_assigned = False

    def replied(self, judge: str, reply: Reply, cost: float) -> None:
        m = self._metrics
        m.requests.labels(judge, "replied").inc()
        m.tokens.labels(judge, "input").inc(reply.input_tokens)
        m.tokens.labels(judge, "output").inc(reply.output_tokens)
        m.cost.labels(judge).inc(cost)
        m.reply_seconds.labels(judge).observe(reply.seconds)

    def failed(self, judge: str, cause: Cause, cost: float) -> None:
        self._metrics.requests.labels(judge, cause.value).inc()
        self._metrics.cost_unsure.labels(judge).inc(cost)

    def breaker_changed(self, judge: str, *, is_open: bool, why: str) -> None:
        self._metrics.breaker_open.labels(judge).set(is_open)
        if is_open:
            _log.warning("endpoint.down", judge=judge, why=why)
        else:
            _log.info("endpoint.up", judge=judge)

    def budget_emptied(self, is_empty: bool) -> None:
        self._metrics.budget_gone.set(is_empty)
        if is_empty:
            _log.error("budget.gone")
        else:
            _log.info("budget.back")

    def found(self, finding: Finding, events: Sequence[Event], *, is_main: bool) -> None:
        if not is_main:
            return
        if finding.opinion is None:
            assert finding.cause is not None, "no opinion has a cause"
            outcome = finding.cause.value
            _log.warning("verdict.missing", cause=outcome, events=len(events))
        else:
            outcome = "important" if finding.opinion.important else "unimportant"
        self._metrics.events.labels(events[0].topic, outcome).inc(len(events))
        source = "cached" if finding.is_cached else "asked"
        self._metrics.texts.labels(source).inc()
        if len(events) > 1:
            self._metrics.texts.labels("cached" if finding.is_cached else "folded").inc(
                len(events) - 1
            )

    def assigned(self, partitions: int, share: float, resumed: int) -> None:
        self.is_assigned = True
        _log.info("analyst.assigned", partitions=partitions, share=round(share, 4), resumed=resumed)

    def passed_over(self, topic: str) -> None:
        self._metrics.events.labels(topic, "passed_over").inc()

    def unread(self, topic: str) -> None:
        self._metrics.events.labels(topic, Cause.EMPTY.value).inc()

    def waiting(self, events: int) -> None:
        self._metrics.waiting_events.set(events)

    def lag(self, topic: str, partition: int, records: int) -> None:
        self._metrics.lag_records.labels(topic, str(partition)).set(records)

    def incident_changed(self, incident: Incident) -> None:
        is_open = incident.state == "open"
        self._metrics.incidents_open.set(is_open)
        facts = {"incident": incident.incident_id, "onset": moment(incident.onset_ms)}
        if incident.revision == 1:
            suspect = incident.suspects[0].service if incident.suspects else None
            _log.warning(
                "incident.opened", **facts, services=len(incident.services), suspect=suspect
            )
        elif not is_open:
            _log.info("incident.closed", **facts, services=len(incident.services))

    def outage_answered(self, outcome: str) -> None:
        self._metrics.outage_answers.labels(outcome).inc()
        if outcome != "answered":
            _log.warning("incident.unassessed", cause=outcome)

    def outage_failed(self, error: Exception, retry_in_s: float) -> None:
        self._metrics.outage_failures.inc()
        _log.error("outage.failed", error=str(error), retry_in_s=retry_in_s)

    def incident_unreadable(self, position: str, error: Exception) -> None:
        _log.warning("incident.unreadable", position=position, error=str(error))

    def session_failed(self, error: Exception, retry_in_s: float) -> None:
        self._metrics.session_failures.inc()
        _log.error("analyst.failed", error=str(error), retry_in_s=retry_in_s)
