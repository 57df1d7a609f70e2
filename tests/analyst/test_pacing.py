"""Limits hold in any 60 seconds, whoever comes and goes."""

import random
from itertools import pairwise

import pytest

from stream_filter.analyst.pacing import Pace


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def most_in_a_minute(at: list[tuple[float, float]]) -> float:
    """The most that was taken in any 60 s."""
    at = sorted(at)
    best = total = 0.0
    first = 0
    for when, amount in at:
        total += amount
        while at[first][0] <= when - 60.0:
            total -= at[first][1]
            first += 1
        best = max(best, total)
    return best


@pytest.mark.parametrize("limit", [1, 3, 10, 60, 600, 5000])
def test_greed_is_held_and_rewarded(limit: int) -> None:
    """Who always wants to send never exceeds the limit in any minute, and gets most of it."""
    clock = Clock()
    pace = Pace(limit, clock)
    pace.give(1.0)
    sent = []
    while clock.now_s < 600.0:
        if pace.wait_s(1) <= 0:
            pace.take(1)
            sent.append((clock.now_s, 1.0))
        else:
            clock.now_s += 0.005 + pace.wait_s(1) * 0.5
    assert most_in_a_minute(sent) <= limit
    assert len(sent) >= 0.85 * limit * 10 - 1


@pytest.mark.parametrize("seed", range(10))
def test_a_group_that_changes_stays_within_the_limit(seed: int) -> None:
    """Analysts are killed and come back with nothing saved up, shares move between them, requests
    wait and then burst: all together never exceed the limit in any minute."""
    dice, clock, limit = random.Random(seed), Clock(), 300
    paces = [Pace(limit, clock), Pace(limit, clock)]
    sent = []
    moves_s = 0.0
    while clock.now_s < 900.0:
        if clock.now_s >= moves_s:
            moves_s = clock.now_s + dice.uniform(1.0, 40.0)
            share = dice.choice([0.0, 0.25, 0.5, 1.0])
            if dice.random() < 0.5:
                paces[0] = Pace(limit, clock)  # killed, begun anew
            paces[0].give(share)
            paces[1].give(1.0 - share)
        for pace in paces:
            while dice.random() < 0.7 and pace.wait_s(1) <= 0:
                pace.take(1)
                sent.append((clock.now_s, 1.0))
        clock.now_s += dice.expovariate(4.0)
    assert most_in_a_minute(sent) <= limit


def test_tokens_are_settled_when_they_are_known() -> None:
    """A prompt reserves the most that it may take; what it did not take is there for the next,
    what it took beyond is waited for."""
    dice, clock, limit = random.Random(2), Clock(), 60_000
    pace = Pace(limit, clock)
    pace.give(1.0)
    took = []
    while clock.now_s < 600.0:
        if pace.wait_s(4000) <= 0:
            pace.take(4000)
            actual = dice.choice([500, 3000, 4000])
            pace.settle(4000, actual)
            took.append((clock.now_s, float(actual)))
        else:
            clock.now_s += 0.05
    assert most_in_a_minute(took) <= limit
    assert sum(amount for _, amount in took) > 0.75 * limit * 10


def test_without_a_share_nothing_is_sent() -> None:
    """Who owns no partition waits."""
    pace = Pace(10, Clock())
    assert pace.wait_s(1) == float("inf")


def test_requests_are_spread() -> None:
    """Once the first second's worth is spent, they go out evenly."""
    clock = Clock()
    pace = Pace(60, clock)
    pace.give(1.0)
    sent = []
    while len(sent) < 30:
        if pace.wait_s(1) <= 0:
            pace.take(1)
            sent.append(clock.now_s)
        clock.now_s += 0.01
    assert min(b - a for a, b in pairwise(sent)) > 0.9
