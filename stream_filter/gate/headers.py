"""The headers that the gate adds to what it sends. Published in schemas/headers.schema.json."""

import math

from stream_filter.core.decision import Reason, Verdict
from stream_filter.core.position import event_id

SF_ID = "sf-id"
SF_REASON = "sf-reason"
SF_SCORE = "sf-score"
SF_VERDICT = "sf-verdict"
SF_POLICY = "sf-policy"
SF_MODEL = "sf-model"
SF_SOURCE = "sf-source"
SF_CAUSE = "sf-cause"
SF_PAYLOAD = "sf-payload"

Headers = list[tuple[str, bytes | None]]


def forward_headers(
    source: str,
    *,
    key: bytes,
    reason: Reason,
    verdict: Verdict,
    score: float,
    policy_id: str,
    model_id: str,
) -> Headers:
    """Headers of a forwarded record. `source`: its printed position; `sf-score` and `sf-model`
    are left out where there is none."""
    headers: Headers = [
        (SF_ID, event_id(source, key=key).encode()),
        (SF_SOURCE, source.encode()),
        (SF_REASON, reason.label.encode()),
        (SF_VERDICT, verdict.label.encode()),
        (SF_POLICY, policy_id.encode()),
    ]
    if not math.isnan(score):
        headers.append((SF_SCORE, b"%.6g" % score))
    if model_id:
        headers.append((SF_MODEL, model_id.encode()))
    return headers


def dead_letter_headers(
    source: str,
    *,
    key: bytes,
    reason: Reason,
    cause: str,
    policy_id: str,
    payload_omitted: bool,
) -> Headers:
    """Headers of a dead letter: its origin and what was wrong with it."""
    headers: Headers = [
        (SF_ID, event_id(source, key=key).encode()),
        (SF_SOURCE, source.encode()),
        (SF_REASON, reason.label.encode()),
        (SF_CAUSE, cause.encode("utf-8", "replace")),
        (SF_POLICY, policy_id.encode()),
    ]
    if payload_omitted:
        headers.append((SF_PAYLOAD, b"omitted"))
    return headers
