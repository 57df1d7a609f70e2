"""From a decided batch to the records that are sent: forwarded, deferred, dead letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route, reason_before_budget
from stream_filter.core.ledger import Block
from stream_filter.gate.batch import Emission
from stream_filter.gate.headers import SF_FORWARD_TO, Stamp
from stream_filter.gate.ports import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """Where a topic's records go."""

    forward: Sequence[str]
    """By the code of the reason."""
    deferred: str
    dead_letter: str


def refuse_oversized(
    records: Sequence[Record],
    decisions: Decisions,
    targets: Targets,
    size_limits: Mapping[str, int],
) -> dict[int, str]:
    """Send records that their target would refuse to the dead letters instead. Returns why, by
    their index. `size_limits`: the largest record that a topic takes, in bytes."""
    causes = {}
    by_reason = np.array([size_limits.get(topic, _NO_LIMIT) for topic in targets.forward])
    limits = np.where(
        decisions.route == Route.DEFER,
        size_limits.get(targets.deferred, _NO_LIMIT),
        by_reason[decisions.reason],
    )
    rows = np.flatnonzero(
        np.isin(decisions.route, (Route.FORWARD, Route.DEFER)) & (limits < _NO_LIMIT)
    )
    for index, limit in zip(rows.tolist(), limits[rows].tolist(), strict=True):
        size = record_size(records[index])
        if size > limit:
            causes[index] = f"{size} bytes with headers, and the target topic takes {limit}"
    at = list(causes)
    decisions.route[at] = Route.DEAD_LETTER
    decisions.reason[at] = Reason.TOO_LARGE
    decisions.probability[at] = 0.0
    return causes


def emissions_of(
    records: Sequence[Record],
    block: Block,
    causes: Mapping[int, str],
    *,
    targets: Targets,
    is_cut: NDArray[np.bool_] | None,
    dead_letter_limit: int | None,
    key: bytes,
) -> list[Emission]:
    """What a block's decisions send, in offset order. `causes`: of the dead letters, by index.

    `is_cut`: as `decide` was told. A dead letter larger than `dead_letter_limit` goes without its
    payload, and without key and headers where these alone are too much.
    """
    decisions = block.decisions
    stamp = Stamp(
        topic=block.header.topic,
        partition=block.header.partition,
        key=key,
        policy_id=block.header.policy_id,
        model_id=block.header.model_id,
        rule_labels=block.rule_labels,
    )
    forward, defer = int(Route.FORWARD), int(Route.DEFER)
    most = float("inf") if dead_letter_limit is None else dead_letter_limit
    emissions: list[Emission] = []
    outgoing = np.flatnonzero(np.isin(decisions.route, _SENT))
    routes = decisions.route[outgoing].tolist()
    reasons = decisions.reason[outgoing].tolist()
    meant_for = reason_before_budget(decisions, is_cut)[outgoing].tolist()
    verdicts = decisions.verdict[outgoing].tolist()
    scores = decisions.score[outgoing].tolist()
    ruled = repeat(-1) if decisions.rule is None else decisions.rule[outgoing].tolist()
    for index, route, reason, meant, verdict, score, rule in zip(
        outgoing.tolist(), routes, reasons, meant_for, verdicts, scores, ruled, strict=False
    ):
        record = records[index]
        record_key, value, kept = record.key, record.value, record.headers
        if route == forward:
            topic = targets.forward[reason]
            added = stamp.forwarded(record.offset, reason, verdict, score, rule)
        elif route == defer:
            topic = targets.deferred
            added = stamp.forwarded(record.offset, reason, verdict, score, rule)
            added.append((SF_FORWARD_TO, targets.forward[meant].encode()))
        else:
            topic = targets.dead_letter
            omitted = record_size(record) > most
            if omitted:
                value = None
                if _size(record_key, None, kept) > most:
                    record_key, kept = None, ()
            added = stamp.dead(record.offset, reason, causes[index], payload_omitted=omitted)
        # The source's headers stay as they are; the gate's come last.
        emissions.append(Emission(topic, record_key, value, record.timestamp, [*kept, *added]))
    return emissions


_NO_LIMIT = 1 << 62
_SENT = np.array([Route.FORWARD, Route.DEFER, Route.DEAD_LETTER], np.uint8)


def record_size(record: Record) -> int:
    """An upper bound of a record's size on the wire, with the gate's headers, in bytes."""
    return _size(record.key, record.value, record.headers)


def _size(
    key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes | None]]
) -> int:
    size = 600 + len(value or b"") + len(key or b"")
    for name, content in headers:
        size += len(name) * 4 + len(content or b"") + 10
    return size
