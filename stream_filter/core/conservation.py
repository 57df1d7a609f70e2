"""Conservation: consumed = forwarded + discarded + … , checked from outside for one partition."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ledger import Span
from stream_filter.core.offset_ranges import Range, contained


@dataclass(frozen=True, slots=True)
class FoldCount:
    """What one fold summary says."""

    digest: int
    first: int
    """Offset of the first and the last folded record."""
    last: int
    folded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionFacts:
    """What was read about one source partition, all offsets as int64 arrays."""

    window: tuple[int, int]
    """Offsets [first, next) to be judged: retained by the source, asked for, and accounted for."""
    source: NDArray[np.int64]
    """Offsets that the source holds in the window, ascending."""
    chain: Sequence[Span]
    """The effective blocks, ascending."""
    rows: NDArray[np.int64]
    """Offsets of the effective blocks' rows."""
    forward_rows: NDArray[np.int64]
    dead_rows: NDArray[np.int64]
    defer_rows: NDArray[np.int64]
    fold_rows: NDArray[np.int64]
    fold_digests: NDArray[np.uint64]
    """Of the texts of `fold_rows`, of the same length."""
    forwarded: NDArray[np.int64]
    """Source offsets found in the analysis topics, repeats included."""
    dead: NDArray[np.int64]
    deferred: NDArray[np.int64]
    """Found in the deferred topic."""
    released: NDArray[np.int64]
    """Found in the analysis topics, where a drain sent them from the deferred topic."""
    replayed: NDArray[np.int64]
    """Found in the analysis topics, where a replay sent them, repeats included."""
    replay_ranges: Sequence[Range]
    """What the replay topic said was sent there, before `replayed` was read; repeats included."""
    later_replay_ranges: Sequence[Range]
    """And what it said after."""
    summaries: Sequence[FoldCount]
    """The fold summaries found in the analysis topics, in their order, repeats included."""
    overtaken: NDArray[np.int64]
    """Offsets sent by blocks that another one overtook (at least once)."""
    exactly_once: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Conservation:
    """The finding. It holds when `problems` is empty."""

    records: int
    blocks: int
    forwarded: int
    dead: int
    deferred: int
    released: int
    """How many of the deferred reached an analysis topic in the end."""
    replayed: int
    """How many were sent to an analysis topic later, by a replay."""
    folded: int
    summarized: int
    """How many of the folded stand in a summary; the windows of the others are still open."""
    repeated: int
    problems: tuple[str, ...] = field(default=())

    @property
    def discarded(self) -> int:
        return self.records - self.forwarded - self.dead - self.deferred - self.folded


def conserve(facts: PartitionFacts) -> Conservation:
    """Judge one partition: every source offset in exactly one effective block, every forwarded,
    deferred and dead-lettered record as the ledger says, nothing released that was not deferred, no
    folded record in more than one summary."""
    problems: list[str] = []
    for before, after in zip(facts.chain, facts.chain[1:], strict=False):
        if after.first != before.next:
            problems.append(f"the ledger has no block for offsets {before.next}..{after.first - 1}")

    def inside(offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        first, after_last = facts.window
        return offsets[(offsets >= first) & (offsets < after_last)]

    rows = inside(facts.rows)
    once, counts = np.unique(rows, return_counts=True)
    _report(problems, once[counts > 1], "in more than one effective block")
    _report(problems, np.setdiff1d(facts.source, once), "in no block")
    _report(problems, np.setdiff1d(once, facts.source), "in a block, but not in the source")

    repeated = 0
    for name, found, expected in (
        ("forwarded", inside(facts.forwarded), inside(facts.forward_rows)),
        ("dead-lettered", inside(facts.dead), inside(facts.dead_rows)),
        ("deferred", inside(facts.deferred), inside(facts.defer_rows)),
    ):
        present, times = np.unique(found, return_counts=True)
        twice = present[times > 1]
        repeated += int(times.sum() - len(present))
        if facts.exactly_once:
            _report(problems, twice, f"{name} more than once")
        stray = np.setdiff1d(present, expected)
        if not facts.exactly_once:
            stray = np.setdiff1d(stray, facts.overtaken)
        _report(problems, np.setdiff1d(expected, present), f"{name} by the ledger, but not found")
        _report(problems, stray, f"{name}, but not by the ledger")
    released = np.unique(inside(facts.released))
    repeated += len(inside(facts.released)) - len(released)
    stray = np.setdiff1d(released, np.concatenate([facts.defer_rows, facts.overtaken]))
    _report(problems, stray, "released, but not deferred by the ledger")
    replayed = np.unique(inside(facts.replayed))
    recorded = facts.source[contained(facts.source, facts.replay_ranges)]
    stray = replayed[~contained(replayed, facts.later_replay_ranges)]
    if facts.exactly_once:
        _report(problems, stray, "replayed, but not by the replay topic")
    _report(problems, np.setdiff1d(recorded, replayed), "replayed by its topic, but not found")
    summarized, summaries_repeated = _judge_summaries(problems, facts)
    return Conservation(
        records=len(facts.source),
        blocks=len(facts.chain),
        forwarded=len(inside(facts.forward_rows)),
        dead=len(inside(facts.dead_rows)),
        deferred=len(inside(facts.defer_rows)),
        released=len(released),
        replayed=len(replayed),
        folded=len(inside(facts.fold_rows)),
        summarized=summarized,
        repeated=repeated + summaries_repeated,
        problems=tuple(problems),
    )


def _judge_summaries(problems: list[str], facts: PartitionFacts) -> tuple[int, int]:
    """How many records the summaries count that lie in the window, and how many summaries are
    repeats."""
    begin, end = facts.window
    whole = [s for s in facts.summaries if begin <= s.first and s.last < end]
    # Windows of one text may overlap, but no two begin with the same folded record. Of repeats
    # the last counts: at least once, an earlier one may be of a unit that was void.
    by_first = {summary.first: summary for summary in whole}
    repeated = len(whole) - len(by_first)
    if facts.exactly_once and repeated:
        problems.append(f"{repeated} fold summaries were sent more than once")
    counted: Counter[int] = Counter()
    ends: list[int] = []
    for summary in by_first.values():
        counted[summary.digest] += summary.folded
        ends += (summary.first, summary.last)
    digests, counts = np.unique(facts.fold_digests, return_counts=True)
    folded = dict(zip(digests.tolist(), counts.tolist(), strict=True))
    for digest, n in sorted(counted.items()):
        if n > folded.get(digest, 0):
            problems.append(
                f"summaries count {n} folded records of text {digest:016x}, the ledger "
                f"{folded.get(digest, 0)}"
            )
    strays = np.setdiff1d(np.array(ends, np.int64), facts.fold_rows)
    _report(problems, strays, "at the end of a fold summary, but not folded by the ledger")
    return counted.total(), repeated


def _report(problems: list[str], offsets: NDArray[np.int64], what: str) -> None:
    if len(offsets):
        examples = ", ".join(str(offset) for offset in offsets[:5])
        more = ", …" if len(offsets) > 5 else ""
        problems.append(f"{len(offsets)} offsets {what}: {examples}{more}")
