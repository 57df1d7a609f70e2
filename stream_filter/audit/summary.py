"""What became of the records of a window: counts by hour, policy, pack, reason and rule."""

from collections import Counter
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.views import asked, sql_problem
from stream_filter.core.decision import Route

GROUPED = ("topic", "hour", "policy_id", "model_id", "verdict", "route", "reason", "rule")
ROUTES = {
    "forwarded": Route.FORWARD.label,
    "dropped": Route.DISCARD.label,
    "folded": Route.FOLD.label,
    "deferred": Route.DEFER.label,
    "dead_lettered": Route.DEAD_LETTER.label,
}
"""What people call what became of a record."""
_OF_BLOCKS = """
    SELECT topic, date_trunc('hour', epoch_ms(decided_at_ms)::TIMESTAMPTZ) AS hour, policy_id,
        model_id, c.verdict, c.route, c.reason, c.rule, sum(c.records)::BIGINT AS records
    FROM (SELECT *, unnest(counts) AS c FROM chosen) GROUP BY ALL
"""
_OF_ROWS = """
    SELECT topic, date_trunc('hour', decided_at) AS hour, policy_id, model_id, verdict, route,
        reason, rule, count(*) AS records
    FROM chosen GROUP BY ALL
"""
_NEWEST_CLAIMS = """
    SELECT topic, state, target_recall, recall_low, recall_high, misses_found FROM chosen
    QUALIFY row_number() OVER (PARTITION BY topic ORDER BY "at" DESC, topic_offset DESC) = 1
    ORDER BY topic
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The newest certificate of a topic in the window."""

    topic: str
    state: str
    target_recall: float
    recall_low: float | None
    recall_high: float | None
    misses_found: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What the analyst said in the window, on whatever topic."""

    verdicts: int
    important: int
    cost: float
    """In the analyst's currency; 0 where it does not say."""
    tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The account of a window."""

    groups: pa.Table
    """A row for each combination of `GROUPED` that occurs, with `records`."""
    claims: tuple[Claim, ...]
    judged: Judged
    price: float | None
    """Of reading one event; None where nobody says."""

    def by(self, *columns: str) -> dict[tuple[Any, ...], Counter[str]]:
        """Records by the values of some of `GROUPED`, and by what became of them (`ROUTES`)."""
        routes = {label: name for name, label in ROUTES.items()}
        found: dict[tuple[Any, ...], Counter[str]] = {}
        for row in self.groups.to_pylist():
            key = tuple(row[column] for column in columns)
            found.setdefault(key, Counter())[routes[row["route"]]] += row["records"]
        return found

    @property
    def counts(self) -> Counter[str]:
        """Records by what became of them."""
        return self.by().get((), Counter())

    @property
    def consumed(self) -> int:
        return self.counts.total()

    @property
    def share_forwarded(self) -> float | None:
        """None of nothing."""
        return self.counts["forwarded"] / self.consumed if self.consumed else None

    @property
    def spent(self) -> float | None:
        """What reading the forwarded events costs at the price."""
        return None if self.price is None else self.counts["forwarded"] * self.price

    @property
    def saved(self) -> float | None:
        """What reading the dropped and folded ones would have cost besides."""
        counts = self.counts
        return None if self.price is None else (counts["dropped"] + counts["folded"]) * self.price


def summarize(
    ledger: RecordedLedger,
    topic: str | None = None,
    window_ms: Window = (None, None),
    *,
    where: str | None = None,
    price: float | None = None,
) -> Summary:
    """The account of a window. Without a condition it is added up from what blocks say of
    themselves, and no decision is read. `price` None: what verdicts cost on average, where they say
    so. Raises ConfigError or StreamFilterError."""
    judged = _judged(ledger, window_ms)
    if price is None and judged.cost:
        price = judged.cost / judged.verdicts
    return Summary(
        groups=_groups(ledger, topic, window_ms, where),
        claims=_claims(ledger, topic, window_ms),
        judged=judged,
        price=price,
    )


def _groups(
    ledger: RecordedLedger, topic: str | None, window_ms: Window, where: str | None
) -> pa.Table:
    with sql_problem("--where"):
        if where is not None:
            grouped = asked(ledger.decisions(topic, window_ms, where), _OF_ROWS)
        else:
            blocks = ledger.blocks(topic, window_ms)
            counting = blocks.filter(blocks["is_effective"])
            grouped = asked(ledger.relation(counting), _OF_BLOCKS)
        return grouped.order(", ".join(GROUPED)).to_arrow_table()


def _judged(ledger: RecordedLedger, window_ms: Window) -> Judged:
    said = ledger.verdicts(window_ms)
    ((verdicts, important, cost, tokens),) = said.aggregate(
        "count(*), count(*) FILTER (important), coalesce(sum(cost), 0.0), "
        "coalesce(sum(tokens), 0)::BIGINT"
    ).fetchall()
    return Judged(verdicts=verdicts, important=important, cost=cost, tokens=tokens)


def _claims(ledger: RecordedLedger, topic: str | None, window_ms: Window) -> tuple[Claim, ...]:
    newest = asked(ledger.certificates(topic, window_ms), _NEWEST_CLAIMS)
    names = [field.name for field in fields(Claim)]
    return tuple(Claim(**dict(zip(names, row, strict=True))) for row in newest.fetchall())
