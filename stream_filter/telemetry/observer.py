"""The `Observer` port on structlog and Prometheus: one canonical line a batch, every count."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import structlog

from stream_filter.core.decision import Reason, Route
from stream_filter.gate.batch import Outcome, Settlement
from stream_filter.telemetry.metrics import Metrics

_log = structlog.get_logger("stream_filter")
_REASONS = len(Reason)


def count_decisions(outcome: Outcome) -> Counter[tuple[Route, Reason]]:
    """How many decisions of a batch fell to each route and reason."""
    decisions = outcome.block.decisions
    pairs = decisions.route.astype(np.int64) * _REASONS + decisions.reason
    return Counter(
        {
            (Route(code // _REASONS), Reason(code % _REASONS)): int(count)
            for code, count in enumerate(np.bincount(pairs))
            if count
        }
    )


def count_rules(outcome: Outcome) -> dict[str, int]:
    """How many records of a batch each rule decided, by its label."""
    rule = outcome.block.decisions.rule
    if rule is None:
        return {}
    counts = np.bincount(rule[rule >= 0], minlength=len(outcome.block.rule_labels)).tolist()
    return {
        label: count
        for label, count in zip(outcome.block.rule_labels, counts, strict=True)
        if count
    }


class TelemetryObserver:
    """Told by the data plane; tells the operator."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._owned: set[tuple[str, int]] = set()
        self._assigned: int | None = None
        self._behind: set[tuple[str, int]] = set()
        self.last_error: str | None = None
        """What last went wrong, until a batch is committed."""

    @property
    def is_settled(self) -> bool:
        """The group has settled and every partition assigned to this worker is open."""
        return self._assigned is not None and len(self._owned) == self._assigned

    @property
    def owned(self) -> int:
        """How many partitions are open."""
        return len(self._owned)

    def group_joined(self, partitions: int) -> None:
        self._assigned = partitions
        _log.info("group.joined", partitions=partitions)

    def partition_assigned(self, topic: str, partition: int, next_offset: int) -> None:
        self._owned.add((topic, partition))
        self._metrics.partitions_assigned.set(len(self._owned))
        _log.info("partition.assigned", topic=topic, partition=partition, next_offset=next_offset)

    def memory_recalled(
        self, topic: str, partition: int, entries: Mapping[str, int], problems: Sequence[str]
    ) -> None:
        _log.info("memory.recalled", topic=topic, partition=partition, **entries)
        if problems:
            self._metrics.memory_damaged.labels(topic).inc(len(problems))
            _log.error(
                "memory.damaged",
                topic=topic,
                partition=partition,
                pieces=len(problems),
                problems=list(problems[:5]),
                effect="what they held is forgotten: more is forwarded",
            )

    def partition_released(self, topic: str, partition: int, *, clean: bool) -> None:
        self._owned.discard((topic, partition))
        self._behind.discard((topic, partition))
        self._metrics.partitions_assigned.set(len(self._owned))
        self._metrics.lag_records.labels(topic, partition).set(0)
        _log.info("partition.released", topic=topic, partition=partition, clean=clean)

    def batch_committed(
        self, outcome: Outcome, *, source_bytes: int, poll_s: float, deliver_s: float, lag: int
    ) -> None:
        header, metrics = outcome.block.header, self._metrics
        counts = count_decisions(outcome)
        for (route, reason), count in counts.items():
            metrics.records.labels(header.topic, route.label, reason.label).inc(count)
        for label, count in count_rules(outcome).items():
            metrics.rule_records.labels(header.topic, label).inc(count)
        metrics.source_bytes.labels(header.topic).inc(source_bytes)
        metrics.ledger_bytes.labels(header.topic).inc(len(outcome.block_bytes))
        metrics.batches.labels(header.topic).inc()
        metrics.texts.labels(header.topic, "read").inc(outcome.texts_read)
        metrics.texts.labels(header.topic, "remembered").inc(
            outcome.distinct_texts - outcome.texts_read
        )
        metrics.memory_bytes.labels(header.topic).inc(
            sum(len(record.value) for record in outcome.memory)
        )
        metrics.fold_summaries.labels(header.topic).inc(outcome.summaries)
        metrics.forwarded_tokens.labels(header.topic).inc(outcome.forwarded_tokens)
        self._tell_lag(header.topic, header.partition, is_behind=outcome.is_behind)
        steps = {"poll": poll_s, **outcome.seconds, "deliver": deliver_s}
        for step, seconds in steps.items():
            metrics.batch_seconds.labels(step).observe(seconds)
        delay_s = (header.decided_at_ms - header.last_timestamp_ms) / 1000 + deliver_s
        metrics.delay_seconds.labels(header.topic).observe(max(0.0, delay_s))
        metrics.lag_records.labels(header.topic, header.partition).set(lag)
        line = {
            "block_id": header.block_id,
            "records": header.rows,
            **{f"{route.label}.{reason.label}": n for (route, reason), n in counts.items()},
            "texts": outcome.distinct_texts,
            "texts_read": outcome.texts_read,
            "lag": lag,
            **{f"{step}_ms": round(seconds * 1000, 1) for step, seconds in steps.items()},
        }
        if outcome.degraded_because is None:
            self.last_error = None
            _log.info("batch.committed", **line)
        else:
            metrics.degraded_batches.labels(header.topic).inc()
            self.last_error = outcome.degraded_because
            _log.error("batch.degraded", cause=outcome.degraded_because, **line)

    def _tell_lag(self, topic: str, partition: int, *, is_behind: bool) -> None:
        """Say when a partition falls behind what its policy allows, and when it has caught up."""
        source = (topic, partition)
        if is_behind:
            self._metrics.overloaded_batches.labels(topic).inc()
        if is_behind and source not in self._behind:
            self._behind.add(source)
            _log.error("partition.overloaded", topic=topic, partition=partition)
        elif not is_behind and source in self._behind:
            self._behind.discard(source)
            _log.info("partition.caught_up", topic=topic, partition=partition)

    def partition_settled(self, settlement: Settlement) -> None:
        topic, partition = settlement.topic, settlement.partition
        summaries = len(settlement.emissions)
        self._metrics.fold_summaries.labels(topic).inc(summaries)
        self._metrics.memory_bytes.labels(topic).inc(
            sum(len(record.value) for record in settlement.memory)
        )
        _log.info("partition.settled", topic=topic, partition=partition, summaries=summaries)

    def unit_failed(self, topic: str, partition: int, error: Exception, retry_in_s: float) -> None:
        self._owned.discard((topic, partition))
        self._metrics.partitions_assigned.set(len(self._owned))
        self._metrics.units_failed.labels(topic).inc()
        self.last_error = str(error)
        _log.warning(
            "unit.failed", topic=topic, partition=partition, error=str(error), retry_in_s=retry_in_s
        )

    def offsets_expired(self, topic: str, partition: int, lost: int) -> None:
        self._metrics.offsets_expired.labels(topic).inc(lost)
        _log.error("offsets.expired", topic=topic, partition=partition, offsets=lost)

    def plane_failed(self, error: Exception, retry_in_s: float) -> None:
        self._owned.clear()
        self._assigned = None
        self._metrics.partitions_assigned.set(0)
        self._metrics.plane_failures.inc()
        self.last_error = str(error)
        _log.error("plane.failed", error=str(error), retry_in_s=retry_in_s)

    def pack_loaded(self, pack: str, model_id: str) -> None:
        self._metrics.pack_ready.labels(pack).set(1)
        self._metrics.pack_intact.labels(pack).set(1)
        _log.info("pack.loaded", pack=pack, model_id=model_id)

    def pack_failed(self, pack: str, cause: str, retry_in_s: float) -> None:
        self._metrics.pack_ready.labels(pack).set(0)
        self.last_error = cause
        _log.error("pack.failed", pack=pack, cause=cause, retry_in_s=retry_in_s, effect="no scores")

    def pack_vanished(self, pack: str, cause: str) -> None:
        self._metrics.pack_intact.labels(pack).set(0)
        _log.error("pack.vanished", pack=pack, cause=cause)

    def policy_switched(self, sequence: int, policy_id: str, paused: tuple[str, ...]) -> None:
        _log.info("policy.switched", sequence=sequence, policy_id=policy_id, paused=list(paused))

    def order_refused(self, position: str, problem: str) -> None:
        self.last_error = problem
        _log.error(
            "order.refused", record=position, cause=problem, effect="what was in force stays"
        )

    def order_unreadable(self, position: str, problem: str) -> None:
        self._metrics.orders_unreadable.inc()
        self.last_error = f"{position}: {problem}"
        _log.error(
            "order.unreadable", record=position, cause=problem, effect="what was in force stays"
        )

    def orders_lost(self, error: Exception) -> None:
        _log.warning("orders.lost", error=str(error), effect="what is in force stays")

    def policy_awaited(self) -> None:
        _log.warning(
            "policy.awaited",
            effect="reads nothing",
            way_out="push one with `stream-filter policy push`, or give --policy",
        )

    def policy_unknown(self) -> None:
        self.last_error = "the policy topic could not be read"
        _log.error("policy.unknown", effect="everything is forwarded as degraded until it is known")

    def file_overruled(self, policy_id: str, file_policy_id: str) -> None:
        _log.warning(
            "policy.overruled",
            policy_id=policy_id,
            file_policy_id=file_policy_id,
            effect="the orders hold, not the policy file",
            way_out="push the file if it is meant",
        )

    def seed_failed(self, error: Exception, retry_in_s: float) -> None:
        _log.warning("seed.failed", error=str(error), retry_in_s=retry_in_s)

    def report_failed(self, error: Exception) -> None:
        _log.warning(
            "report.failed", error=str(error) or type(error).__name__, effect="pushes wait in vain"
        )
