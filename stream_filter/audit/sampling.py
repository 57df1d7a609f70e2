"""Drops to look at: distinct texts with counts, the strangest first, and where one stands."""

from dataclasses import dataclass
from enum import StrEnum

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.views import asked, sql_problem
from stream_filter.core.decision import Route
from stream_filter.core.position import Position

_BY_TEXT = """
    SELECT topic, text_digest, count(*) AS records, max(score), min(score),
        arg_max({"partition": "partition", "offset": "offset", "reason": reason::VARCHAR,
            "rule": rule::VARCHAR}, coalesce(score, -1.0)) AS example
    FROM chosen GROUP BY topic, text_digest
"""


class Strangeness(StrEnum):
    """What comes first."""

    SCORE = "score"
    """The drops that were nearest to being kept."""
    TEXT = "text"
    """The texts that were dropped least often."""


_ORDER = {
    Strangeness.SCORE: "max(score) DESC NULLS LAST, records, text_digest",
    Strangeness.TEXT: "records, max(score) DESC NULLS LAST, text_digest",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """A distinct text among the drops."""

    text_digest: str
    """16 hex digits."""
    records: int
    score: float | None
    """The greatest that it had: thresholds may differ, scores of packs too."""
    least_score: float | None
    example: Position
    reason: str
    rule: str | None


def sample(
    ledger: RecordedLedger,
    topic: str | None = None,
    window_ms: Window = (None, None),
    *,
    where: str | None = None,
    dropped: bool = True,
    by: Strangeness = Strangeness.SCORE,
    n: int = 20,
) -> list[Sampled]:
    """At most `n` texts. `dropped`: only of records that were discarded. Raises ConfigError or
    StreamFilterError."""
    chosen = ledger.decisions(topic, window_ms, where)
    if dropped:
        chosen = chosen.filter(f"route = '{Route.DISCARD.label}'")
    with sql_problem("--where"):
        rows = asked(chosen, f"{_BY_TEXT} ORDER BY {_ORDER[by]} LIMIT {n:d}").fetchall()
    return [
        Sampled(
            text_digest=f"{digest:016x}",
            records=records,
            score=score,
            least_score=least,
            example=Position(of_topic, example["partition"], example["offset"]),
            reason=example["reason"],
            rule=example["rule"],
        )
        for of_topic, digest, records, score, least, example in rows
    ]
