"""A ledger block as rows of plain values: what people and JSON are shown of a decision."""

import math
from collections.abc import Iterator

from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.ledger import Block, Challenge


def rows_of(block: Block) -> Iterator[dict[str, object]]:
    """A dictionary for each record, in offset order."""
    header, decisions = block.header, block.decisions
    rules = [-1] * header.rows if decisions.rule is None else decisions.rule.tolist()
    for row, offset in enumerate(block.offsets.tolist()):
        yield {
            "position": f"{header.topic}/{header.partition}/{offset}",
            "route": Route(decisions.route[row]).label,
            "reason": Reason(decisions.reason[row]).label,
            "verdict": Verdict(decisions.verdict[row]).label,
            "rule": None if rules[row] < 0 else block.rule_labels[rules[row]],
            "score": shown_score(decisions.score[row]),
            "probability": round(float(decisions.probability[row]), 6),
            "text_digest": f"{int(block.text_digests[row]):016x}",
            "policy_id": header.policy_id,
            "model_id": header.model_id,
            "block_id": header.block_id,
            **_challenged(block.challenge, row),
        }


def _challenged(challenge: Challenge | None, row: int) -> dict[str, object]:
    if challenge is None:
        return {}
    concluded = {
        "verdict": Verdict(challenge.verdict[row]).label,
        "reason": Reason(challenge.reason[row]).label,
        "score": shown_score(challenge.score[row]),
        "model_id": challenge.model_id,
    }
    return {"challenger": concluded}


def shown_score(score: float) -> float | None:
    """Six digits; None where there is none (NaN)."""
    return None if math.isnan(score) else round(float(score), 6)
