"""A judge that errs, and one that repeats the gate, are told from a good one by 300 human
labels."""

import numpy as np
import pytest

from stream_filter.core.judging import (
    PEOPLE,
    Opinions,
    SeenEvent,
    compare,
    gate_likeness,
    recall_by,
    self_agreement,
)
from stream_filter.core.oracle import Judge

GOOD, WRONG, ECHO = (Judge(name, False) for name in ("good", "wrong", "echo"))
ANNA = Judge("anna", True)


def scene(seed: int, labels: int = 300) -> tuple[Opinions, dict[str, SeenEvent]]:
    """3,000 events: the gate is right in 80 %, one judge in 99 %, one in 90 %, one says what the
    gate said; a person has labelled some."""
    dice = np.random.default_rng(seed)
    opinions, seen = Opinions(), {}
    for number in range(3_000):
        own = f"{number:032x}"
        truth = bool(dice.random() < 0.3)
        gate = truth ^ bool(dice.random() < 0.2)
        seen[own] = SeenEvent(gate=gate, is_missed=not gate, weight=1.0 if gate else 10.0)
        opinions.take(GOOD, own, truth ^ bool(dice.random() < 0.01))
        opinions.take(WRONG, own, truth ^ bool(dice.random() < 0.1))
        opinions.take(ECHO, own, gate ^ bool(dice.random() < 0.005))
        if number < labels:
            opinions.take(ANNA, own, truth)
    return opinions, seen


@pytest.mark.parametrize("seed", range(20))
def test_a_wrong_judge_and_an_echo_are_shown(seed: int) -> None:
    """The tenth that one gets wrong lies in its interval, away from the good one's; the echo, and
    only the echo, says what the gate said."""
    opinions, seen = scene(seed)
    people = opinions.people()
    assert len(people) == 300
    _, lower, upper = compare(opinions.by_judge[WRONG], people).differs(0.999)
    assert 0.02 < lower < 0.1 < upper < 0.25
    good, wrong = (compare(opinions.by_judge[j], people).kappa() for j in (GOOD, WRONG))
    assert good is not None
    assert wrong is not None
    assert good > wrong + 0.1
    follows = [
        likeness.follows
        for judge in (GOOD, WRONG, ECHO)
        if (likeness := gate_likeness(judge, opinions.by_judge[judge], people, seen)) is not None
    ]
    assert follows == [False, False, True]


def test_recall_by_an_echo_is_flattering() -> None:
    """By the echo the gate misses next to nothing; people on the same events say how it is."""
    opinions, seen = scene(1)
    people, dice = opinions.people(), np.random.default_rng(0)
    true = recall_by(PEOPLE, people, seen, dice=dice)
    echo = recall_by(ECHO, opinions.by_judge[ECHO], seen, dice=dice, events=people)
    assert true is not None
    assert echo is not None
    assert true.lower < 0.8 / (0.8 + 0.2 * 10) < true.upper
    assert echo.recall > true.upper


def test_the_first_verdict_counts_and_people_decide_by_majority() -> None:
    """What comes twice changes nothing; a tie among people is important."""
    opinions = Opinions()
    opinions.take(GOOD, "a", True)
    opinions.take(GOOD, "a", False)
    assert opinions.by_judge[GOOD] == {"a": True}
    for name, said in (("x", True), ("y", False), ("z", False)):
        opinions.take(Judge(name, True), "a", said)
    opinions.take(ANNA, "b", True)
    opinions.take(Judge("x", True), "b", False)
    assert opinions.people() == {"a": False, "b": True}


def test_agreement_with_oneself() -> None:
    """All alike is 1; coin tosses are near 0; one answer says nothing."""
    assert self_agreement([(True, True, True), (False, False, False)]) == (2, 1.0, 1.0)
    assert self_agreement([(True,)]) == (0, 0.0, None)
    dice = np.random.default_rng(3)
    tossed = [tuple(bool(x) for x in dice.integers(0, 2, 5)) for _ in range(2_000)]
    events, _, kappa = self_agreement(tossed)
    assert events == 2_000
    assert kappa is not None
    assert abs(kappa) < 0.05


def test_without_important_ones_there_is_no_recall() -> None:
    """None, and no division by nothing."""
    assert recall_by(GOOD, {"a": False}, {"a": SeenEvent()}, dice=np.random.default_rng(0)) is None
