"""Conservation: a planted fault of each kind is named, and nothing else is."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.conservation import Conservation, FoldCount, PartitionFacts, conserve
from stream_filter.core.ledger import Span


def offsets(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


def finding(**changes: Any) -> Conservation:
    """The finding on ten sound records in two blocks, with these facts changed."""
    facts: dict[str, Any] = {
        "window": (100, 110),
        "source": np.arange(100, 110),
        "chain": [Span(100, 104, 0), Span(104, 110, 1)],
        "rows": np.arange(100, 110),
        "forward_rows": offsets(101, 105),
        "dead_rows": offsets(107),
        "defer_rows": offsets(109),
        "fold_rows": offsets(102, 103, 106, 108),
        "fold_digests": np.array([7, 7, 7, 9], np.uint64),
        "summaries": [FoldCount(7, 102, 103, 2)],
        "forwarded": offsets(101, 105),
        "dead": offsets(107),
        "deferred": offsets(109),
        "released": offsets(109),
        "replayed": offsets(100, 104),
        "replay_ranges": [(100, 100)],
        "later_replay_ranges": [(100, 100), (103, 104)],
        "overtaken": offsets(),
        "exactly_once": True,
    }
    return conserve(PartitionFacts(**(facts | changes)))


def test_sound_account_holds() -> None:
    """A sound account has no problem, and its numbers add up."""
    sound = finding()
    assert sound == Conservation(
        records=10,
        blocks=2,
        forwarded=2,
        dead=1,
        deferred=1,
        released=1,
        replayed=2,
        folded=4,
        summarized=2,
        repeated=0,
        problems=(),
    )
    assert sound.discarded == 2


ONE_FAULT: list[tuple[dict[str, Any], str]] = [
    ({"rows": np.delete(np.arange(100, 110), 3)}, "1 offsets in no block: 103"),
    ({"rows": np.append(np.arange(100, 110), 103)}, "in more than one effective block: 103"),
    ({"source": np.delete(np.arange(100, 110), 3)}, "in a block, but not in the source: 103"),
    ({"forwarded": offsets(101)}, "1 offsets forwarded by the ledger, but not found: 105"),
    ({"forwarded": offsets(101, 105, 106)}, "forwarded, but not by the ledger: 106"),
    ({"forwarded": offsets(101, 105, 105)}, "1 offsets forwarded more than once: 105"),
    ({"dead": offsets()}, "dead-lettered by the ledger, but not found: 107"),
    ({"dead": offsets(107, 108)}, "dead-lettered, but not by the ledger: 108"),
    ({"dead": offsets(107, 107)}, "dead-lettered more than once: 107"),
    ({"deferred": offsets()}, "deferred by the ledger, but not found: 109"),
    ({"deferred": offsets(104, 109)}, "deferred, but not by the ledger: 104"),
    ({"released": offsets(101, 109)}, "released, but not deferred by the ledger: 101"),
    ({"summaries": [FoldCount(7, 102, 106, 4)]}, "count 4 folded records of text 0000000000000007"),
    ({"summaries": [FoldCount(9, 108, 108, 1), FoldCount(8, 103, 103, 1)]}, "the ledger 0"),
    ({"summaries": [FoldCount(7, 101, 103, 2)]}, "at the end of a fold summary, but not folded by"),
    ({"summaries": [FoldCount(7, 102, 103, 2)] * 2}, "1 fold summaries were sent more than once"),
    ({"chain": [Span(100, 104, 0), Span(106, 110, 1)]}, "has no block for offsets 104..105"),
]


@pytest.mark.parametrize(("changes", "named"), ONE_FAULT, ids=[named for _, named in ONE_FAULT])
def test_each_fault_is_named(changes: dict[str, Any], named: str) -> None:
    """One planted fault gives one problem, which names it and its offset."""
    (problem,) = finding(**changes).problems
    assert named in problem


def test_at_least_once_may_repeat() -> None:
    """At least once, repeats and what overtaken blocks sent are counted, and no problem."""
    repeated = finding(
        exactly_once=False,
        forwarded=offsets(101, 105, 105, 105, 109),
        dead=offsets(107, 107),
        summaries=[FoldCount(7, 102, 106, 4), FoldCount(7, 102, 106, 3)],
        overtaken=offsets(109),
    )
    assert repeated.problems == ()
    assert (repeated.repeated, repeated.summarized) == (4, 3)


def test_at_least_once_never_loses() -> None:
    """At least once, a missing or a foreign forward is a problem all the same."""
    assert finding(exactly_once=False, forwarded=offsets(101)).problems
    assert finding(exactly_once=False, forwarded=offsets(101, 105, 102)).problems


def test_overtaken_blocks_excuse_nothing_exactly_once() -> None:
    """Exactly once, nothing may have been sent but what effective blocks say."""
    assert finding(forwarded=offsets(101, 105, 109), overtaken=offsets(109)).problems


def test_outside_the_window_is_not_judged() -> None:
    """Offsets beyond the window, in any of the columns, are left out of account."""
    outside = finding(
        rows=np.arange(90, 120),
        forward_rows=offsets(95, 101, 105, 115),
        forwarded=offsets(94, 101, 105, 116),
        dead=offsets(90, 107),
        fold_rows=offsets(99, 102, 103, 106, 108, 111),
        fold_digests=np.array([7, 7, 7, 7, 9, 9], np.uint64),
        summaries=[FoldCount(7, 102, 103, 2), FoldCount(9, 108, 111, 2), FoldCount(7, 99, 99, 1)],
    )
    assert outside == finding()


def test_many_offsets_are_shortened() -> None:
    """A problem with thousands of offsets is still one short line."""
    (problem,) = finding(
        window=(0, 5000), source=np.arange(5000), rows=np.arange(100, 110)
    ).problems
    assert problem == "4990 offsets in no block: 0, 1, 2, 3, 4, …"


@given(st.lists(st.sampled_from(["forward", "dead", "discard", "fold"]), max_size=50), st.data())
def test_any_sound_account_holds(routes: Sequence[str], data: st.DataObject) -> None:
    """Whatever the routes, an account that agrees with the topics holds; one lost row breaks it."""
    n = len(routes)
    where = {
        route: np.array([i for i, r in enumerate(routes) if r == route], np.int64)
        for route in ("forward", "dead", "discard", "fold")
    }
    facts: dict[str, Any] = {
        "window": (0, n),
        "source": np.arange(n),
        "chain": [Span(0, n, 0)] if n else [],
        "rows": np.arange(n),
        "forward_rows": where["forward"],
        "dead_rows": where["dead"],
        "fold_rows": where["fold"],
        "fold_digests": np.full(len(where["fold"]), 7, np.uint64),
        "summaries": [FoldCount(7, int(at), int(at), 1) for at in where["fold"]],
        "forwarded": where["forward"],
        "dead": where["dead"],
    }
    assert finding(**facts).problems == ()
    if n:
        lost = data.draw(st.integers(0, n - 1))
        assert finding(**facts | {"rows": np.delete(np.arange(n), lost)}).problems
