"""How much of a budget is left for records that wait, beside what comes live."""

import math
from collections import deque

from stream_filter.core.budget import Limit


class LiveWindow:
    """What was sent in the last window of one limit: live, and released from waiting.

    What comes live in the next window is taken to be as much as in the last one, and three
    standard deviations: only what that leaves is released.
    """

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._sent: deque[tuple[int, int, bool]] = deque()
        self._live = 0
        self._released = 0

    def add(self, cost: int, *, at_ms: int, is_live: bool) -> None:
        """Times in Unix ms, about ascending."""
        self._sent.append((at_ms, cost, is_live))
        self._count(cost, is_live=is_live)

    def room(self, now_ms: int) -> int:
        """What may be released now."""
        while self._sent and self._sent[0][0] <= now_ms - self._limit.window_ms:
            _, cost, is_live = self._sent.popleft()
            self._count(-cost, is_live=is_live)
        expected = self._live + math.ceil(3.0 * math.sqrt(self._live))
        return self._limit.amount - expected - self._released

    def _count(self, cost: int, *, is_live: bool) -> None:
        if is_live:
            self._live += cost
        else:
            self._released += cost
