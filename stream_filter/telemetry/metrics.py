"""The closed list of metrics. docs/operations.md describes each; a test holds the two together."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """All metrics of one worker, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.records = Counter(
            "stream_filter_records", "Records decided.", ["topic", "route", "reason"], registry=r
        )
        self.rule_records = Counter(
            "stream_filter_rule_records",
            "Records decided by a rule.",
            ["topic", "rule"],
            registry=r,
        )
        self.source_bytes = Counter(
            "stream_filter_source_bytes", "Keys and values read.", ["topic"], registry=r
        )
        self.ledger_bytes = Counter(
            "stream_filter_ledger_bytes", "Ledger blocks written.", ["topic"], registry=r
        )
        self.batches = Counter(
            "stream_filter_batches", "Units of work committed.", ["topic"], registry=r
        )
        self.batch_seconds = Histogram(
            "stream_filter_batch_seconds",
            "Time of a unit of work by step: poll, read, score, decide, emit, deliver.",
            ["step"],
            buckets=_SECONDS,
            registry=r,
        )
        self.delay_seconds = Histogram(
            "stream_filter_delay_seconds",
            "From the timestamp of a batch's newest record to its commit.",
            ["topic"],
            buckets=_SECONDS,
            registry=r,
        )
        self.texts = Counter(
            "stream_filter_texts",
            "Distinct texts of batches: remembered by the cache, or read by the model.",
            ["topic", "source"],
            registry=r,
        )
        self.lag_records = Gauge(
            "stream_filter_lag_records", "Records not yet read.", ["topic", "partition"], registry=r
        )
        self.partitions_assigned = Gauge(
            "stream_filter_partitions_assigned", "Partitions that this worker owns.", registry=r
        )
        self.units_failed = Counter(
            "stream_filter_units_failed", "Units of work voided and retried.", ["topic"], registry=r
        )
        self.plane_failures = Counter(
            "stream_filter_plane_failures", "Times the consumer was made anew.", registry=r
        )
        self.offsets_expired = Counter(
            "stream_filter_offsets_expired",
            "Offsets that retention took before they were read.",
            ["topic"],
            registry=r,
        )
        self.degraded_batches = Counter(
            "stream_filter_degraded_batches",
            "Units of work in which the model gave no score.",
            ["topic"],
            registry=r,
        )
        self.overloaded_batches = Counter(
            "stream_filter_overloaded_batches",
            "Units of work whose records are older than the policy's max_lag.",
            ["topic"],
            registry=r,
        )
        self.forwarded_tokens = Counter(
            "stream_filter_forwarded_tokens",
            "Tokens of forwarded records, estimated as bytes / 3.",
            ["topic"],
            registry=r,
        )
        self.fold_summaries = Counter(
            "stream_filter_fold_summaries", "Fold summaries sent.", ["topic"], registry=r
        )
        self.memory_bytes = Counter(
            "stream_filter_memory_bytes", "Written to the memory topic.", ["topic"], registry=r
        )
        self.memory_damaged = Counter(
            "stream_filter_memory_damaged",
            "Pieces of a partition's memory that could not be read.",
            ["topic"],
            registry=r,
        )
        self.pack_ready = Gauge(
            "stream_filter_pack_ready", "1 while the pack gives scores.", ["pack"], registry=r
        )
        self.pack_intact = Gauge(
            "stream_filter_pack_intact",
            "1 while the pack in force is still on disk as it was loaded.",
            ["pack"],
            registry=r,
        )
        self.policy_sequence = Gauge(
            "stream_filter_policy_sequence",
            "Sequence of the order in force; 0 for a policy file.",
            registry=r,
        )
        self.policy_refused = Gauge(
            "stream_filter_policy_refused",
            "1 while the last order cannot be put in force.",
            registry=r,
        )
        self.paused_entries = Gauge(
            "stream_filter_paused_entries", "Topics and globs that are paused.", registry=r
        )
        self.orders_unreadable = Counter(
            "stream_filter_orders_unreadable",
            "Records of the policy topic that hold no order.",
            registry=r,
        )
        self.certificate_state = Gauge(
            "stream_filter_certificate_state",
            "1 for the state of a topic's certificate, 0 for the others.",
            ["topic", "state"],
            registry=r,
        )
        self.recall_lower = Gauge(
            "stream_filter_recall_lower", "Lower bound of a topic's recall.", ["topic"], registry=r
        )
        self.recall_upper = Gauge(
            "stream_filter_recall_upper", "Upper bound of a topic's recall.", ["topic"], registry=r
        )
        self.missed_upper = Gauge(
            "stream_filter_missed_upper",
            "Upper bound on important events dropped in the epoch.",
            ["topic"],
            registry=r,
        )
        self.evidence_pending = Gauge(
            "stream_filter_evidence_pending",
            "Events shown that wait for a verdict.",
            ["topic"],
            registry=r,
        )
        self.score_shift = Gauge(
            "stream_filter_score_shift",
            "How far a topic's scores are spread otherwise than right after its policy, 0 to 1.",
            ["topic"],
            registry=r,
        )
        self.novelty_growth = Gauge(
            "stream_filter_novelty_growth",
            "By how much the share of a topic's events with new texts has grown, 0 to 1.",
            ["topic"],
            registry=r,
        )
        self.evidence_held = Gauge(
            "stream_filter_evidence_held",
            "1 on the worker that holds the evidence.",
            registry=r,
        )
        self.evidence_failures = Counter(
            "stream_filter_evidence_failures",
            "Times the evidence was begun anew from what was saved.",
            registry=r,
        )
        self.evidence_blocks_unreadable = Counter(
            "stream_filter_evidence_blocks_unreadable",
            "Records of the ledger topic that hold no block.",
            registry=r,
        )
        self.verdicts = Gauge(
            "stream_filter_verdicts",
            "Records of the verdict topic by what became of them, on the holder; since the start.",
            ["outcome"],
            registry=r,
        )
        self.verdict_judges = Gauge(
            "stream_filter_verdict_judges", "Judges that were heard, by kind.", ["kind"], registry=r
        )
        self.info = Gauge(
            "stream_filter_info",
            "Always 1; what is running.",
            ["version", "policy", "delivery", "worker"],
            registry=r,
        )

    def expose(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
