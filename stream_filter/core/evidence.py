"""What is known about the drops of one epoch: counts by stratum, and how far they reach.

An epoch is a stretch of one topic under one policy and one model pack. Its events are counted up
to the *evidence watermark*, one point in time for all partitions: were each partition counted as
far as its verdicts happen to reach, the order of the draws would depend on the draws.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Stratum:
    """Events behind the watermark that had the same chance to be shown to the analyst.

    Would-be drops are shown with the holdout's π, forwarded events with 1, or with the share
    that the analyst is asked about.
    """

    probability: float
    """In [0, 1]. At 0 nothing was shown, and any of the events may be important."""
    events: int
    """All of them, those shown included."""
    shown: int
    judged: int
    """Of those shown, how many have a verdict. A verdict that came twice counts once."""
    important: int
    """Of those judged, how many are important."""
    slice: str = ""
    """Value of the fields that the policy slices by, like a service's name."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.probability <= 1.0:  # NaN too
            raise ValueError(f"probability: must lie in [0, 1], not {self.probability!r}")
        if not 0 <= self.important <= self.judged <= self.shown <= self.events:
            raise ValueError(
                "stratum: must have 0 ≤ important ≤ judged ≤ shown ≤ events, not "
                f"{self.important}, {self.judged}, {self.shown}, {self.events}"
            )
        if self.probability in {0.0, 1.0} and self.shown != self.events * self.probability:
            raise ValueError(
                f"shown: {self.shown} of {self.events} events cannot have been shown with "
                f"probability {self.probability:g}"
            )

    @property
    def silent(self) -> int:
        """Shown and without a verdict: they count against us."""
        return self.shown - self.judged


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochEvidence:
    """The counts of one epoch of one topic."""

    topic: str
    policy_id: str
    model_id: str
    opened_ms: int
    """When its first event was decided, Unix milliseconds: its pace is counted from here."""
    watermark_ms: int
    """Events decided before it are counted."""
    is_closed: bool
    dropped: tuple[Stratum, ...]
    """Would-be drops: all with a route of `discard`, and the held-out ones."""
    forwarded: tuple[Stratum, ...]
    """Events forwarded for any reason but the holdout."""
    pending: int = 0
    """Events beyond the watermark that were shown and wait for a verdict."""
    last_verdict_ms: int | None = None
    """When the newest verdict came; None before the first."""
    is_complete: bool = True
    """False where counts or verdicts were lost: no bound can be given then."""

    def __post_init__(self) -> None:
        if self.watermark_ms < self.opened_ms:
            raise ValueError(
                f"watermark_ms: {self.watermark_ms} lies before opened_ms {self.opened_ms}"
            )
        if self.pending < 0:
            raise ValueError(f"pending: must be 0 or more, not {self.pending}")


NO_VERDICT, UNIMPORTANT, IMPORTANT = -1, 0, 1


def effective_verdicts(
    events: int,
    *,
    event: NDArray[np.int64],
    important: NDArray[np.bool_],
    by_person: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """The one verdict that counts for each of `events` shown events, shape (events,): IMPORTANT,
    UNIMPORTANT or NO_VERDICT.

    Verdicts are columns of shape (n,) in order of arrival; `event` is the index of the event
    judged, −1 where no such event was shown (a forgery: ignored). People override models; of
    two alike, the first counts. Raises ValueError where columns differ in length or an index is
    out of range.
    """
    if not len(event) == len(important) == len(by_person):
        raise ValueError("event, important and by_person differ in length")
    if len(event) and not -1 <= event.min() <= event.max() < events:
        raise ValueError(f"event: must lie in [-1, {events})")
    effective = np.full(events, NO_VERDICT, np.int8)
    for judges in (~by_person, by_person):
        counted = np.flatnonzero(judges & (event >= 0))[::-1]  # the first is written last
        effective[event[counted]] = important[counted]
    return effective


def evidence_watermark(
    shown_ms: NDArray[np.int64], verdict: NDArray[np.int8], *, reached_ms: int, patience_ms: int
) -> int:
    """The record time up to which evidence counts: that of the oldest event that waits for a
    verdict, but never more than `patience_ms` before `reached_ms`, the time that the stream has
    reached: whoever stays silent longer counts against us.

    `shown_ms`: record times of the shown events; `verdict`: theirs; both of shape (n,).
    """
    waiting = shown_ms[verdict == NO_VERDICT]
    oldest = int(waiting.min()) if len(waiting) else reached_ms
    return max(min(oldest, reached_ms), reached_ms - patience_ms)
