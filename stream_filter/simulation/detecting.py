"""The drift alarm on streams whose recall falls: false alarms, and how long the true ones take."""

from dataclasses import dataclass

import numpy as np

from stream_filter.core.drift import RecallWatch

_GIVE_UP = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Detected:
    """Over many streams."""

    false_alarms: float
    """Share of streams with an alarm before the fall."""
    noticed: float
    """Share of the others with an alarm within `_GIVE_UP` important events after it."""
    delay: float
    """Median important events from the fall to the alarm, of those noticed."""


def detect(
    watch: RecallWatch,
    rng: np.random.Generator,
    *,
    before: float,
    after: float,
    falls_at: int = 1_000,
    streams: int = 2_000,
) -> Detected:
    """Recall falls from `before` to `after` at the important event `falls_at`."""
    first = _first_alarms(
        watch,
        rng,
        [(before, falls_at), (after, _GIVE_UP)],
        streams=streams,
    )
    is_false = first < falls_at
    noticed = (first < falls_at + _GIVE_UP) & ~is_false
    return Detected(
        false_alarms=float(is_false.mean()),
        noticed=float(noticed.sum() / max((~is_false).sum(), 1)),
        delay=float(np.median(first[noticed] - falls_at + 1)) if noticed.any() else float("nan"),
    )


def run_length(
    watch: RecallWatch,
    rng: np.random.Generator,
    *,
    recall: float,
    events: int,
    streams: int = 2_000,
) -> tuple[float, float]:
    """At a constant recall: the share of streams with an alarm in so many important events, and
    the mean number of events to the alarm, those without one taken as `events`."""
    first = _first_alarms(watch, rng, [(recall, events)], streams=streams)
    return float((first < events).mean()), float(np.minimum(first + 1, events).mean())


def _first_alarms(
    watch: RecallWatch,
    rng: np.random.Generator,
    stretches: list[tuple[float, int]],
    *,
    streams: int,
) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """Index of the event that raised the alarm, shape (streams,); the end where none did."""
    total = sum(length for _, length in stretches)
    first = np.full(streams, total)
    sums = watch.start(streams)
    step = 0
    for recall, length in stretches:
        held_out = (1.0 - recall) * watch.holdout
        chance = held_out / (recall * watch.judged_share + held_out)
        for _ in range(length):
            sums = watch.advance(sums, rng.random(streams) < chance)
            first = np.where(watch.alarms(sums) & (first == total), step, first)
            step += 1
    return first
