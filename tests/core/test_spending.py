"""Budgets: no window ever holds more than the limit, and it is spent on what is worth most."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.budget import Limit, Unit, part_of
from stream_filter.core.decision import Decisions, Verdict
from stream_filter.core.entry import Entry
from stream_filter.core.occurrences import Occurrences
from stream_filter.core.release import LiveWindow
from stream_filter.core.spending import SLOTS, Share, Spending, Wishes
from stream_filter.core.worth import LEVELS, TextCounts, levels_of, spending_order

MINUTE = 60_000
ROWS = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # since the row before, ms
        st.integers(0, LEVELS - 1),
        st.sampled_from(["asks", "asks", "asks", "certain", "both", "neither"]),
        st.integers(1, 30),  # tokens
    ),
    max_size=80,
)


def share(amount: int, window_ms: int = MINUTE, unit: Unit = Unit.EVENTS) -> Share:
    return Share(limit=Limit(amount=amount, window_ms=window_ms, unit=unit), amount=amount)


class Costs(dict[Limit, NDArray[np.int64]]):
    """What records of so many tokens take of any limit."""

    def __init__(self, tokens: NDArray[np.int64]) -> None:
        super().__init__()
        self._tokens = tokens

    def __missing__(self, limit: Limit) -> NDArray[np.int64]:
        return self._tokens if limit.unit is Unit.TOKENS else np.ones_like(self._tokens)


def wishes(
    times_ms: Sequence[int],
    levels: Sequence[int],
    *,
    asking: Sequence[bool] | None = None,
    certain: Sequence[bool] | None = None,
    tokens: Sequence[int] | None = None,
) -> Wishes:
    n = len(times_ms)
    return Wishes(
        times_ms=np.array(times_ms, np.int64),
        order=np.argsort(-np.array(levels, np.int64), kind="stable"),
        levels=np.array(levels, np.int64),
        is_asking=np.ones(n, np.bool_) if asking is None else np.array(asking, np.bool_),
        is_certain=np.zeros(n, np.bool_) if certain is None else np.array(certain, np.bool_),
        costs=Costs(np.ones(n, np.int64) if tokens is None else np.array(tokens, np.int64)),
    )


def most_in_any_window(times: NDArray[np.int64], costs: NDArray[np.int64], window_ms: int) -> int:
    return max(
        (int(costs[(times >= t) & (times < t + window_ms)].sum()) for t in times.tolist()),
        default=0,
    )


@given(
    rows=ROWS,
    cuts=st.lists(st.integers(0, 80), max_size=5),
    amount=st.integers(0, 20),
    tokens=st.integers(1, 200),
    restart=st.booleans(),
    is_fenced=st.booleans(),
)
def test_no_window_holds_more_than_the_limit(
    rows: list[tuple[int, int, str, int]],
    cuts: list[int],
    amount: int,
    tokens: int,
    restart: bool,
    is_fenced: bool,
) -> None:
    """However records come and batches are cut, also across a restart: what asks gets no more in
    any minute than the limits leave, certain records are never refused, and nobody else goes."""
    shares = [share(amount), share(tokens, unit=Unit.TOKENS), share(3 * amount, 60 * MINUTE)]
    times = np.cumsum([row[0] for row in rows] or [0])[: len(rows)]
    spending, gone = Spending(), np.zeros(len(rows), np.bool_)
    bounds = sorted({0, len(rows), *(cut for cut in cuts if cut < len(rows))})
    for begin, end in pairwise(bounds):
        part = rows[begin:end]
        batch = wishes(
            times[begin:end].tolist(),
            [level for _, level, _, _ in part],
            asking=[kind in ("asks", "both") for _, _, kind, _ in part],
            certain=[kind in ("certain", "both") for _, _, kind, _ in part],
            tokens=[size for _, _, _, size in part],
        )
        fits = spending.spend(shares, batch, is_fenced=is_fenced)
        assert not (fits & ~batch.is_asking).any()
        gone[begin:end] = fits | batch.is_certain
        if restart:
            again = Spending()
            again.apply(spending.everything())
            spending = again
    kinds = np.array([kind for _, _, kind, _ in rows], object)
    sizes = np.array([size for _, _, _, size in rows], np.int64)
    for cost, limit in ((np.ones_like(sizes), shares[0]), (sizes, shares[1])):
        within = most_in_any_window(times[gone], cost[gone], limit.limit.window_ms)
        # What is certain is not the limit's to refuse: it alone may exceed it.
        certain = most_in_any_window(
            times[kinds != "asks"], cost[kinds != "asks"], limit.limit.window_ms
        )
        assert within <= limit.amount + certain


@given(rows=ROWS, amount=st.integers(0, 20))
def test_without_certain_records_the_limit_is_exact(
    rows: list[tuple[int, int, str, int]], amount: int
) -> None:
    """Where everything asks, no minute holds more than the limit, wherever it begins."""
    times = np.cumsum([row[0] for row in rows] or [0])[: len(rows)]
    batch = wishes(times.tolist(), [level for _, level, _, _ in rows])
    fits = Spending().spend([share(amount)], batch, is_fenced=False)
    ones = np.ones(len(rows), np.int64)
    assert most_in_any_window(times[fits], ones[fits], MINUTE) <= amount


@given(rows=ROWS, cut=st.integers(0, 80))
def test_memory_is_exact(rows: list[tuple[int, int, str, int]], cut: int) -> None:
    """Changes applied in turn make the same memory as everything at once, and it decides alike."""
    times = np.cumsum([row[0] for row in rows] or [0])[: len(rows)].tolist()
    levels = [level for _, level, _, _ in rows]
    limits = [share(5), share(50, unit=Unit.TOKENS)]
    spending, copy = Spending(), Spending()
    for part in (slice(0, cut), slice(cut, None)):
        if times[part]:
            spending.spend(limits, wishes(times[part], levels[part]), is_fenced=True)
        copy.apply(spending.changes())
    assert sorted(copy.everything()) == sorted(spending.everything())
    later = wishes([*times[-1:], 10_000_000], [3] * len([*times[-1:], 0]))
    same = [s.spend(limits, later, is_fenced=True).tolist() for s in (spending, copy)]
    assert same[0] == same[1]


def test_a_steady_stream_gets_its_best(rng: np.random.Generator) -> None:
    """In a steady stream of ten minutes, at 1 % holdout, what goes is the best of what came: after
    the first minute hardly anything worth less goes before something worth more is refused."""
    n, limit = 100_000, 300
    times = np.sort(rng.integers(0, 10 * MINUTE, n))
    scores = rng.random(n)
    drops = scores < 0.9
    certain = drops & (rng.random(n) < 0.001)
    levels = (scores * (LEVELS - 1)).astype(np.int64)
    spending, fits = Spending(), np.zeros(n, np.bool_)
    for rows in np.array_split(np.arange(n), 200):
        batch = wishes(
            times[rows].tolist(),
            levels[rows].tolist(),
            asking=(~drops[rows]).tolist(),
            certain=certain[rows].tolist(),
        )
        fits[rows] = spending.spend([share(limit)], batch, is_fenced=True)
    gone = fits | certain
    ones = np.ones(n, np.int64)
    assert most_in_any_window(times[gone][::50], ones[gone][::50], MINUTE) <= limit
    assert most_in_any_window(times[gone], ones[gone], MINUTE) <= limit
    settled = times >= MINUTE
    per_minute = gone[settled].sum() / 9
    assert per_minute >= 0.75 * limit
    # As many as went, chosen with hindsight: how much of their worth the gate's choice has.
    asked = np.flatnonzero(settled & ~drops)
    chosen = scores[settled & fits]
    best = np.sort(scores[asked])[-len(chosen) :]
    worst = np.sort(scores[asked])[: len(chosen)]
    won = (chosen.mean() - worst.mean()) / (best.mean() - worst.mean())
    assert won >= 0.85


def test_room_is_kept_for_what_is_worth_more() -> None:
    """What nobody better came for is spent on what is there; better ones that come get theirs."""
    spending = Spending()
    low = wishes([1_000] * 50, [10] * 50)
    assert spending.spend([share(40)], low, is_fenced=False).sum() == 40
    both = wishes([2 * MINUTE] * 60, [10] * 30 + [50] * 30)
    fits = spending.spend([share(40)], both, is_fenced=False)
    assert fits[30:].all()
    assert fits[:30].sum() <= 10


def test_a_small_limit_is_not_eaten_by_what_it_keeps_free() -> None:
    """A limit of one lets one record go, holdout or not."""
    for is_fenced in (False, True):
        fits = Spending().spend([share(1)], wishes([0, 0, 0], [1, 9, 5]), is_fenced=is_fenced)
        assert fits.tolist() == [False, True, False]


def test_a_record_that_is_too_large_does_not_hold_up_others() -> None:
    """What alone is more than the limit is refused, and what is worth less may still go."""
    batch = wishes([0, 0], [9, 1], tokens=[100, 5])
    assert Spending().spend([share(10, unit=Unit.TOKENS)], batch, is_fenced=False).tolist() == [
        False,
        True,
    ]


def test_a_limit_that_does_not_concern_a_record_does_not_refuse_it() -> None:
    """A limit on what goes to another target lets a record pass, however much it is overdrawn."""
    limit = Limit(amount=1, window_ms=MINUTE, target="pages")
    spending = Spending()
    spending.charge([Share(limit=limit, amount=1)], {limit: 5}, at_ms=0)
    asked = wishes([1, 1], [3, 3])
    costs = {limit: np.array([0, 1])}
    batch = replace(asked, costs=costs)
    fits = spending.spend([Share(limit=limit, amount=1)], batch, is_fenced=False)
    assert fits.tolist() == [True, False]


def test_what_lies_far_back_is_forgotten() -> None:
    """The memory holds the slots of one window of each limit, however long the stream."""
    spending = Spending()
    for minute in range(100):
        spending.spend([share(5)], wishes([minute * MINUTE + 1], [1]), is_fenced=False)
        spending.charge([share(5)], {share(5).limit: 1}, at_ms=minute * MINUTE + 2)
    assert 0 < len(spending) <= SLOTS + 1


@pytest.mark.parametrize(
    "entry",
    [
        Entry(1, 0, (1, 2, 3)),
        Entry(1, 0, (-1, *[0] * (LEVELS + 1))),
        Entry(1, 0, (1 << 63, *[0] * (LEVELS + 1))),
        Entry(-1, 0, ()),
    ],
)
def test_a_damaged_entry_is_refused(entry: Entry) -> None:
    """What cannot have been saved raises ValueError."""
    with pytest.raises(ValueError, match=r"number|negative|range"):
        Spending().apply([entry])


@given(amount=st.integers(0, 10_000), of=st.integers(1, 200))
def test_parts_add_up(amount: int, of: int) -> None:
    """The parts of all partitions make the whole, and differ by one at the most."""
    parts = [part_of(amount, index=index, of=of) for index in range(of)]
    assert sum(parts) == amount
    assert max(parts) - min(parts) <= 1


def decisions_of(score: Sequence[float], rule: Sequence[int] | None = None) -> Decisions:
    n = len(score)
    zeros: Any = np.zeros(n, np.uint8)
    return Decisions(
        score=np.array(score, np.float32),
        verdict=np.full(n, Verdict.KEEP, np.uint8),
        route=zeros,
        reason=zeros,
        probability=np.ones(n, np.float32),
        rule=None if rule is None else np.array(rule, np.int16),
    )


def test_the_stated_order() -> None:
    """Rules come first, then the higher score, then the rarer text, then the earlier record."""
    decisions = decisions_of(
        [0.9, float("nan"), 0.95, 0.9, float("nan"), 0.9], [-1, 0, -1, -1, -1, -1]
    )
    levels = levels_of(decisions)
    order = spending_order(decisions, levels, np.array([5, 9, 9, 2, 1, 5]))
    assert order.tolist() == [1, 2, 3, 0, 5, 4]
    assert levels[1] == LEVELS - 1
    assert (levels[[0, 2, 3]] < LEVELS - 1).all()


@given(st.lists(st.floats(0, 1, width=32), min_size=2, max_size=30))
def test_levels_follow_scores(scores: list[float]) -> None:
    """A higher score never has a lower level, and every level is in range."""
    levels = levels_of(decisions_of(scores))
    assert (np.diff(levels[np.argsort(scores, kind="stable")]) >= 0).all()
    assert (levels >= 0).all()
    assert (levels < LEVELS - 1).all()


@given(st.lists(st.lists(st.integers(-1, 5), max_size=20), max_size=5))
def test_texts_are_counted_at_least_as_often_as_they_came(batches: list[list[int]]) -> None:
    """The count of a text is never below how often it came."""
    counts, seen = TextCounts(), dict.fromkeys(range(6), 0)
    for codes in batches:
        texts = Occurrences(
            offsets=np.arange(len(codes)),
            codes=np.array(codes, np.int32),
            digests=np.arange(1000, 1006, dtype=np.uint64),
            texts=[""] * 6,
        )
        found = counts.add(texts)
        for code in codes:
            if code >= 0:
                seen[code] += 1
        for code, count in zip(codes, found.tolist(), strict=True):
            assert count >= (seen[code] if code >= 0 else 0)


def test_a_release_leaves_room_for_what_comes_live() -> None:
    """Released and live together stay below the limit while live traffic goes on as it did."""
    window = LiveWindow(Limit(amount=100, window_ms=MINUTE))
    for second in range(60):
        window.add(1, at_ms=second * 1000, is_live=True)
    assert window.room(59_000) == 100 - 60 - 24
    window.add(10, at_ms=59_500, is_live=False)
    assert window.room(59_500) == 100 - 60 - 24 - 10
    assert window.room(3 * MINUTE) == 100
