"""From a decided batch to the records that are sent: forwarded, deferred, dead letters."""

from collections.abc import Mapping, Sequence
from itertools import repeat

import numpy as np

from stream_filter.core.decision import Decisions, Reason, Route
from stream_filter.core.ledger import Block
from stream_filter.gate.batch import Emission
from stream_filter.gate.headers import SF_FORWARD_TO, Stamp
from stream_filter.gate.ports import Record


def refuse_oversized(
    records: Sequence[Record], decisions: Decisions, limits: Mapping[Route, int | None]
) -> dict[int, str]:
    """Send records that their target would refuse to the dead letters instead. Returns why, by
    their index. `limits`: the largest record that a route's target takes, in bytes."""
    causes = {}
    for route, limit in limits.items():
        if limit is None:
            continue
        for index in np.flatnonzero(decisions.route == route).tolist():
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
    forward_to: str,
    deferred_topic: str,
    dead_letter_topic: str,
    dead_letter_limit: int | None,
    key: bytes,
) -> list[Emission]:
    """What a block's decisions send, in offset order. `causes`: of the dead letters, by index.

    A dead letter larger than `dead_letter_limit` goes without its payload, and without key and
    headers where these alone are too much.
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
    most = float("inf") if dead_letter_limit is None else dead_letter_limit
    emissions: list[Emission] = []
    outgoing = np.flatnonzero(np.isin(decisions.route, _SENT))
    routes = decisions.route[outgoing].tolist()
    reasons = decisions.reason[outgoing].tolist()
    verdicts = decisions.verdict[outgoing].tolist()
    scores = decisions.score[outgoing].tolist()
    ruled = repeat(-1) if decisions.rule is None else decisions.rule[outgoing].tolist()
    for index, route, reason, verdict, score, rule in zip(
        outgoing.tolist(), routes, reasons, verdicts, scores, ruled, strict=False
    ):
        record = records[index]
        record_key, value, kept = record.key, record.value, record.headers
        if route == Route.FORWARD:
            topic = forward_to
            added = stamp.forwarded(record.offset, reason, verdict, score, rule)
        elif route == Route.DEFER:
            topic = deferred_topic
            added = stamp.forwarded(record.offset, reason, verdict, score, rule)
            added.append((SF_FORWARD_TO, forward_to.encode()))
        else:
            topic = dead_letter_topic
            omitted = record_size(record) > most
            if omitted:
                value = None
                if _size(record_key, None, kept) > most:
                    record_key, kept = None, ()
            added = stamp.dead(record.offset, reason, causes[index], payload_omitted=omitted)
        # The source's headers stay as they are; the gate's come last.
        emissions.append(Emission(topic, record_key, value, record.timestamp, [*kept, *added]))
    return emissions


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
