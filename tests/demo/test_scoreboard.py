"""The scoreboard joins truth and decisions, whichever comes first, and counts each event once."""

import numpy as np
import pytest

from stream_filter.core.decision import Decisions, Reason, Route, Verdict
from stream_filter.demo.generator import GeneratedEvent
from stream_filter.demo.scoreboard import Scoreboard

FORWARD, DISCARD = (Route.FORWARD, Reason.IMPORTANT), (Route.DISCARD, Reason.BELOW_THRESHOLD)
HOLDOUT = (Route.FORWARD, Reason.HOLDOUT)


def event(kind: str, *, important: bool) -> GeneratedEvent:
    return GeneratedEvent(value=kind.encode(), key=b"k", important=important, kind=kind)


ROUTINE = event("routine/a.x", important=False)
FAILURE = event("important/b.y", important=True)
UNSEEN = event("unseen/c.z", important=True)


def decide(
    board: Scoreboard, offsets: list[int], outcomes: list[tuple[Route, Reason]], partition: int = 0
) -> None:
    count = len(offsets)
    board.decide(
        partition,
        np.array(offsets, np.int64),
        Decisions(
            score=np.zeros(count, np.float32),
            verdict=np.full(count, Verdict.DROP, np.uint8),
            route=np.array([route for route, _ in outcomes], np.uint8),
            reason=np.array([reason for _, reason in outcomes], np.uint8),
            probability=np.ones(count, np.float32),
        ),
    )


@pytest.mark.parametrize("truth_first", [True, False])
def test_either_side_may_come_first(truth_first: bool) -> None:
    """The counts do not depend on whether truth or decision is known first."""
    board = Scoreboard()
    outcomes = [FORWARD, DISCARD, DISCARD, HOLDOUT]
    steps = [
        lambda: board.acknowledge(0, 0, [FAILURE, ROUTINE, UNSEEN, ROUTINE]),
        lambda: decide(board, [0, 1, 2, 3], outcomes),
    ]
    for step in steps if truth_first else reversed(steps):
        step()
    standing = board.standing()
    assert (standing.produced, standing.decided, standing.undecided) == (4, 4, 0)
    assert standing.routed(Route.FORWARD) == 2
    assert standing.reasons(Route.FORWARD) == {"important": 1, "holdout": 1}
    assert standing.recall().value == 0.5
    assert standing.recall("unseen").value == 0.0
    assert standing.recall("important").value == 1.0
    assert standing.precision == 1.0  # the holdout is not meant to be precise
    assert board.last_missed == UNSEEN.value
    assert board.missed_examples == {UNSEEN.kind: UNSEEN.value}


def test_a_decision_without_truth_counts_but_is_not_judged() -> None:
    """Late truth leaves recall open; the decision is in the totals all the same."""
    board = Scoreboard()
    decide(board, [0, 1], [FORWARD, DISCARD])
    standing = board.standing()
    assert (standing.produced, standing.decided, standing.undecided) == (0, 2, 0)
    assert standing.recall().value is None
    assert standing.kinds == ()
    assert board.kind_at(0, 0) is None
    board.acknowledge(0, 1, [FAILURE])
    assert board.standing().recall().value == 0.0
    assert board.kind_at(0, 1) == (FAILURE.kind, True)
    assert board.kind_at(0, 99_999) is None
    assert board.kind_at(7, 0) is None


def test_truth_without_a_decision_is_lag() -> None:
    """What was produced and is in no block yet is undecided, and not missed."""
    board = Scoreboard()
    board.acknowledge(0, 0, [FAILURE, FAILURE])
    decide(board, [0], [FORWARD])
    standing = board.standing()
    assert standing.undecided == 1
    assert standing.recall().value == 1.0
    assert board.last_missed is None


def test_a_repeated_block_counts_once() -> None:
    """At least once, a batch may be in the ledger twice, perhaps with other borders."""
    board = Scoreboard()
    board.acknowledge(0, 0, [FAILURE, ROUTINE, ROUTINE])
    decide(board, [0, 1], [FORWARD, DISCARD])
    decide(board, [0, 1, 2], [DISCARD, DISCARD, DISCARD])
    standing = board.standing()
    assert standing.decided == 3
    assert standing.undecided == 0
    assert standing.recall().value == 1.0


def test_partitions_have_offsets_of_their_own() -> None:
    """Equal offsets of two partitions are two events; columns grow as far as needed."""
    board = Scoreboard()
    board.acknowledge(0, 5_000, [FAILURE])
    board.acknowledge(3, 5_000, [ROUTINE])
    decide(board, [5_000], [DISCARD], partition=3)
    decide(board, [5_000], [FORWARD], partition=0)
    standing = board.standing()
    assert standing.decided == 2
    assert standing.recall().value == 1.0
    assert {kind.kind: kind.routed(Route.DISCARD) for kind in standing.kinds} == {
        FAILURE.kind: 0,
        ROUTINE.kind: 1,
    }


def test_an_empty_block_is_nothing() -> None:
    """A block may cover offsets that hold no record."""
    board = Scoreboard()
    decide(board, [], [])
    assert board.standing().decided == 0
    assert board.standing().forwarded_share is None
