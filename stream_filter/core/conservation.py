"""Conservation: consumed = forwarded + discarded + … , checked from outside for one partition."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ledger import Span


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
    forwarded: NDArray[np.int64]
    """Source offsets found in the analysis topics, repeats included."""
    dead: NDArray[np.int64]
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
    repeated: int
    problems: tuple[str, ...] = field(default=())


def conserve(facts: PartitionFacts) -> Conservation:
    """Judge one partition: every source offset in exactly one effective block, every forwarded
    record and dead letter as the ledger says."""
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
    return Conservation(
        records=len(facts.source),
        blocks=len(facts.chain),
        forwarded=len(inside(facts.forward_rows)),
        dead=len(inside(facts.dead_rows)),
        repeated=repeated,
        problems=tuple(problems),
    )


def _report(problems: list[str], offsets: NDArray[np.int64], what: str) -> None:
    if len(offsets):
        examples = ", ".join(str(offset) for offset in offsets[:5])
        more = ", …" if len(offsets) > 5 else ""
        problems.append(f"{len(offsets)} offsets {what}: {examples}{more}")
