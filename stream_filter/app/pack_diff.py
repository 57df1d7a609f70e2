"""Two packs on the same events: how far scores move, and which verdicts would change."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.core.decision import Verdict, decide
from stream_filter.core.policy import Thresholds

QUANTILES = (0.5, 0.9, 0.99, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """Events of one slice, or all."""

    events: int
    mean: float
    """Of the second pack's scores less the first's."""
    quantiles: dict[float, float]
    """Of the absolute differences."""
    verdicts: dict[tuple[Verdict, Verdict], int]
    """How many events have which verdict by the first pack and by the second."""
    important: dict[tuple[Verdict, Verdict], int]
    """The same of the events labelled important."""

    @property
    def changed(self) -> int:
        return sum(count for (one, other), count in self.verdicts.items() if one != other)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A text that moved far."""

    text: str
    before: float
    after: float
    events: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PackDiff:
    """What the second pack would change."""

    whole: Shift
    slices: dict[str, dict[str, Shift]]
    """By key, by value: the largest first."""
    examples: list[Moved]
    """Texts whose verdict changes, the farthest first."""


def compare(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    events: LabelledEvents,
    thresholds: Thresholds,
    *,
    examples: int = 10,
    slices_shown: int = 10,
) -> PackDiff:
    """`before`, `after`: shape (distinct texts,), the packs' scores."""
    by_text = [_verdicts(scores, thresholds) for scores in (before, after)]
    codes = events.codes
    pairs = by_text[0].astype(np.int64) * len(Verdict) + by_text[1]
    difference = after.astype(np.float64) - before

    def shift(rows: NDArray[np.bool_]) -> Shift:
        moved = difference[codes[rows]]
        return Shift(
            events=int(rows.sum()),
            mean=float(moved.mean()),
            quantiles={q: float(np.quantile(np.abs(moved), q)) for q in QUANTILES},
            verdicts=_counted(pairs[codes[rows]]),
            important=_counted(pairs[codes[rows & (events.important == 1)]]),
        )

    changed = np.flatnonzero(by_text[0] != by_text[1])
    farthest = changed[np.argsort(-np.abs(difference[changed]), kind="stable")][:examples]
    counts = np.bincount(codes, minlength=len(events.texts))
    return PackDiff(
        whole=shift(np.ones(len(codes), np.bool_)),
        slices={
            key: {
                value: shift(np.array([each == value for each in values], np.bool_))
                for value, _ in Counter(values).most_common(slices_shown)
            }
            for key, values in events.slices.items()
        },
        examples=[
            Moved(
                text=events.texts[index],
                before=float(before[index]),
                after=float(after[index]),
                events=int(counts[index]),
            )
            for index in farthest.tolist()
        ],
    )


def _verdicts(scores: NDArray[np.float32], thresholds: Thresholds) -> NDArray[np.uint8]:
    there = np.ones(len(scores), np.bool_)
    return decide(scores, decodable=there, readable=there, thresholds=thresholds).verdict


def _counted(pairs: NDArray[np.int64] | Sequence[int]) -> dict[tuple[Verdict, Verdict], int]:
    values, counts = np.unique(pairs, return_counts=True)
    return {
        (Verdict(value // len(Verdict)), Verdict(value % len(Verdict))): count
        for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    }
