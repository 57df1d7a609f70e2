"""Two that decided: a champion and the challenger beside it, or two policies on the texts that both
have decided."""

from dataclasses import dataclass

import duckdb

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.views import asked, sql_problem
from stream_filter.core.position import Position

_CHALLENGED = """
    SELECT topic, "partition", "offset", score, verdict::VARCHAR AS old, challenger_score,
        challenger_verdict::VARCHAR AS new, text_digest, 1 AS records
    FROM chosen
    WHERE challenger_verdict IS NOT NULL
        AND challenger_reason NOT IN ('degraded', 'overloaded')
"""
# A text's verdict under a policy is what the policy said of it most often: rules also read fields
# that are not in the text.
_POLICIES = """
    WITH ruled AS (
        SELECT topic, text_digest, policy_id::VARCHAR AS policy_id,
            mode(verdict::VARCHAR) AS verdict, count(*) AS records, max(score) AS score,
            arg_max({"partition": "partition", "offset": "offset"}, ledger_offset) AS example
        FROM chosen WHERE text_digest <> 0 AND policy_id IN ($old, $new) GROUP BY ALL
    )
    SELECT n.topic, n.example."partition" AS "partition", n.example."offset" AS "offset",
        o.score, o.verdict AS old, n.score AS challenger_score, n.verdict AS new, n.text_digest,
        n.records
    FROM (FROM ruled WHERE policy_id = $new) n
    LEFT JOIN (FROM ruled WHERE policy_id = $old) o USING (topic, text_digest)
"""
_EXAMPLES = """
    SELECT topic, sum(records)::BIGINT AS records, old, new,
        arg_max({"partition": "partition", "offset": "offset", "old": score,
            "new": challenger_score}, records)
    FROM chosen GROUP BY topic, text_digest, old, new ORDER BY records DESC, text_digest
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A text on which the two disagree."""

    example: Position
    records: int
    old_verdict: str
    old_score: float | None
    new_verdict: str
    new_score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Between an old and a new one that decide."""

    compared: int
    """Records."""
    incomparable: int
    """Records of texts that the old policy has never decided."""
    newly_dropped: int
    newly_forwarded: int
    dropped_examples: tuple[Changed, ...]
    """The commonest texts first."""
    forwarded_examples: tuple[Changed, ...]


def challenged(
    ledger: RecordedLedger,
    topic: str,
    window_ms: Window = (None, None),
    *,
    where: str | None = None,
    examples: int = 5,
) -> Differences:
    """What the challenger would newly drop and forward, of the records that it read. Raises
    ConfigError or StreamFilterError."""
    with sql_problem("--where"):
        pairs = asked(ledger.decisions(topic, window_ms, where), _CHALLENGED)
        return _differences(pairs, examples)


def policies(
    ledger: RecordedLedger,
    topic: str,
    old: str,
    new: str,
    window_ms: Window = (None, None),
    *,
    where: str | None = None,
    examples: int = 5,
) -> Differences:
    """What policy `new` has dropped and kept otherwise than policy `old`, both by id, of the
    records that `new` decided and whose text `old` has decided too. Raises ConfigError or
    StreamFilterError."""
    with sql_problem("--where"):
        chosen = ledger.decisions(topic, window_ms, where)
        query = _POLICIES.replace("$old", _quoted(old)).replace("$new", _quoted(new))
        return _differences(asked(chosen, query), examples)


def _differences(pairs: duckdb.DuckDBPyRelation, examples: int) -> Differences:
    dropped = "old IS NOT NULL AND new = 'drop' AND old <> 'drop'"
    forwarded = "old = 'drop' AND new <> 'drop'"
    ((compared, incomparable, newly_dropped, newly_forwarded),) = pairs.aggregate(
        "coalesce(sum(records) FILTER (old IS NOT NULL), 0)::BIGINT, "
        "coalesce(sum(records) FILTER (old IS NULL), 0)::BIGINT, "
        f"coalesce(sum(records) FILTER ({dropped}), 0)::BIGINT, "
        f"coalesce(sum(records) FILTER ({forwarded}), 0)::BIGINT"
    ).fetchall()
    return Differences(
        compared=compared,
        incomparable=incomparable,
        newly_dropped=newly_dropped,
        newly_forwarded=newly_forwarded,
        dropped_examples=_examples(pairs.filter(dropped), examples),
        forwarded_examples=_examples(pairs.filter(forwarded), examples),
    )


def _examples(pairs: duckdb.DuckDBPyRelation, n: int) -> tuple[Changed, ...]:
    rows = asked(pairs, f"{_EXAMPLES} LIMIT {n:d}").fetchall()
    return tuple(
        Changed(
            example=Position(topic, one["partition"], one["offset"]),
            records=records,
            old_verdict=old,
            old_score=one["old"],
            new_verdict=new,
            new_score=one["new"],
        )
        for topic, records, old, new, one in rows
    )


def _quoted(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
