"""The headers that the gate adds to what it sends. Published in schemas/headers.schema.json."""

import math
from collections.abc import Sequence

from stream_filter.core.decision import Reason, Verdict
from stream_filter.core.position import event_id, keyed_hash
from stream_filter.core.worth import priority_of

SF_ID = "sf-id"
SF_REASON = "sf-reason"
SF_SCORE = "sf-score"
SF_VERDICT = "sf-verdict"
SF_POLICY = "sf-policy"
SF_MODEL = "sf-model"
SF_RULE = "sf-rule"
SF_PRIORITY = "sf-priority"
SF_SOURCE = "sf-source"
SF_CAUSE = "sf-cause"
SF_PAYLOAD = "sf-payload"
SF_FOLD = "sf-fold"
SF_FORWARD_TO = "sf-forward-to"
SF_RELEASED = "sf-released"
SF_REPLAY = "sf-replay"
SF_REPLAY_BY = "sf-replay-by"
SF_REPLAY_AT = "sf-replay-at"

Headers = list[tuple[str, bytes | None]]
_PRIORITIES: list[tuple[str, bytes | None]] = [(SF_PRIORITY, b"%d" % n) for n in range(10)]


class Stamp:
    """Makes the headers of one batch's records. What they share is made once."""

    def __init__(
        self,
        *,
        topic: str,
        partition: int,
        key: bytes,
        policy_id: str,
        model_id: str,
        rule_labels: Sequence[str] = (),
    ) -> None:
        self._position = f"{topic}/{partition}/".encode()
        self._hash = keyed_hash(key)
        self._policy = (SF_POLICY, policy_id.encode())
        self._model: Headers = [(SF_MODEL, model_id.encode())] if model_id else []
        self._rules: list[Headers] = [[(SF_RULE, label.encode())] for label in rule_labels]
        self._decided: dict[tuple[int, int, int], Headers] = {}

    def forwarded(
        self, offset: int, reason: int, verdict: int, score: float, rule: int = -1
    ) -> Headers:
        """Headers of a forwarded record; `sf-score`, `sf-rule` and `sf-model` are left out where
        there is none. `reason` and `verdict` by code, `score` NaN for none, `rule` -1."""
        decided = self._decided.get((reason, verdict, rule))
        if decided is None:
            decided = self._decided[reason, verdict, rule] = [
                (SF_REASON, Reason(reason).label.encode()),
                (SF_VERDICT, Verdict(verdict).label.encode()),
                *(self._rules[rule] if rule >= 0 else ()),
                self._policy,
            ]
        scored: Headers = [] if math.isnan(score) else [(SF_SCORE, b"%.6g" % score)]
        order = _PRIORITIES[priority_of(reason, score, rule)]
        return [*self._origin(offset), *decided, order, *scored, *self._model]

    def dead(self, offset: int, reason: int, cause: str, *, payload_omitted: bool) -> Headers:
        """Headers of a dead letter: its origin and what was wrong with it."""
        omitted: Headers = [(SF_PAYLOAD, b"omitted")] if payload_omitted else []
        return [
            *self._origin(offset),
            (SF_REASON, Reason(reason).label.encode()),
            (SF_CAUSE, cause.encode("utf-8", "replace")),
            self._policy,
            *omitted,
        ]

    def _origin(self, offset: int) -> Headers:
        source = b"%s%d" % (self._position, offset)
        identity = self._hash.copy()
        identity.update(source)
        return [(SF_ID, identity.hexdigest().encode()), (SF_SOURCE, source)]


def fold_headers(first: str, *, key: bytes, reason: Reason, policy_id: str) -> Headers:
    """Headers of a fold summary. `first`: the printed position of the first folded record. The
    id is the summary's own, equal for every repeat of it."""
    return [
        (SF_ID, event_id(f"fold/{first}", key=key).encode()),
        (SF_FOLD, first.encode()),
        (SF_REASON, reason.label.encode()),
        (SF_POLICY, policy_id.encode()),
    ]
