"""Asks a model about an outage, and comes back with what it says or why it says nothing."""

import time
from collections.abc import Callable, Sequence

from stream_filter.analyst.answers import short_ids
from stream_filter.analyst.courier import Courier
from stream_filter.analyst.endpoint import RequestFailedError
from stream_filter.analyst.outage_question import (
    outage_messages,
    outage_schema,
    read_outage_answer,
    shown,
)
from stream_filter.analyst.outcome import Cause
from stream_filter.analyst.redaction import Redaction, redact
from stream_filter.core.errors import StreamFilterError
from stream_filter.outage.incident import Assessment
from stream_filter.outage.packing import pack
from stream_filter.outage.sighting import Shape
from stream_filter.outage.view import View

_TRIES = 2
_MOST_IDS = 2_000
ADVICE_CHARS = 1_000
_ANSWER_TOKENS = 1_200
"""Room for an answer."""


class OutageAsker:
    """Within the judge's limits and budget, and by his fallback where he is down."""

    def __init__(
        self,
        courier: Courier,
        *,
        shape: Shape,
        most_tokens: int,
        answer_tokens: int,
        count: Callable[[str], int],
        redactions: Sequence[Redaction],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`answer_tokens`: the endpoint's room for the answer on one event. `redactions`: what must
        not stand in an advice."""
        self._courier = courier
        self._shape = shape
        self._most_tokens = most_tokens
        self._events = -(-_ANSWER_TOKENS // answer_tokens)
        self._count = count
        self._redactions = tuple(redactions)
        self._clock = clock

    async def ask(self, view: View) -> Assessment | str:
        """The cause where there is no answer that fits. Never raises but when cancelled."""
        packed = pack(
            view,
            most_tokens=self._most_tokens,
            count=self._count,
            ids=short_ids(_MOST_IDS),
            shown=shown,
        )
        tokens, cost = 0, 0.0
        cause = Cause.MALFORMED
        for _ in range(_TRIES):
            try:
                delivered = await self._courier.ask(
                    outage_messages(packed), outage_schema(packed), events=self._events
                )
            except RequestFailedError as failure:
                return failure.cause.value
            except StreamFilterError:
                # The budget is too small for it, the key is refused, the spending topic is not to
                # be had: verdicts meet the same, and say so.
                return Cause.REFUSED.value
            reply = delivered.reply
            tokens += reply.input_tokens + reply.output_tokens
            cost += delivered.cost
            answer = read_outage_answer(
                reply.content,
                packed,
                is_whole=reply.is_whole,
                earliest_ms=view.since_ms - self._shape.baseline_ms,
                now_ms=view.now_ms,
            )
            if not isinstance(answer, Cause):
                (advice,) = redact([answer.advice], self._redactions)
                return Assessment(
                    judge=delivered.judge,
                    at_ms=int(self._clock() * 1000),
                    is_outage=answer.is_outage,
                    since_ms=answer.since_ms,
                    root=answer.root,
                    affected=answer.affected,
                    advice=advice[:ADVICE_CHARS],
                    rests_on=answer.rests_on,
                    tokens=tokens,
                    cost=cost,
                )
            cause = Cause.REFUSED if reply.is_refusal else answer
        return cause.value
