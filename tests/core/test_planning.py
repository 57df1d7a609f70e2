"""Forecast and plan: which way each lever moves them, and the corners."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.bounds import kept_needed, missed_upper
from stream_filter.core.forecast import kept_until_certified, least_holdout
from stream_filter.core.planning import Plan, Stream, plan

STREAM = Stream(prevalence=0.01, auc=0.95, events_per_s=1_000)


def until(**changes: Any) -> int | None:
    facts: dict[str, Any] = {
        "recall": 0.95,
        "failure_probability": 0.05,
        "holdout": 0.05,
        "true_recall": 0.98,
    }
    return kept_until_certified(**facts | changes)


def made(**changes: Any) -> Plan:
    facts: dict[str, Any] = {
        "recall": 0.95,
        "failure_probability": 0.05,
        "positives": 300,
        "certify_within_s": 86_400.0,
    }
    stream = changes.pop("stream", STREAM)
    return plan(stream, **facts | changes)


def test_a_perfect_gate_needs_what_nothing_missed_needs() -> None:
    """With nothing to miss the certificate comes at K_0, for sure."""
    needed = kept_needed(missed_upper(0, 0.05, failure_probability=0.05), 0.95)
    assert until(true_recall=1.0, quantile=0.999) == needed
    assert until(true_recall=1.0, kept=needed + 5) == needed + 5


def test_first_chance_in_closed_form() -> None:
    """The chance to be certified at the first opportunity is that of finding nothing until then."""
    needed = kept_needed(missed_upper(0, 0.05, failure_probability=0.05), 0.95)
    chance = math.exp(-0.02 / 0.98 * 0.05 * needed)
    assert until(quantile=chance - 1e-6) == needed
    later = until(quantile=chance + 1e-6)
    assert later is not None
    assert later > needed


def test_levers_of_the_forecast() -> None:
    """Sooner with a better gate, with more held out, with a lower quantile; later with more
    found; never at the target itself."""
    usual = until()
    assert usual is not None
    for sooner in ({"true_recall": 0.99}, {"holdout": 0.2}, {"quantile": 0.1}):
        assert (until(**sooner) or math.inf) < usual
    for later in ({"true_recall": 0.97}, {"holdout": 0.01}, {"quantile": 0.9}, {"found": 9}):
        assert (until(**later) or math.inf) > usual
    assert until(true_recall=0.94) is None


@given(st.floats(0.5, 0.999))
def test_forwarded_share_of_a_blind_model(recall: float) -> None:
    """A model that knows nothing forwards what it recalls; a good one far less."""
    blind = Stream(prevalence=0.01, auc=0.5, events_per_s=1.0)
    assert blind.forwarded_share(recall) == pytest.approx(recall)
    assert STREAM.forwarded_share(recall) < recall


def test_levers_of_the_plan() -> None:
    """More labels forward less and cost holdout; a better model forwards less; more time needs
    less holdout; a faster stream is certified with less."""
    usual = made()
    assert usual.holdout is not None
    more = made(positives=1_000)
    assert more.forwarded_share.median < usual.forwarded_share.median
    assert (more.holdout or 0.0) > usual.holdout
    better = made(stream=Stream(prevalence=0.01, auc=0.99, events_per_s=1_000))
    assert better.forwarded_share.median < usual.forwarded_share.median
    assert (made(certify_within_s=7 * 86_400.0).holdout or 1.0) < usual.holdout
    fast = made(stream=Stream(prevalence=0.01, auc=0.95, events_per_s=10_000))
    assert (fast.holdout or 1.0) < usual.holdout


def test_holdout_keeps_the_time_wanted() -> None:
    """The holdout found certifies in time, and not much earlier."""
    found = made()
    assert found.certified_after_s is not None
    assert 0.7 * 86_400 <= found.certified_after_s.median <= 86_400
    assert found.certified_after_s.low <= found.certified_after_s.median
    assert found.certified_after_s.median <= found.certified_after_s.high


@pytest.mark.parametrize("kept", [2_000, 50_000, 10**7])
def test_least_holdout_is_least(kept: int) -> None:
    """It certifies by then, and a tenth less does not; too few events need more than half."""
    facts: dict[str, Any] = {"recall": 0.95, "failure_probability": 0.05, "true_recall": 0.98}
    least = least_holdout(**facts, kept=kept)
    assert least is not None
    assert (until(holdout=least) or math.inf) <= kept
    assert (until(holdout=least * 0.9) or math.inf) > kept
    assert least_holdout(**facts, kept=50) is None


def test_too_few_labels() -> None:
    """With fewer labels than certify anything, everything is forwarded and nothing certified."""
    few = made(positives=58)
    assert few.positives_needed == 59
    assert few.forwarded_share.median == 1.0
    assert few.holdout is None
    assert few.certified_after_s is None


def test_out_of_reach() -> None:
    """A stream too slow to be certified in time has no holdout; one given stands, with its time."""
    slow = Stream(prevalence=0.001, auc=0.95, events_per_s=0.01)
    assert made(stream=slow).holdout is None
    forced = made(stream=slow, certify_within_s=None, holdout=0.1)
    assert forced.certified_after_s is not None
    assert forced.certified_after_s.median > 86_400


BAD: list[tuple[dict[str, Any], str]] = [
    ({"prevalence": 0.0}, "prevalence: must lie between 0 and 1"),
    ({"auc": 1.0}, "auc: must lie between 0 and 1"),
    ({"auc": 0.3}, "auc: 0.3 is worse than chance"),
    ({"events_per_s": 0.0}, "events_per_s: must be above 0"),
    ({"events_per_s": math.nan}, "events_per_s: must be above 0"),
]


@pytest.mark.parametrize(("changes", "said"), BAD, ids=[said for _, said in BAD])
def test_bad_streams_are_named(changes: dict[str, Any], said: str) -> None:
    """A stream that cannot be is refused by name."""
    facts: dict[str, Any] = {"prevalence": 0.01, "auc": 0.95, "events_per_s": 1.0}
    with pytest.raises(ValueError, match=said):
        Stream(**facts | changes)


@pytest.mark.parametrize("changes", [{"holdout": 0.1}, {"certify_within_s": None}])
def test_one_of_holdout_and_time(changes: dict[str, Any]) -> None:
    """Both or neither of holdout and time is no question."""
    with pytest.raises(ValueError, match="give one of them"):
        made(**changes)
