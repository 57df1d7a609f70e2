"""The closed list of the analyst's metrics. docs/analyst.md describes each; a test holds the two
together."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class AnalystMetrics:
    """All metrics of one analyst, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        r = self.registry
        self.events = Counter(
            "stream_filter_analyst_events",
            "Events by outcome: important, unimportant, passed_over, or the cause of no verdict.",
            ["topic", "outcome"],
            registry=r,
        )
        self.texts = Counter(
            "stream_filter_analyst_texts",
            "Events by where their verdict comes from: asked, folded, cached.",
            ["source"],
            registry=r,
        )
        self.requests = Counter(
            "stream_filter_analyst_requests",
            "Requests by what became of them: replied, or the cause of failure.",
            ["judge", "outcome"],
            registry=r,
        )
        self.tokens = Counter(
            "stream_filter_analyst_tokens",
            "Tokens that endpoints say they took.",
            ["judge", "kind"],
            registry=r,
        )
        self.cost = Counter(
            "stream_filter_analyst_cost", "Money that answers took.", ["judge"], registry=r
        )
        self.cost_unsure = Counter(
            "stream_filter_analyst_cost_unsure",
            "Money that requests without an answer may have taken at the most.",
            ["judge"],
            registry=r,
        )
        self.reply_seconds = Histogram(
            "stream_filter_analyst_reply_seconds",
            "Time of a request that was answered.",
            ["judge"],
            buckets=_SECONDS,
            registry=r,
        )
        self.waiting_events = Gauge(
            "stream_filter_analyst_waiting_events", "Events read and without outcome.", registry=r
        )
        self.lag_records = Gauge(
            "stream_filter_analyst_lag_records",
            "Records not yet read.",
            ["topic", "partition"],
            registry=r,
        )
        self.breaker_open = Gauge(
            "stream_filter_analyst_breaker_open",
            "1 while an endpoint counts as down.",
            ["judge"],
            registry=r,
        )
        self.budget_gone = Gauge(
            "stream_filter_analyst_budget_gone",
            "1 while records wait for tomorrow's budget.",
            registry=r,
        )
        self.incidents_open = Gauge(
            "stream_filter_analyst_incidents_open", "1 while an incident is open.", registry=r
        )
        self.outage_answers = Counter(
            "stream_filter_analyst_outage_answers",
            "Questions about incidents: answered, or the cause of no answer.",
            ["outcome"],
            registry=r,
        )
        self.outage_failures = Counter(
            "stream_filter_analyst_outage_failures",
            "Times the view of an outage was begun anew.",
            registry=r,
        )
        self.session_failures = Counter(
            "stream_filter_analyst_session_failures",
            "Times the membership was made anew.",
            registry=r,
        )

    def expose(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)
