"""Verdicts are joined with events and truth, whichever comes first, and each event counts once."""

import itertools
from collections.abc import Callable

import orjson
import pytest

from stream_filter.demo.judging import Judging

TRUTH = {(0, 1): ("important/a.b", True), (0, 2): ("routine/a.b", False)}


def verdict(event_id: str, important: bool | None, cause: str | None = None) -> bytes:
    said = {"sf-id": event_id, "important": important, "tokens": 40, "cost": 0.25, "cause": cause}
    return orjson.dumps(said)


STEPS: tuple[Callable[[Judging], None], ...] = (
    lambda judging: judging.forwarded("one", (0, 1)),
    lambda judging: judging.forwarded("two", (0, 2)),
    lambda judging: judging.verdict(verdict("one", True)),
    lambda judging: judging.verdict(verdict("two", True)),
)


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_either_may_come_first(order: tuple[int, ...]) -> None:
    """In whichever order events and verdicts come, and looked at in between, the counts are the
    same."""
    judging = Judging(lambda partition, offset: TRUTH.get((partition, offset)))
    for step in order:
        STEPS[step](judging)
        judging.standing()
    judged = judging.standing()
    assert (judged.given, judged.waiting, judged.refused) == (2, 0, 0)
    assert (judged.compared, judged.agreed, judged.agreement) == (2, 1, 0.5)
    assert (judged.tokens, judged.spent) == (80, 0.5)


def test_truth_may_come_last() -> None:
    """A verdict on an event whose truth nobody knows yet is compared later."""
    truth: dict[tuple[int, int], tuple[str, bool]] = {}
    judging = Judging(lambda partition, offset: truth.get((partition, offset)))
    judging.forwarded("one", (0, 1))
    judging.verdict(verdict("one", True))
    assert judging.standing().agreement is None
    truth |= TRUTH
    assert judging.standing().agreement == 1.0


def test_no_verdict_is_refused_and_a_second_one_only_costs() -> None:
    """What the analyst gives up on has its cause; an event judged twice counts once, its money
    twice."""
    judging = Judging(lambda partition, offset: TRUTH.get((partition, offset)))
    for event_id, place in (("one", (0, 1)), ("two", (0, 2)), ("three", (0, 3))):
        judging.forwarded(event_id, place)
    judging.verdict(verdict("one", None, "timeout"))
    judging.verdict(verdict("two", False))
    judging.verdict(verdict("two", True))
    judged = judging.standing()
    assert (judged.given, judged.waiting, judged.refused) == (1, 1, 1)
    assert judged.causes == {"timeout": 1}
    assert judged.read == 2
    assert judged.agreement == 1.0
    assert judged.spent == 0.75
