"""The scores that a window's ledger has of a topic's texts, by one pack."""

import numpy as np

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.audit.views import asked, sql_problem
from stream_filter.core.policy import TopicPolicy
from stream_filter.gate.recorded_scores import RecordedScores

# What the scout alone has scored, the pack would score otherwise.
_OWN = "score IS NOT NULL AND model_id = '{model}' AND overload <> 'scout_only'"
_ALL = (
    "SELECT text_digest, any_value(score) FROM chosen WHERE {own} AND text_digest <> 0 GROUP BY 1"
)
_MISSING = """
    SELECT text_digest, any_value(score) FROM chosen WHERE {own} AND text_digest IN (
        SELECT text_digest FROM chosen WHERE text_digest <> 0 AND NOT ({own})
    ) GROUP BY 1
"""


def recorded_scores(
    ledger: RecordedLedger,
    topic: str,
    window_ms: Window,
    rules: TopicPolicy,
    *,
    of_all: bool,
) -> RecordedScores:
    """Of the pack that the rules ask for; where they ask for none, of the newest block's.
    `of_all`: of every text; else of those for which a row's own score does not count."""
    blocks = ledger.blocks(topic, window_ms)
    packs = blocks.filter(blocks["model_id"].to_numpy(zero_copy_only=False) != "").sort_by(
        [("decided_at_ms", "descending")]
    )
    newest = packs["model_id"][0].as_py() if len(packs) else ""
    model_id = rules.model_id or newest
    own = _OWN.format(model=model_id.replace("'", "''"))
    query = (_ALL if of_all else _MISSING).format(own=own)
    with sql_problem("scores"):
        found = asked(ledger.decisions(topic, window_ms), query).fetchnumpy()
    digests, scores = (np.ma.getdata(column) for column in found.values())
    return RecordedScores(model_id, digests.astype(np.uint64), scores.astype(np.float32))
