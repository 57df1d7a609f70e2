"""The story of one event, as far as it was recorded."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from stream_filter.app.recomputing import OneDecision, decision_at
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.views import asked
from stream_filter.core.ledger import Block
from stream_filter.core.position import Position, event_id

_AROUND_MS = 24 * 60 * 60 * 1000
_NEIGHBOURS = """
    SELECT topic, "partition", "offset", decided_at, route::VARCHAR, reason::VARCHAR, score,
        policy_id::VARCHAR
    FROM chosen ORDER BY decided_at {order}, "partition", "offset" {order} LIMIT {n}
"""
_ALIKE = """
    SELECT route::VARCHAR, reason::VARCHAR, count(*) FROM chosen GROUP BY ALL ORDER BY ALL
"""
_VERDICTS = """
    SELECT important, judge, judge_kind, "at" FROM chosen ORDER BY topic_offset
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Alike:
    """Another event of the same text."""

    position: Position
    decided_at: datetime
    route: str
    reason: str
    score: float | None
    policy_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A verdict on the event."""

    important: bool
    judge: str
    judge_kind: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Of one event."""

    position: Position
    decision: OneDecision
    block: Block
    row: int
    ledger_place: tuple[int, int]
    """Partition and offset of the block in the ledger topic."""
    sf_id: str
    verdicts: tuple[Said, ...]
    before: tuple[Alike, ...]
    """Of the same text within a day, the nearest first."""
    after: tuple[Alike, ...]
    alike: Counter[tuple[str, str]]
    """Events of the same text within a day to each side, itself too, by route and reason."""


def explain(
    ledger: RecordedLedger, position: Position, *, key: bytes, neighbours: int = 3
) -> Story | None:
    """None where the ledger has no decision on it. `key`: the gate's secret, which makes the
    `sf-id` that verdicts name. Raises StreamFilterError."""
    facts = ledger.facts_at(position)
    block = ledger.block_at(position)
    if facts is None or block is None:
        return None
    row = int(np.searchsorted(block.offsets, position.offset))
    if row == len(block.offsets) or block.offsets[row] != position.offset:
        return None
    sf_id = event_id(str(position), key=key)
    said = asked(ledger.verdicts().filter(f"sf_id = '{sf_id}'"), _VERDICTS).fetchall()
    before, after, alike = _alike(ledger, block, row, neighbours)
    return Story(
        position=position,
        decision=decision_at(block, row),
        block=block,
        row=row,
        ledger_place=(int(facts["ledger_partition"]), int(facts["ledger_offset"])),
        sf_id=sf_id,
        verdicts=tuple(Said(important=i, judge=j, judge_kind=k, at=at) for i, j, k, at in said),
        before=before,
        after=after,
        alike=alike,
    )


def _alike(
    ledger: RecordedLedger, block: Block, row: int, n: int
) -> tuple[tuple[Alike, ...], tuple[Alike, ...], Counter[tuple[str, str]]]:
    header, digest = block.header, int(block.text_digests[row])
    if not digest:
        return (), (), Counter()
    at_ms, offset = header.decided_at_ms, int(block.offsets[row])
    around = ledger.decisions(
        header.topic, (at_ms - _AROUND_MS, at_ms + _AROUND_MS), f"text_digest = {digest}"
    )
    here = f"partition = {header.partition}"
    now = f"epoch_ms({at_ms})::TIMESTAMPTZ"
    earlier = f'decided_at < {now} OR (decided_at = {now} AND {here} AND "offset" < {offset})'
    later = f'decided_at > {now} OR (decided_at = {now} AND {here} AND "offset" > {offset})'
    counts = asked(around, _ALIKE).fetchall()
    return (
        _neighbours(around.filter(earlier), "DESC", n),
        _neighbours(around.filter(later), "ASC", n),
        Counter({(route, reason): count for route, reason, count in counts}),
    )


def _neighbours(found: Any, order: str, n: int) -> tuple[Alike, ...]:
    rows = asked(found, _NEIGHBOURS.format(order=order, n=n)).fetchall()
    return tuple(
        Alike(
            position=Position(topic, partition, offset),
            decided_at=decided_at,
            route=route,
            reason=reason,
            score=score,
            policy_id=policy_id,
        )
        for topic, partition, offset, decided_at, route, reason, score, policy_id in rows
    )
