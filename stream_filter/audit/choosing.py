"""Recorded decisions chosen by a condition, with all that a replay needs to know of them."""

import numpy as np
import pyarrow as pa

from stream_filter.app.replay_plan import Chosen, Labelled
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.views import asked, sql_problem
from stream_filter.core.decision import Reason, Route, Verdict

_COLUMNS = f"""
    SELECT "partition", "offset", score, verdict::VARCHAR AS verdict, reason::VARCHAR AS reason,
        rule::VARCHAR AS rule, policy_id::VARCHAR AS policy_id, model_id::VARCHAR AS model_id,
        route IN ('{Route.FORWARD.label}', '{Route.DEFER.label}') AS was_sent
    FROM chosen ORDER BY "partition", "offset"
"""  # noqa: S608  of constants


def choose(
    ledger: RecordedLedger, topic: str, window_ms: Window = (None, None), where: str | None = None
) -> list[Chosen]:
    """The decisions on a topic's records that a condition selects, by partition. Raises ConfigError
    or StreamFilterError."""
    with sql_problem("--where"):
        rows = asked(ledger.decisions(topic, window_ms, where), _COLUMNS).to_arrow_table()
    partitions = rows["partition"].to_numpy()
    verdict, reason = _labelled(rows["verdict"]), _labelled(rows["reason"])
    verdicts = np.array([Verdict[label.upper()] for label in verdict.labels], np.uint8)
    reasons = np.array([Reason[label.upper()] for label in reason.labels], np.uint8)
    whole = Chosen(
        partition=-1,
        offsets=rows["offset"].to_numpy().astype(np.int64),
        score=rows["score"].to_numpy().astype(np.float32),
        verdict=verdicts[verdict.codes],
        reason=reasons[reason.codes],
        rule=_labelled(rows["rule"]),
        policy_id=_labelled(rows["policy_id"]),
        model_id=_labelled(rows["model_id"]),
        was_sent=rows["was_sent"].to_numpy().astype(np.bool_),
    )
    return [whole.where(partitions == p, partition=int(p)) for p in np.unique(partitions)]


def _labelled(column: pa.ChunkedArray) -> Labelled:
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return Labelled(codes, tuple(encoded.dictionary.to_pylist()))
