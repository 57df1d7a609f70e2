"""Which records a budget is spent on first: what a rule keeps, then by score, then the rarer text.

Across batches records are compared by level, within a batch exactly.
"""

import math

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason
from stream_filter.core.occurrences import Occurrences

LEVELS = 64
_BY_SCORE = LEVELS - 1
_UNKNOWN = 0.5
"""Stands for the score of a record that the model could not read."""
_COUNTERS = 1 << 14
_HOLDOUT = int(Reason.HOLDOUT)
"""Looked up once: `priority_of` is called for every record that is forwarded."""


def levels_of(decisions: Decisions) -> NDArray[np.int64]:
    """Shape (n,): the level of each record, 0 to LEVELS - 1; higher is worth more. The highest is
    for what a rule decides."""
    score = np.nan_to_num(decisions.score, nan=_UNKNOWN)
    level = np.minimum((score * _BY_SCORE).astype(np.int64), _BY_SCORE - 1)
    return level if decisions.rule is None else np.where(decisions.rule >= 0, _BY_SCORE, level)


def priority_of(reason: int, score: float, rule: int) -> int:
    """In which order the analyst should read, 9 first to 0: 9 for what a rule keeps and for the
    holdout, without whose answers nothing is known of the drops; else the score's ninth, 0 to 8.
    `reason` by code, `score` NaN for none (4), `rule` -1."""
    if rule >= 0 or reason == _HOLDOUT:
        return 9
    return min(8, int((_UNKNOWN if math.isnan(score) else score) * 9))


class TextCounts:
    """About how often each canonical text was read, from a table of counters. Texts that share a
    counter look more frequent than they are. Old counts fade."""

    def __init__(self) -> None:
        self._counts = np.zeros(_COUNTERS, np.int64)
        self._total = 0

    def add(self, texts: Occurrences) -> NDArray[np.int64]:
        """Count a batch; how often the text of each record was read by now, shape (n,)."""
        codes = texts.codes[texts.codes >= 0]
        at = (texts.digests % np.uint64(_COUNTERS)).astype(np.int64)
        np.add.at(self._counts, at, np.bincount(codes, minlength=len(at)))
        self._total += len(codes)
        counted = np.append(self._counts[at], 0)[texts.codes]
        if self._total > 64 * _COUNTERS:
            self._counts //= 2
            self._total //= 2
        return counted


def spending_order(
    decisions: Decisions, levels: NDArray[np.int64], text_count: NDArray[np.int64]
) -> NDArray[np.intp]:
    """Indices of n records, the most worth first; equals in their order."""
    score = np.nan_to_num(decisions.score, nan=_UNKNOWN)
    return np.lexsort((text_count, -score, levels != LEVELS - 1))
