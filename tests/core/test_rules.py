"""Rules decide before scores."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.decision import Decisions, Reason, Route, Verdict, decide, hold_out
from stream_filter.core.policy import Rule, Thresholds
from stream_filter.core.rules import decide_by_rules, holdout_of

RULES = (
    Rule(when="a", then="keep"),
    Rule(when="b", then="drop"),
    Rule(when="c", then="drop", holdout=0.0),
    Rule(when="d", then="abstain"),
    Rule(when="e", then="drop", holdout=1.0),
)
SCORES = st.one_of(st.floats(0.0, 1.0, width=32), st.just(math.nan))
ROWS = st.lists(
    st.tuples(SCORES, st.booleans(), st.booleans(), st.integers(-1, len(RULES) - 1)), max_size=30
)
Row = tuple[float, bool, bool, int]


def scored(rows: list[Row]) -> tuple[Decisions, NDArray[np.int16]]:
    """Decisions by score alone on rows of (score, decodable, readable, rule), and the rules."""
    decisions = decide(
        np.array([row[0] for row in rows], np.float32),
        decodable=np.array([row[1] for row in rows], np.bool_),
        readable=np.array([row[2] for row in rows], np.bool_),
        thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    )
    return decisions, np.array([row[3] for row in rows], np.int16)


@given(ROWS)
def test_a_rule_decides_whatever_the_score_says(rows: list[Row]) -> None:
    """Verdict and route are the rule's, the reason is `rule`, and there is no score; what cannot
    be decoded, and what no rule decides, stays as it was."""
    before, rule = scored(rows)
    after = decide_by_rules(before, RULES, rule)
    assert after.rule is not None
    for i, (_, decodable, _, index) in enumerate(rows):
        if index < 0 or not decodable:
            assert after.rule[i] == -1
            for name in ("score", "verdict", "route", "reason", "probability"):
                a, b = getattr(before, name)[i], getattr(after, name)[i]
                assert a == b or (np.isnan(a) and np.isnan(b))
            continue
        then = RULES[index].then
        assert after.rule[i] == index
        assert Verdict(after.verdict[i]).label == then
        assert after.route[i] == (Route.DISCARD if then == "drop" else Route.FORWARD)
        assert after.reason[i] == Reason.RULE
        assert after.probability[i] == (0.0 if then == "drop" else 1.0)
        assert np.isnan(after.score[i])


@given(ROWS, st.floats(0.0, 1.0, width=32), st.data())
def test_a_dropping_rule_has_the_topics_holdout_or_its_own(
    rows: list[Row], holdout: float, data: st.DataObject
) -> None:
    """π of a rule's drop is the rule's where it says one, else the topic's; the drawn ones are
    forwarded as `holdout`, and their verdict stays."""
    decisions, rule = scored(rows)
    ruled = decide_by_rules(decisions, RULES, rule)
    drawn = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    after = hold_out(ruled, drawn.astype(np.bool_), holdout_of(RULES, ruled.rule, holdout))
    assert ruled.rule is not None
    for i, index in enumerate(ruled.rule.tolist()):
        if ruled.route[i] != Route.DISCARD:
            assert after.reason[i] == ruled.reason[i]
            assert after.probability[i] == ruled.probability[i]
            continue
        own = RULES[index].holdout if index >= 0 else None
        assert after.probability[i] == np.float32(holdout if own is None else own)
        assert after.verdict[i] == Verdict.DROP
        expected = Reason.HOLDOUT if drawn[i] else ruled.reason[i]
        assert after.reason[i] == expected
        assert after.route[i] == (Route.FORWARD if drawn[i] else Route.DISCARD)


def test_without_own_holdouts_the_share_is_one_number() -> None:
    """Where no rule has a holdout of its own, nothing is made per record."""
    assert holdout_of(RULES[:2], np.array([0, -1], np.int16), 0.25) == 0.25
    assert holdout_of((), None, 0.25) == 0.25
