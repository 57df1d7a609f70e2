"""From scores to decisions."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.budget import Overflow
from stream_filter.core.decision import (
    Decisions,
    Reason,
    Route,
    Verdict,
    can_be_folded,
    can_be_novel,
    can_be_over_budget,
    decide,
    decide_by_scout,
    hold_out,
    leave_unenforced,
)
from stream_filter.core.policy import Mode, Thresholds

SCORES = st.one_of(st.floats(0.0, 1.0, width=32), st.just(math.nan))
ROWS = st.lists(st.tuples(SCORES, st.booleans(), st.booleans(), st.booleans()), max_size=40)
THRESHOLDS = st.tuples(st.floats(0, 1, width=32), st.floats(0, 1, width=32)).map(
    lambda pair: Thresholds(drop_below=min(pair), keep_above=max(pair))
)
POSSIBLE = {
    # reason: the verdicts and routes that it may stand beside
    Reason.IMPORTANT: ({Verdict.KEEP}, {Route.FORWARD}),
    Reason.AMBIGUOUS: ({Verdict.ABSTAIN}, {Route.FORWARD}),
    Reason.HOLDOUT: ({Verdict.DROP}, {Route.FORWARD}),
    Reason.SHADOW: ({Verdict.DROP}, {Route.FORWARD}),
    Reason.BELOW_THRESHOLD: ({Verdict.DROP}, {Route.DISCARD}),
    Reason.DEGRADED: ({Verdict.ABSTAIN}, {Route.FORWARD}),
    Reason.UNREADABLE: ({Verdict.ABSTAIN}, {Route.FORWARD}),
    Reason.UNDECODABLE: ({Verdict.ABSTAIN}, {Route.DEAD_LETTER}),
}

Row = tuple[float, bool, bool, bool]


def column(rows: list[Row], index: int) -> NDArray[np.bool_]:
    return np.array([row[index] for row in rows], np.bool_)


def decided(
    rows: list[Row], thresholds: Thresholds, mode: Mode = Mode.ENFORCE, holdout: float = 0.25
) -> Decisions:
    """Decisions on rows of (score, decodable, readable, held out)."""
    by_score = decide(
        np.array([row[0] for row in rows], np.float32),
        decodable=column(rows, 1),
        readable=column(rows, 2),
        thresholds=thresholds,
    )
    with_holdout = hold_out(by_score, column(rows, 3), holdout)
    return leave_unenforced(with_holdout, np.full(len(rows), mode is Mode.ENFORCE))


@given(ROWS, THRESHOLDS, st.sampled_from(Mode))
def test_one_outcome_a_row(rows: list[Row], thresholds: Thresholds, mode: Mode) -> None:
    """Every row has one verdict, one route and one reason, and they fit each other."""
    found = decided(rows, thresholds, mode)
    for verdict, route, reason in zip(found.verdict, found.route, found.reason, strict=True):
        verdicts, routes = POSSIBLE[Reason(reason)]
        assert Verdict(verdict) in verdicts
        assert Route(route) in routes
    assert len(found.route) == len(found.probability) == len(rows)


@given(ROWS, THRESHOLDS)
def test_mode_changes_routes_only(rows: list[Row], thresholds: Thresholds) -> None:
    """A verdict is not a route: shadow mode and holdout change none."""
    shadow = decided(rows, thresholds, Mode.SHADOW)
    enforced = decided(rows, thresholds, Mode.ENFORCE)
    spared = decided([(s, d, r, True) for s, d, r, _ in rows], thresholds, Mode.ENFORCE)
    assert shadow.verdict.tolist() == enforced.verdict.tolist() == spared.verdict.tolist()


@given(ROWS, THRESHOLDS)
def test_shadow_forwards_everything(rows: list[Row], thresholds: Thresholds) -> None:
    """In shadow mode all that can be decoded is forwarded, for certain."""
    found = decided(rows, thresholds, Mode.SHADOW)
    decodable = column(rows, 1)
    assert (found.route[decodable] == Route.FORWARD).all()
    assert (found.probability[decodable] == 1.0).all()


@given(ROWS, THRESHOLDS, st.sampled_from(Mode))
def test_fails_open(rows: list[Row], thresholds: Thresholds, mode: Mode) -> None:
    """What has no score, or no text, is forwarded, and the reason says so."""
    found = decided(rows, thresholds, mode)
    for index, (score, decodable, readable, _) in enumerate(rows):
        if not decodable:
            assert found.reason[index] == Reason.UNDECODABLE
        elif not readable:
            assert found.reason[index] == Reason.UNREADABLE
            assert found.route[index] == Route.FORWARD
        elif math.isnan(score):
            assert found.reason[index] == Reason.DEGRADED
            assert found.route[index] == Route.FORWARD


@given(ROWS, THRESHOLDS, st.floats(0, 1, width=32))
def test_probability(rows: list[Row], thresholds: Thresholds, pi: float) -> None:
    """π is the holdout's for every would-be drop, drawn or not; 1 for other forwards; 0 for the
    dead."""
    found = decided(rows, thresholds, holdout=pi)
    for index, verdict in enumerate(found.verdict):
        if found.route[index] == Route.DEAD_LETTER:
            expected = 0.0
        elif verdict == Verdict.DROP:
            expected = pi
        else:
            expected = 1.0
        assert found.probability[index] == np.float32(expected)


@given(ROWS, THRESHOLDS)
def test_rows_do_not_matter_to_each_other(rows: list[Row], thresholds: Thresholds) -> None:
    """A row is decided alike alone and in a batch."""
    together = decided(rows, thresholds)
    for index, row in enumerate(rows):
        alone = decided([row], thresholds)
        assert alone.reason[0] == together.reason[index]
        assert alone.route[0] == together.route[index]
        assert alone.verdict[0] == together.verdict[index]


@given(ROWS, THRESHOLDS, st.data())
def test_each_step_changes_only_its_rows(
    rows: list[Row], thresholds: Thresholds, data: st.DataObject
) -> None:
    """A row may be novel only if it would be dropped, folded only if the gate forwards it for what
    it says; what is not enforced is forwarded for certain; other rows stay as they are."""
    flags = st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))
    chosen, enforced = (np.array(data.draw(flags), np.bool_) for _ in range(2))
    before = decided(rows, thresholds)
    folded = chosen & can_be_folded(before)
    after = leave_unenforced(
        before.rerouted(folded, Route.FOLD, Reason.DUPLICATE, probability=0.0), enforced
    )
    for i, reason in enumerate(before.reason):
        assert can_be_novel(before)[i] == (reason == Reason.BELOW_THRESHOLD)
        assert can_be_folded(before)[i] == (reason in {Reason.IMPORTANT, Reason.AMBIGUOUS})
        found = (after.route[i], after.reason[i], after.probability[i])
        if before.route[i] != Route.DEAD_LETTER and not enforced[i]:
            assert (found[0], found[2]) == (Route.FORWARD, 1.0)
            assert found[1] not in {Reason.HOLDOUT, Reason.BELOW_THRESHOLD, Reason.DUPLICATE}
        elif folded[i]:
            assert found == (Route.FOLD, Reason.DUPLICATE, 0.0)
        else:
            assert found == (before.route[i], before.reason[i], before.probability[i])
    assert (after.verdict == before.verdict).all()


@pytest.mark.parametrize(
    ("score", "verdict", "reason"),
    [
        (0.0, Verdict.DROP, Reason.BELOW_THRESHOLD),
        (0.2499, Verdict.DROP, Reason.BELOW_THRESHOLD),
        (0.25, Verdict.ABSTAIN, Reason.AMBIGUOUS),
        (0.7499, Verdict.ABSTAIN, Reason.AMBIGUOUS),
        (0.75, Verdict.KEEP, Reason.IMPORTANT),
        (1.0, Verdict.KEEP, Reason.IMPORTANT),
    ],
)
def test_at_the_thresholds(score: float, verdict: Verdict, reason: Reason) -> None:
    """Below drop_below drops, at keep_above keeps, from the one to the other abstains."""
    found = decided([(score, True, True, False)], Thresholds(drop_below=0.25, keep_above=0.75))
    assert (found.verdict[0], found.reason[0]) == (verdict, reason)


@given(ROWS, THRESHOLDS, st.data())
def test_what_was_not_read_whole_is_not_dropped(
    rows: list[Row], thresholds: Thresholds, data: st.DataObject
) -> None:
    """A cut text's score may keep it and never drops it; it is not folded away, and a budget may
    defer it and not refuse it. Other rows are decided as if there were none."""
    flags = st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))
    is_cut = np.array(data.draw(flags), np.bool_)
    columns = {"decodable": column(rows, 1), "readable": column(rows, 2), "thresholds": thresholds}
    score = np.array([row[0] for row in rows], np.float32)
    plainly, found = decide(score, **columns), decide(score, **columns, is_cut=is_cut)
    by_score = np.isin(plainly.reason, [Reason.IMPORTANT, Reason.AMBIGUOUS, Reason.BELOW_THRESHOLD])
    spared = is_cut & by_score & (plainly.verdict != Verdict.KEEP)
    assert (found.verdict == np.where(spared, Verdict.ABSTAIN, plainly.verdict)).all()
    assert (found.route == np.where(spared, Route.FORWARD, plainly.route)).all()
    assert (found.reason == np.where(spared, Reason.TEXT_CUT, plainly.reason)).all()
    assert (found.probability == np.where(spared, 1.0, plainly.probability)).all()
    assert not (can_be_novel(found) | can_be_folded(found))[spared].any()
    assert can_be_over_budget(found, Overflow.DEFER)[spared].all()
    assert not can_be_over_budget(found, Overflow.WIDEN)[spared].any()
    again = decide_by_scout(found, np.ones(len(rows), np.bool_), thresholds, is_cut)
    assert (again.route == found.route).all()


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
def test_equal_thresholds_leave_no_band(at: float) -> None:
    """With equal thresholds there is no abstaining; 0 keeps everything."""
    rows = [(score, True, True, False) for score in (0.0, 0.4999, 0.5, 0.5001, 1.0)]
    found = decided(rows, Thresholds(drop_below=at, keep_above=at))
    assert Verdict.ABSTAIN not in found.verdict
    if at == 0.0:
        assert (found.verdict == Verdict.KEEP).all()


def test_codes_are_golden() -> None:
    """Codes stand in old ledgers: none is ever given another meaning."""
    assert [(m.name, m.value) for m in Verdict] == [("KEEP", 0), ("DROP", 1), ("ABSTAIN", 2)]
    assert [m.label for m in Route] == ["forward", "discard", "dead_letter", "defer", "fold"]
    assert [m.label for m in Reason][:13] == [
        "important", "ambiguous", "rule", "novel", "holdout", "shadow", "degraded",
        "below_threshold", "duplicate", "over_budget", "undecodable", "unreadable", "too_large",
    ]  # fmt: skip
