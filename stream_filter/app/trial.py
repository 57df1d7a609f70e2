"""What a policy makes of real events: counts, examples, scores, and what the reader would cost."""

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.rehearsal import read_one
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.tokens import estimated_tokens
from stream_filter.gate.batch import Outcome, RecordBatch
from stream_filter.gate.ports import TextReader

SCORE_BINS = 10
_HEAD_BYTES = 500

Fate: TypeAlias = tuple[Route, Reason]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A record that a decision fell on."""

    topic: str
    partition: int
    offset: int
    score: float | None
    text: str | None
    """The canonical text; None where there is none to read."""
    payload: str | None
    """The value's head, U+FFFD for what is not UTF-8; None for a tombstone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialReport:
    """What a trial found."""

    events: int
    distinct_texts: int
    fates: dict[Fate, int]
    """Most frequent first."""
    verdicts: dict[Verdict, int]
    score_counts: NDArray[np.int64]
    """Shape (10,): scores in [0, 0.1), [0.1, 0.2), …, [0.9, 1]."""
    unscored: int
    value_bytes: int
    forwarded: int
    tokens: int
    """Estimated, of all values."""
    forwarded_tokens: int
    examples: dict[Fate, list[Example]]
    degraded_because: str | None
    """Why the model gave no score, where it did not."""


class Trial:
    """Takes outcomes in, gives a report. Remembers counts and a few examples, not events; of texts
    8 bytes each."""

    def __init__(self, reader: TextReader, *, examples: int) -> None:
        """`reader` reads the examples' texts once more; `examples`: how many to keep of each route
        and reason, with distinct texts."""
        self._reader = reader
        self._wanted = examples
        self._events = 0
        self._fates: Counter[Fate] = Counter()
        self._verdicts: Counter[Verdict] = Counter()
        self._scores = np.zeros(SCORE_BINS, np.int64)
        self._unscored = 0
        self._value_bytes = 0
        self._tokens = 0
        self._forwarded_tokens = 0
        self._digests: list[NDArray[np.uint64]] = []
        self._examples: dict[Fate, dict[int | str | None, Example]] = {}
        self._degraded_because: str | None = None

    def add(self, batch: RecordBatch, outcome: Outcome) -> None:
        """Count a batch."""
        block = outcome.block
        decisions = block.decisions
        self._events += len(batch.records)
        self._degraded_because = outcome.degraded_because or self._degraded_because
        self._digests.append(np.unique(block.text_digests[block.text_digests != 0]))
        self._verdicts.update(
            {Verdict(code): int(count) for code, count in _counted(decisions.verdict)}
        )
        scored = decisions.score[~np.isnan(decisions.score)]
        self._unscored += len(decisions.score) - len(scored)
        self._scores += np.histogram(scored, SCORE_BINS, (0.0, 1.0))[0]

        sizes = np.fromiter((len(r.value or b"") for r in batch.records), np.int64)
        tokens = estimated_tokens(sizes)
        self._value_bytes += int(sizes.sum())
        self._tokens += int(tokens.sum())
        self._forwarded_tokens += int(tokens[decisions.route == Route.FORWARD].sum())

        pairs = decisions.route.astype(np.int64) * len(Reason) + decisions.reason
        for code, count in _counted(pairs):
            fate = Route(code // len(Reason)), Reason(code % len(Reason))
            self._fates[fate] += count
            self._keep_examples(fate, batch, outcome, np.flatnonzero(pairs == code))

    def _keep_examples(
        self, fate: Fate, batch: RecordBatch, outcome: Outcome, rows: NDArray[np.int64]
    ) -> None:
        kept = self._examples.setdefault(fate, {})
        if len(kept) >= self._wanted:
            return
        digests = outcome.block.text_digests[rows]
        firsts = np.unique(digests, return_index=True)[1]
        # Without a text (digest 0) records differ by what they hold.
        for row in rows[np.union1d(firsts, np.flatnonzero(digests == 0))].tolist():
            record = batch.records[row]
            score = float(outcome.block.decisions.score[row])
            example = Example(
                topic=batch.topic,
                partition=batch.partition,
                offset=record.offset,
                score=None if np.isnan(score) else round(score, 6),
                text=read_one(self._reader, record.value)[0],
                payload=_head(record.value),
            )
            kept.setdefault(int(outcome.block.text_digests[row]) or example.payload, example)
            if len(kept) >= self._wanted:
                return

    def report(self) -> TrialReport:
        distinct = np.unique(np.concatenate([np.empty(0, np.uint64), *self._digests]))
        return TrialReport(
            events=self._events,
            distinct_texts=len(distinct),
            fates=dict(sorted(self._fates.items(), key=lambda item: (-item[1], item[0]))),
            verdicts=dict(sorted(self._verdicts.items())),
            score_counts=self._scores.copy(),
            unscored=self._unscored,
            value_bytes=self._value_bytes,
            forwarded=sum(n for (route, _), n in self._fates.items() if route is Route.FORWARD),
            tokens=self._tokens,
            forwarded_tokens=self._forwarded_tokens,
            examples={fate: list(self._examples[fate].values()) for fate in self._examples},
            degraded_because=self._degraded_because,
        )


def _head(value: bytes | None) -> str | None:
    if value is None:
        return None
    return value[:_HEAD_BYTES].decode("utf-8", "replace") + "…" * (len(value) > _HEAD_BYTES)


def _counted(codes: NDArray[np.integer]) -> list[tuple[int, int]]:
    """Each code that occurs, and how often."""
    values, counts = np.unique(codes, return_counts=True)
    return list(zip(values.tolist(), counts.tolist(), strict=True))
