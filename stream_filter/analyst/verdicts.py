"""Findings as records of the verdict topic (schemas/verdict.schema.json)."""

from collections.abc import Sequence
from typing import Any

import orjson

from stream_filter.analyst.backlog import Event
from stream_filter.analyst.outcome import Cause, Finding, Spending

_ANSWER_IDS = 20
"""Most that stand in a verdict: more than a few only where answers failed again and again."""


def verdict_records(finding: Finding, events: Sequence[Event], prompt_digest: str) -> list[bytes]:
    """A record for each of the events that have the text; what it took is divided among them."""
    return [
        _record(finding, event.event_id, prompt_digest, share)
        for event, share in zip(events, finding.spent.shares(len(events)), strict=True)
    ]


def no_verdict_record(judge: str, event_id: str, cause: Cause, prompt_digest: str) -> bytes:
    """Of an event that nobody was asked about."""
    return _record(Finding(judge=judge, cause=cause), event_id, prompt_digest, Spending())


def _record(finding: Finding, event_id: str, prompt_digest: str, spent: Spending) -> bytes:
    opinion = finding.opinion
    record: dict[str, Any] = {
        "sf-id": event_id,
        "important": None if opinion is None else opinion.important,
        "judge": {"name": finding.judge, "kind": "model"},
        "prompt": prompt_digest,
        "tokens": spent.tokens,
        "cost": spent.cost,
        "seconds": round(spent.seconds, 3),
    }
    if opinion is None and finding.cause is not None:
        record["cause"] = finding.cause.value
    if opinion is not None and opinion.reason:
        record["reason"] = opinion.reason
    if finding.answers:
        record["answers"] = finding.answers
    if spent.answer_ids:
        record["answer_ids"] = spent.answer_ids[:_ANSWER_IDS]
    if finding.is_cached:
        record["cached"] = True
    return orjson.dumps(record)
