"""Gets one prompt answered: within the limits, again where it failed, by the fallback where it
must."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from stream_filter.analyst.breaker import Breaker
from stream_filter.analyst.endpoint import Endpoint, Form, Reply, RequestFailedError, refusal
from stream_filter.analyst.outcome import Cause
from stream_filter.analyst.pacing import Limits
from stream_filter.analyst.purse import Purse
from stream_filter.analyst.reaching import PROBE, PROBE_SCHEMA
from stream_filter.analyst.token_counts import UsageMeter

_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
_TRIES = 8
"""Of one prompt at a server that answers others: then it is the prompt's fault."""
_LOOK_S = 0.1


class CourierObserver(Protocol):
    """Hears of every request."""

    def replied(self, judge: str, reply: Reply, cost: float) -> None: ...
    def failed(self, judge: str, cause: Cause, cost: float) -> None:
        """`cost`: what is counted for it, since the server may have done the work."""
        ...

    def breaker_changed(self, judge: str, *, is_open: bool, why: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Line:
    """An endpoint with what guards it."""

    endpoint: Endpoint
    limits: Limits
    breaker: Breaker
    meter: UsageMeter


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """An answer, by whom, and what it cost."""

    judge: str
    reply: Reply
    cost: float


class Courier:
    """Tries the first line, and the others while its breaker is open."""

    def __init__(
        self,
        lines: Sequence[Line],
        *,
        purse: Purse,
        observer: CourierObserver,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._lines = list(lines)
        self._purse = purse
        self._observer = observer
        self._dice = dice

    @property
    def judges(self) -> list[str]:
        """Whom the answer may come from, the first choice first."""
        return [line.endpoint.spec.judge for line in self._lines]

    def give(self, share: float) -> None:
        """The share of the limits that is ours."""
        for line in self._lines:
            line.limits.give(share)

    async def ask(
        self, messages: Sequence[dict[str, str]], schema: dict[str, Any], *, events: int
    ) -> Delivered:
        """An answer on so many events. Waits as long as it takes while servers are busy or down;
        raises RequestFailedError where it is this prompt that fails, ConfigError, BrokerError."""
        tries = busy = 0
        is_at_fault = False
        refused: dict[str, set[Form]] = defaultdict(set)
        while True:
            line = await self._open_line()
            judge = line.endpoint.spec.judge
            try:
                return await self._ask(line, messages, schema, events, refused[judge])
            except RequestFailedError as failure:
                if failure.asks_again:
                    continue
                if failure.status == 403:
                    # Of the key, or of a wall before the server that dislikes what an event says.
                    probe = await self._probe(line)
                    if probe is not None and probe.status == 403:
                        raise refusal(line.endpoint.spec, 403) from None
                if not failure.retriable or is_at_fault:
                    raise
                if failure.cause is Cause.TOO_MANY:
                    # At least as long as it wants: a server may say 0 for ever.
                    line.limits.pause(max(failure.retry_after_s or 0.0, self._wait_s(busy)))
                    busy += 1
                    continue
                tries += 1
                if line.breaker.is_open:
                    # Another line, or this one when its pause is over. Where nothing else is asked
                    # meanwhile, nobody could say whether it is down, or fails because of this.
                    if tries >= _TRIES:
                        probe = await self._probe(line)
                        is_at_fault = probe is None or probe.cause is Cause.REFUSED
                    continue
                if tries >= _TRIES:
                    raise
                await asyncio.sleep(max(self._wait_s(tries), failure.retry_after_s or 0.0))

    async def _open_line(self) -> Line:
        while True:
            for line in self._lines:
                if line.breaker.lets_pass():
                    return line
            await asyncio.sleep(_LOOK_S)

    async def _probe(self, line: Line) -> RequestFailedError | None:
        """Ask what nobody can object to; why there is no answer."""
        while not line.breaker.lets_pass():  # noqa: ASYNC110  time passes
            await asyncio.sleep(_LOOK_S)
        try:
            await self._ask(line, PROBE, PROBE_SCHEMA, 1, set())
        except RequestFailedError as failure:
            return failure
        return None

    async def _ask(
        self,
        line: Line,
        messages: Sequence[dict[str, str]],
        schema: dict[str, Any],
        events: int,
        refused: set[Form],
    ) -> Delivered:
        spec = line.endpoint.spec
        size = sum(len(m["content"].encode()) for m in messages) + len(repr(schema))
        output = spec.answer_tokens * (events + 1)
        tokens = line.meter.at_most(size) + output
        reserved = spec.cost(tokens - output, output)
        was_open = line.breaker.is_open
        spent, used = 0.0, 0
        day, is_admitted, why = None, False, ""
        try:
            day = await self._purse.reserve(reserved)
            await line.limits.admit(tokens)
            is_admitted = True
            spent, used = reserved, tokens  # until it is known better
            reply = await line.endpoint.ask(messages, schema, most_tokens=output, refused=refused)
            if not reply.input_tokens:  # a server that does not count
                reply = replace(reply, input_tokens=tokens - output, output_tokens=output)
            used = reply.input_tokens + reply.output_tokens
            spent = spec.cost(reply.input_tokens, reply.output_tokens)
            line.meter.learn(size, reply.input_tokens)
            line.breaker.succeeded()
            self._observer.replied(spec.judge, reply, spent)
            return Delivered(judge=spec.judge, reply=reply, cost=spent)
        except RequestFailedError as failure:
            why = str(failure)
            if not failure.may_cost:
                spent, used = 0.0, 0
            if failure.cause in {Cause.TOO_MANY, Cause.REFUSED}:
                line.breaker.succeeded()  # it answers
            else:
                line.breaker.failed()
            self._observer.failed(spec.judge, failure.cause, spent)
            raise
        except BaseException:
            line.breaker.gave_up()
            raise
        finally:
            if day is not None:
                self._purse.settle(day, reserved, spent)
            if is_admitted:
                line.limits.settle(tokens, used)
            if line.breaker.is_open is not was_open:
                self._observer.breaker_changed(spec.judge, is_open=line.breaker.is_open, why=why)

    def _wait_s(self, tries: int) -> float:
        """Full jitter: any time up to a bound that doubles."""
        return self._dice() * min(_FIRST_WAIT_S * 2.0**tries, _LONGEST_WAIT_S)
