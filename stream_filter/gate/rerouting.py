"""Decisions made again from the ledger's rows alone, by the gate's own steps."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Reason, Route
from stream_filter.core.ledger import Block
from stream_filter.core.memory import Memory
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.policy import TopicPolicy
from stream_filter.core.what_if import Supposed
from stream_filter.gate.recorded_scores import RecordedScores
from stream_filter.gate.routing import Scored, route_batch

Digests = NDArray[np.uint64]
_NO_TEXTS = np.zeros(1, np.uint64)


def needs_records(rules: TopicPolicy) -> tuple[str, ...]:
    """What of a topic's rules asks for more than the ledger's rows have: payload, key, timestamp
    or size of a record."""
    return tuple(
        name
        for name, is_so in (
            ("rules", bool(rules.rules)),
            ("fold", rules.fold is not None),
            ("budget", rules.budget is not None),
            ("ramp by key", rules.ramp_by == "key" and 0 < rules.ramp < 100),
        )
        if is_so
    )


class Rerouter:
    """One source partition, from the first block given. `needs_records` must have found nothing."""

    def __init__(
        self,
        rules: TopicPolicy,
        *,
        key: bytes,
        scores: RecordedScores,
        encode: Callable[[Digests], tuple[NDArray[np.int32], Digests]],
    ) -> None:
        """`encode`: codes of shape (n,) and the distinct values that they lead to."""
        self._rules = rules
        self._key = key
        self._scores = scores
        self._encode = encode
        self._memory = Memory()

    def decide(self, block: Block) -> Supposed:
        """What would have been decided of a block; those of a partition come in order."""
        old, digests = block.decisions, block.text_digests
        # Nobody looked at what was forwarded while paused, or while no policy was known.
        has_text = digests != 0
        unread = ~has_text & ((old.reason == Reason.PAUSED) | (old.reason == Reason.DEGRADED))
        score = self._scores.of_block(block)
        if self._rules.novelty is None:
            codes, distinct = has_text.astype(np.int32) - 1, _NO_TEXTS
        else:
            codes, distinct = self._encode(digests)
            codes = np.where(has_text, codes, np.int32(-1))
        decisions, _ = route_batch(
            self._rules,
            Scored(
                topic=block.header.topic,
                partition=block.header.partition,
                occurrences=Occurrences(
                    offsets=block.offsets, codes=codes, digests=distinct, texts=()
                ),
                timestamps=np.empty(0, np.int64),
                score=score,
                decodable=old.reason != Reason.UNDECODABLE,
                rule=None,
                is_cut=block.is_cut,
                tokens=np.empty(0, np.int64),
                keys=(),
                by_scout=np.zeros(1, np.bool_),
            ),
            self._memory,
            shares=(),
            key=self._key,
            now_ms=block.header.decided_at_ms,
        )
        too_large = (old.reason == Reason.TOO_LARGE) & (decisions.route == Route.FORWARD)
        if too_large.any():
            decisions = decisions.rerouted(
                too_large, Route.DEAD_LETTER, Reason.TOO_LARGE, probability=0.0
            )
        return Supposed(decisions=decisions, unscored=(np.isnan(score) & has_text) | unread)
