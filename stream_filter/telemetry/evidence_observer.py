"""What becomes of ledger and verdicts, told to the operator."""

from collections.abc import Sequence

import structlog

from stream_filter.core.certificate import CertificateState
from stream_filter.core.evidence_book import EvidenceBook
from stream_filter.core.oracle import Flaw
from stream_filter.core.statement import Statement
from stream_filter.telemetry.metrics import Metrics

_log = structlog.get_logger("stream_filter")
_LOGGED_REFUSALS = 20
"""Between two openings of the evidence; the metric counts them all."""


class EvidenceTelemetry:
    """Told by the evidence's keeper, its Faust application and its statements."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._refusals = 0

    def evidence_opened(self, *, term: int, pages: int, problems: Sequence[str]) -> None:
        self._metrics.evidence_held.set(1)
        self._refusals = 0
        _log.info("evidence.opened", term=term, pages=pages)
        if problems:
            _log.error(
                "evidence.damaged",
                pieces=len(problems),
                problems=list(problems[:5]),
                effect="what they held is read from the ledger again, as far as it reaches",
            )

    def evidence_closed(self) -> None:
        self._metrics.evidence_held.set(0)
        self._metrics.verdicts.clear()
        self._metrics.verdict_judges.clear()
        _log.info("evidence.closed")

    def evidence_failed(self, error: Exception, retry_in_s: float) -> None:
        self._metrics.evidence_failures.inc()
        _log.error(
            "evidence.failed",
            error=str(error) or repr(error),
            retry_in_s=retry_in_s,
            effect="the gate decides on; certificates stand still",
        )

    def evidence_counted(self, book: EvidenceBook) -> None:
        tally = book.tally
        self._metrics.verdicts.labels("counted").set(tally.counted)
        for flaw in Flaw:
            self._metrics.verdicts.labels(flaw.value).set(tally.flaws[flaw])
        people = sum(judge.is_person for judge in tally.judges)
        self._metrics.verdict_judges.labels("person").set(people)
        self._metrics.verdict_judges.labels("model").set(len(tally.judges) - people)

    def verdict_refused(self, position: str, cause: str, problem: str) -> None:
        self._refusals += 1
        if self._refusals <= _LOGGED_REFUSALS:
            _log.warning("verdict.refused", record=position, cause=cause, problem=problem)

    def verdicts_lost(self, first: int, next_offset: int) -> None:
        _log.error(
            "verdicts.lost",
            verdicts=next_offset - first,
            effect="events without a verdict count against the gate",
            way_out="raise the retention of the verdict topic",
        )

    def block_unreadable(self, position: str, problem: str) -> None:
        self._metrics.evidence_blocks_unreadable.inc()
        _log.error("block.unreadable", record=position, cause=problem)

    def ledger_lost(self, error: Exception) -> None:
        _log.warning("ledger.lost", error=str(error), effect="the evidence waits")

    def certificate_stated(self, statement: Statement, last: Statement | None) -> None:
        metrics, topic = self._metrics, statement.topic
        for state in CertificateState:
            metrics.certificate_state.labels(topic, state.value).set(state is statement.state)
        metrics.evidence_pending.labels(topic).set(statement.pending)
        finding, signs = statement.finding, statement.signs
        if signs is not None:
            metrics.score_shift.labels(topic).set(signs.score_shift)
            metrics.novelty_growth.labels(topic).set(signs.novelty_growth)
        if finding is not None:
            metrics.recall_lower.labels(topic).set(finding.recall.lower)
            metrics.recall_upper.labels(topic).set(finding.recall.upper)
            metrics.missed_upper.labels(topic).set(finding.missed.upper)
        widened = statement.widened
        if widened is not None and (last is None or last.widened != widened):
            _log.warning(
                "certificate.widened",
                topic=topic,
                drops_below=widened.drop_below,
                forwarded_share=round(widened.forwarded_share, 4),
                important=widened.important,
                effect="only scores below are dropped, nothing by a rule, until it stands again",
            )
        now = (statement.state, statement.has_fallen)
        if last is not None and (last.state, last.has_fallen) == now:
            return
        line = {
            "topic": topic,
            "state": statement.state.value,
            "before": statement.before.value if statement.before else None,
            "causes": [cause.value for cause in statement.stale_causes],
            "recall_lower": round(finding.recall.lower, 4) if finding else None,
            "recall_upper": round(finding.recall.upper, 4) if finding else None,
            "score_shift": round(signs.score_shift, 4) if signs else None,
            "novelty_growth": round(signs.novelty_growth, 4) if signs else None,
            "slices": [s.slice for s in statement.slices if s.state is CertificateState.REFUTED],
        }
        if statement.has_fallen:
            _log.error(
                "certificate.fallen",
                **line,
                effect=f"{statement.on_failure.value} on all workers",
                way_out="it ends when the topic is certified: calibrate again and push the policy",
            )
        else:
            _log.info("certificate.changed", **line)

    def certificate_unreadable(self, position: str, problem: str) -> None:
        _log.warning("certificate.unreadable", record=position, cause=problem)

    def certificates_lost(self, error: Exception) -> None:
        _log.warning("certificates.lost", error=str(error), effect="what was read holds")

    def statement_failed(self, error: Exception) -> None:
        _log.warning("statement.failed", error=str(error), effect="it is stated again")
