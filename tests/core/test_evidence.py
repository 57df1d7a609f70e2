"""Verdicts and counts: which verdict counts, how far evidence reaches, what counts are sound."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.evidence import (
    IMPORTANT,
    NO_VERDICT,
    UNIMPORTANT,
    EpochEvidence,
    Stratum,
    effective_verdicts,
    evidence_watermark,
)

EVENTS = 8
verdicts = st.lists(
    st.tuples(st.integers(-1, EVENTS - 1), st.booleans(), st.booleans()), max_size=40
)


def effective(arrivals: list[tuple[int, bool, bool]]) -> list[int]:
    event, important, by_person = zip(*arrivals, strict=True) if arrivals else ((), (), ())
    result: list[int] = effective_verdicts(
        EVENTS,
        event=np.array(event, np.int64),
        important=np.array(important, np.bool_),
        by_person=np.array(by_person, np.bool_),
    ).tolist()
    return result


@given(verdicts)
def test_the_verdict_that_counts(arrivals: list[tuple[int, bool, bool]]) -> None:
    """It is the first by a person, else the first by a model; forgeries count nowhere."""
    expected = [NO_VERDICT] * EVENTS
    for event in range(EVENTS):
        own = [a for a in arrivals if a[0] == event]
        ranked = [a for a in own if a[2]] + [a for a in own if not a[2]]
        if ranked:
            expected[event] = IMPORTANT if ranked[0][1] else UNIMPORTANT
    assert effective(arrivals) == expected


@given(verdicts, st.data())
def test_redelivery_changes_nothing(
    arrivals: list[tuple[int, bool, bool]], data: st.DataObject
) -> None:
    """Verdicts that come again, later, in any order, leave every effective verdict as it was."""
    again = data.draw(st.lists(st.sampled_from(arrivals), max_size=20)) if arrivals else []
    assert effective(arrivals + again) == effective(arrivals)


@pytest.mark.parametrize("event", [EVENTS, -2])
def test_index_out_of_range(event: int) -> None:
    """A verdict on an event that cannot be is a mistake of the caller."""
    with pytest.raises(ValueError, match="event: must lie in"):
        effective([(event, True, False)])


def test_columns_that_differ() -> None:
    """Verdict columns of differing lengths are refused."""
    with pytest.raises(ValueError, match="differ in length"):
        effective_verdicts(
            2,
            event=np.array([0]),
            important=np.array([True, False]),
            by_person=np.array([False]),
        )


@given(
    st.lists(st.tuples(st.integers(0, 100), st.sampled_from([-1, 0, 1])), max_size=20),
    st.integers(0, 120),
    st.integers(0, 50),
)
def test_watermark(shown: list[tuple[int, int]], reached: int, patience: int) -> None:
    """It waits for the oldest unanswered event, at most for the patience, and runs ahead of
    nothing."""
    mark = evidence_watermark(
        np.array([at for at, _ in shown], np.int64),
        np.array([verdict for _, verdict in shown], np.int8),
        reached_ms=reached,
        patience_ms=patience,
    )
    waiting = [at for at, verdict in shown if verdict == NO_VERDICT]
    assert reached - patience <= mark <= reached
    if mark > reached - patience:
        assert all(at >= mark for at in waiting)
    if mark < reached and mark > reached - patience:
        assert mark in waiting


SOUND: dict[str, Any] = {"probability": 0.1, "events": 50, "shown": 5, "judged": 4, "important": 2}
UNSOUND: list[tuple[dict[str, Any], str]] = [
    ({"probability": 1.5}, "probability: must lie in"),
    ({"probability": float("nan")}, "probability: must lie in"),
    ({"shown": 51}, "important ≤ judged ≤ shown ≤ events, not 2, 4, 51, 50"),
    ({"judged": 6}, "important ≤ judged"),
    ({"important": 5}, "important ≤ judged"),
    ({"important": -1}, "0 ≤ important"),
    ({"probability": 1.0}, "5 of 50 events cannot have been shown with probability 1"),
    ({"probability": 0.0}, "5 of 50 events cannot have been shown with probability 0"),
]


@pytest.mark.parametrize(("changes", "said"), UNSOUND, ids=[said for _, said in UNSOUND])
def test_unsound_counts_are_named(changes: dict[str, Any], said: str) -> None:
    """Counts that cannot be are refused when they are made."""
    assert Stratum(**SOUND).silent == 1
    with pytest.raises(ValueError, match=said):
        Stratum(**SOUND | changes)


@pytest.mark.parametrize(
    ("changes", "said"), [({"watermark_ms": 4}, "before opened_ms"), ({"pending": -1}, "pending")]
)
def test_unsound_epochs_are_named(changes: dict[str, Any], said: str) -> None:
    """An epoch whose evidence ends before it begins is refused."""
    sound: dict[str, Any] = {
        "topic": "t",
        "policy_id": "p",
        "model_id": "m",
        "opened_ms": 5,
        "watermark_ms": 9,
        "is_closed": False,
        "dropped": (),
        "forwarded": (),
    }
    EpochEvidence(**sound)
    with pytest.raises(ValueError, match=said):
        EpochEvidence(**sound | changes)
