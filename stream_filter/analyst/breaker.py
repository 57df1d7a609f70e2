"""A circuit breaker: an endpoint that fails again and again is left alone for a while."""

from collections.abc import Callable

_FAILURES = 5
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0


class Breaker:
    """Closed: requests pass. After five failures in a row it opens; when its pause is over, one
    request may try. If that fails too the next pause is twice as long."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures = 0
        self._pause_s = _FIRST_PAUSE_S
        self._open_until_s: float | None = None
        self._is_trying = False

    @property
    def is_open(self) -> bool:
        """Whether the endpoint counts as down."""
        return self._open_until_s is not None

    def lets_pass(self) -> bool:
        """Whether a request may be sent now. The one that tries must end in one of the three
        below."""
        if self._open_until_s is None:
            return True
        if self._is_trying or self._clock() < self._open_until_s:
            return False
        self._is_trying = True
        return True

    def succeeded(self) -> None:
        self._failures, self._pause_s = 0, _FIRST_PAUSE_S
        self._open_until_s, self._is_trying = None, False

    def failed(self) -> None:
        self._failures += 1
        if self._is_trying or (self._open_until_s is None and self._failures >= _FAILURES):
            self._open_until_s = self._clock() + self._pause_s
            self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._is_trying = False

    def gave_up(self) -> None:
        """The request ended without an answer either way."""
        self._is_trying = False
