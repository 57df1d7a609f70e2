"""The holdout that follows from a wanted time: enough, hardly more, and the same everywhere."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stream_filter.core.forecast import kept_until_certified
from stream_filter.core.holdout_choice import (
    CertifyWithin,
    choose_holdout,
    drops_forwarded_per_day,
)
from stream_filter.core.targets import Target

TARGET = Target(recall=0.95, failure_probability=0.05)


def needed(holdout: float, recall: float) -> int | None:
    """Important events forwarded until the median certificate."""
    return kept_until_certified(
        recall=0.95, failure_probability=0.05, holdout=holdout, true_recall=recall
    )


@settings(max_examples=30, deadline=None)
@example(kept=966.0, recall=0.9836534370896585)
@given(kept=st.floats(500, 1e7), recall=st.floats(0.96, 0.999))
def test_enough_and_hardly_more(kept: float, recall: float) -> None:
    """The chosen holdout certifies in time; one half as large would not. (A median jumps where one
    more miss is as likely as not, so there may be a smaller one close by that would.)"""
    wanted = CertifyWithin(
        within_ms=1_000_000, events_per_s=kept / 1000, prevalence=0.5, recall=recall
    )
    chosen = choose_holdout(wanted, TARGET)
    in_time = kept / 2 * recall
    if chosen is None:
        at_most = needed(0.5, recall)
        assert at_most is None or at_most > in_time
        return
    enough, less = needed(chosen, recall), needed(chosen * 0.5, recall)
    assert enough is not None
    assert enough <= in_time * (1 + 1e-9)
    assert less is None or less > in_time
    assert chosen == float(f"{chosen:.3g}")


def test_what_is_not_known_chooses_nothing() -> None:
    """Without a rate and a prevalence there is no holdout to choose."""
    assert choose_holdout(CertifyWithin(within_ms=1), TARGET) is None


def test_golden() -> None:
    """50,000 events a second, one in a thousand important, within a day: 0.0099 % of the drops,
    at most 428,544 a day."""
    wanted = CertifyWithin(within_ms=86_400_000, events_per_s=50_000.0, prevalence=0.001)
    assert choose_holdout(wanted, TARGET) == pytest.approx(9.92e-05)
    assert drops_forwarded_per_day(wanted, 9.92e-05) == pytest.approx(428_544)
