"""When dead-lettering has to stop: the difference between a bad record and a bad deploy."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterLimit:
    """At most `max_run` dead letters in a row and, once `window` records were seen, at most
    `max_share` of the window, for one partition."""

    max_run: int = 1000
    max_share: float = 0.5
    window: int = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetterTally:
    """What one partition's recent past looks like."""

    run: int = 0
    """Dead letters in a row, up to the last record."""
    seen: int = 0
    dead: int = 0

    def add(self, dead: NDArray[np.bool_], limit: DeadLetterLimit) -> "DeadLetterTally":
        """The tally after one more batch; `dead` has a flag for each record, in offset order.

        The window forgets by halves: at `2 × window` records all counts are halved, so that an
        old calm hour cannot hide a bad deploy.
        """
        n, lost = len(dead), int(np.count_nonzero(dead))
        alive = np.flatnonzero(~dead)
        run = self.run + n if len(alive) == 0 else n - 1 - int(alive[-1])
        tally = replace(self, run=run, seen=self.seen + n, dead=self.dead + lost)
        while tally.seen >= 2 * limit.window:
            tally = replace(tally, seen=tally.seen // 2, dead=tally.dead // 2)
        return tally

    def exceeds(self, limit: DeadLetterLimit) -> str | None:
        """What is exceeded, in words, or None."""
        if self.run > limit.max_run:
            return f"{self.run} records in a row cannot be decoded (limit {limit.max_run})"
        if self.seen >= limit.window and self.dead > limit.max_share * self.seen:
            share = self.dead / self.seen
            return (
                f"{share:.0%} of {self.seen} records cannot be decoded "
                f"(limit {limit.max_share:.0%})"
            )
        return None
