"""Requests and tokens a minute, for a group of analysts that do not speak with each other.

A limit is the group's. Each analyst takes the share of it that he has of the topics' partitions,
spends it evenly, and begins with nothing saved up: so the sum stays within the limit in any 60 s,
also where one is killed and another takes over his share. A bucket that fills to the brim and is
then emptied at once would let twice the limit through.
"""

import asyncio
from collections.abc import Callable

_MINUTE_S = 60.0
_SLACK_S = 2.0
"""What a bucket may hold, and by how much requests that were sent evenly may arrive unevenly."""


class Pace:
    """So many units in any 60 s. What is taken is settled when it is known."""

    def __init__(self, per_minute: float, clock: Callable[[], float]) -> None:
        self._limit = per_minute
        self._clock = clock
        self._share = 0.0
        self._level = 0.0
        self._at_s = clock()

    @property
    def most_at_once(self) -> float:
        """What a single request may take at the most."""
        return self._limit / 2

    def give(self, share: float) -> None:
        """From now on this share of the limit is ours, in [0, 1]. What was saved up is kept as far
        as it belongs to the new share."""
        self._refill()
        self._share = share
        self._level = min(self._level, self._capacity(0.0))

    def wait_s(self, amount: float) -> float:
        """How long until `amount` may be taken; infinite without a share."""
        self._refill(amount)
        if not self._share:
            return float("inf")
        lacking = min(amount, self._capacity(amount)) - self._level
        return max(0.0, lacking / self._per_second(amount))

    def take(self, amount: float) -> None:
        """Take it, after `wait_s` was 0."""
        self._level -= amount

    def settle(self, taken: float, actual: float) -> None:
        """Of what was taken only `actual` was needed, or more: later ones wait for it."""
        self._level += taken - actual

    def _refill(self, amount: float = 0.0) -> None:
        now_s = self._clock()
        filled = self._level + (now_s - self._at_s) * self._per_second(amount)
        # What is above the brim because a larger request waited is not taken away from it.
        self._level = min(filled, max(self._capacity(amount), self._level))
        self._at_s = now_s

    def _capacity(self, amount: float) -> float:
        return max(self._limit * self._share / _MINUTE_S, 1.0, amount)

    def _per_second(self, amount: float) -> float:
        """So much that a full bucket and a minute's flow are the limit."""
        limit = self._limit * self._share
        capacity = self._capacity(amount)
        if capacity <= 1.0:
            # One at a time: in 60 s at most one more than flows, and that is whole.
            flow = float(int(limit)) or limit
        else:
            flow = max(limit - max(0.0, capacity - limit / _MINUTE_S), limit / 2)
        return flow / (_MINUTE_S + _SLACK_S)


class Limits:
    """The pace of one endpoint: requests, tokens, and pauses that it has asked for."""

    def __init__(
        self,
        *,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._requests = Pace(requests_per_minute, clock) if requests_per_minute else None
        self._tokens = Pace(tokens_per_minute, clock) if tokens_per_minute else None
        self._paused_until_s = 0.0
        self._turn = asyncio.Lock()

    def give(self, share: float) -> None:
        for pace in (self._requests, self._tokens):
            if pace is not None:
                pace.give(share)

    def pause(self, seconds: float) -> None:
        """The endpoint wants no request for so long."""
        self._paused_until_s = max(self._paused_until_s, self._clock() + seconds)

    async def admit(self, tokens: float) -> None:
        """Returns when a request of at most `tokens` may be sent; first come, first served."""
        async with self._turn:
            while (wait_s := self._wait_s(tokens)) > 0:  # noqa: ASYNC110  time passes
                await asyncio.sleep(min(wait_s, 0.5))
            if self._requests is not None:
                self._requests.take(1)
            if self._tokens is not None:
                self._tokens.take(tokens)

    def settle(self, taken: float, actual: float) -> None:
        """A request that was admitted with `taken` tokens took `actual`."""
        if self._tokens is not None:
            self._tokens.settle(taken, actual)

    def _wait_s(self, tokens: float) -> float:
        waits = [self._paused_until_s - self._clock()]
        waits += [self._requests.wait_s(1)] if self._requests is not None else []
        waits += [self._tokens.wait_s(tokens)] if self._tokens is not None else []
        return max(waits)
