"""The record that stands for what a window folded. See schemas/fold-summary.schema.json."""

import json
from dataclasses import dataclass, fields

from stream_filter.core.decision import Reason
from stream_filter.core.fold_window import FoldWindow
from stream_filter.core.position import parse_position
from stream_filter.gate.batch import Emission
from stream_filter.gate.headers import fold_headers

SUMMARY_VERSION = "1"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldSummary:
    """How many records of one text in one window were folded, and where."""

    summary_version: str = SUMMARY_VERSION
    text: str
    """The canonical text."""
    text_digest: str
    """16 hex digits, as in the ledger."""
    folded: int
    first: str
    """Positions of the first and the last of them."""
    last: str
    window_start_ms: int
    window_end_ms: int
    """Unix milliseconds, exclusive."""
    policy_id: str
    """The policy in force when the window ended."""


def summarize(window: FoldWindow, source: tuple[str, int], policy_id: str) -> FoldSummary:
    """The summary of a window that has something folded."""
    topic, partition = source
    return FoldSummary(
        text=window.text,
        text_digest=f"{window.digest:016x}",
        folded=window.folded,
        first=f"{topic}/{partition}/{window.first_folded}",
        last=f"{topic}/{partition}/{window.last_folded}",
        window_start_ms=window.start_ms,
        window_end_ms=window.end_ms,
        policy_id=policy_id,
    )


def summary_emission(summary: FoldSummary, *, topic: str, at_ms: int, key: bytes) -> Emission:
    """The record to be sent to `topic`, with the time at which it is. `key`: the gate's secret."""
    document = {field.name: getattr(summary, field.name) for field in fields(summary)}
    return Emission(
        topic=topic,
        key=None,
        value=json.dumps(document, ensure_ascii=False).encode(),
        timestamp_ms=max(0, at_ms),
        headers=fold_headers(
            summary.first,
            key=key,
            reason=Reason.DUPLICATE,
            policy_id=summary.policy_id,
        ),
    )


def parse_summary(value: bytes) -> FoldSummary:
    """Read a summary's value. Raises ValueError where it is none."""
    try:
        document = json.loads(value)
    except RecursionError as error:
        raise ValueError("not a fold summary: nested too deeply") from error
    if not isinstance(document, dict) or document.get("summary_version") != SUMMARY_VERSION:
        raise ValueError("not a fold summary of this version")
    try:
        summary = FoldSummary(**document)
    except TypeError as error:
        raise ValueError(f"not a fold summary: {error}") from error
    for field in fields(summary):
        if type(getattr(summary, field.name)) is not field.type:
            raise ValueError(f"not a fold summary: {field.name} is not of its type")
    first, last = parse_position(summary.first), parse_position(summary.last)
    if (first.topic, first.partition) != (last.topic, last.partition):
        raise ValueError("not a fold summary: of two partitions")
    return summary
