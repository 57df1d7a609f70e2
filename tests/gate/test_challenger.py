"""A challenger decides beside the champion, in the same block, and never acts."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from stream_filter.app.block_rows import rows_of
from stream_filter.app.ledger_diff import Comparison, compare_block
from stream_filter.core.decision import Reason, Verdict
from stream_filter.core.policy import (
    Challenger,
    Fold,
    Mode,
    Novelty,
    Overload,
    Policy,
    Rule,
    Thresholds,
    TopicPolicy,
    WhenOverloaded,
)
from stream_filter.core.position import Position
from stream_filter.core.template import parse_template
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.gate import Gate
from stream_filter.models.fixed_scorer import FixedScorer
from stream_filter.store.arrow_block import ArrowLedgerCodec
from tests.gate.conftest import Away

MakeGate = Callable[..., Gate]
MakeBatch = Callable[[Sequence[Any]], RecordBatch]
MakeRecord = Callable[..., Any]

VALUES = [b'{"m":"routine"}', b'{"m":"odd"}', b'{"m":"failure"}', b"{", None, b'{"n":1}']


def challenged(champion: TopicPolicy, **changes: Any) -> TopicPolicy:
    """These rules with a challenger that differs in this."""
    own = Challenger(
        text=champion.text,
        model=champion.model,
        model_id=champion.model_id,
        thresholds=champion.thresholds,
        rules=champion.rules,
    )
    return replace(champion, challenger=replace(own, **changes))


def test_the_champion_is_as_without_one(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """With a challenger the champion's decisions and all that is sent stay as they are."""
    plain = replace(rules, novelty=Novelty(forward_first=1), fold=Fold(window_ms=60_000, keep=1))
    records = [record(offset=n, value=v) for n, v in enumerate(VALUES * 5)]
    champion = make_gate(plain).process(batch_of(records), {})
    other = challenged(plain, thresholds=Thresholds(drop_below=0.9, keep_above=0.99))
    both = make_gate(other).process(batch_of(records), {})
    assert champion.block.challenge is None
    for column in ("score", "verdict", "route", "reason", "probability"):
        one, two = (getattr(o.block.decisions, column) for o in (champion, both))
        assert np.array_equal(one, two, equal_nan=column == "score")
    strip = {"sf-policy"}
    sent = [
        [(e.topic, e.value, [h for h in e.headers if h[0] not in strip]) for e in o.emissions]
        for o in (champion, both)
    ]
    assert sent[0] == sent[1]


def test_it_concludes_as_if_it_were_the_champion(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Its verdicts, scores and reasons are those that it would have as the policy of an enforced
    topic without holdout; in the ledger they stand beside the champion's."""
    other = {
        "thresholds": Thresholds(drop_below=0.6, keep_above=0.9),
        "text": parse_template("{m} {n}"),
        "rules": (Rule(when="n == 1", then="keep"),),
    }
    records = [record(offset=n, value=v) for n, v in enumerate(VALUES)]
    outcome = make_gate(challenged(rules, **other)).process(batch_of(records), {})
    alone = replace(rules, mode=Mode.ENFORCE, holdout=0.0, **other)
    expected = make_gate(alone).process(batch_of(records), {}).block.decisions
    block = ArrowLedgerCodec().decode(outcome.block_bytes)
    for challenge in (outcome.block.challenge, block.challenge):
        assert challenge is not None
        assert challenge.model_id == "fixed-1"
        assert np.array_equal(challenge.score, expected.score, equal_nan=True)
        assert np.array_equal(challenge.verdict, expected.verdict)
        assert np.array_equal(challenge.reason, expected.reason)
    shown = [row["challenger"] for row in rows_of(block)]
    assert shown[2] == {
        "verdict": "keep", "reason": "important", "score": 0.95, "model_id": "fixed-1",
    }  # fmt: skip


def test_a_pack_that_fails_leaves_the_champion_alone(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Where the challenger's model gives no score, its records are degraded; the champion's are
    decided as ever, and nothing is called degraded."""
    policy = challenged(replace(rules, holdout=0.0), model="next")
    gate = make_gate(policy, scorers={"next": Away({}, default=0.5)})
    outcome = gate.process(batch_of([record(offset=0, value=VALUES[0])]), {})
    assert outcome.degraded_because is None
    assert outcome.block.decisions.reason.tolist() == [Reason.BELOW_THRESHOLD]
    assert outcome.block.challenge is not None
    assert outcome.block.challenge.reason.tolist() == [Reason.DEGRADED]


def test_an_overloaded_gate_does_not_read_for_the_challenger(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Where the champion leaves texts unread to catch up, the challenger's model is not asked
    either, and nothing is said of these records in the diff."""
    overload = Overload(max_lag_ms=1, then=WhenOverloaded.FORWARD)
    scorer = FixedScorer({}, default=0.9, model_id="next-1")
    policy = challenged(replace(rules, overload=overload), model="next")
    gate = make_gate(policy, scorers={"next": scorer})
    late = batch_of([record(offset=0, value=VALUES[0], timestamp=0)])
    block = gate.process(late, {}).block
    assert block.challenge is not None
    assert block.challenge.reason.tolist() == [Reason.OVERLOADED]
    assert np.isnan(block.challenge.score).all()
    found = compare_block(block, examples=1)
    assert found is not None
    assert (found.records, found.unread, found.newly_forwarded) == (1, 1, 0)
    assert (dict(found.verdicts), found.examples) == ({}, {})


def test_another_pack_gives_the_challengers_scores(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Each of the two is scored by its own pack."""
    scorer = FixedScorer({"routine": 0.9}, default=0.1, model_id="next-1")
    gate = make_gate(challenged(rules, model="next"), scorers={"next": scorer})
    outcome = gate.process(batch_of([record(offset=n, value=v) for n, v in enumerate(VALUES)]), {})
    assert outcome.block.challenge is not None
    assert outcome.block.challenge.model_id == "next-1"
    assert outcome.block.challenge.score[:3].tolist() == pytest.approx([0.9, 0.1, 0.1])
    assert outcome.block.decisions.score[:3].tolist() == pytest.approx([0.05, 0.5, 0.95])


def test_no_challenge_while_everything_is_forwarded_unread(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A paused topic is not read by the challenger either."""
    gate = make_gate(challenged(rules, thresholds=Thresholds(drop_below=0.6, keep_above=0.9)))
    gate.begin(paused=("logs",), is_known=True)
    outcome = gate.process(batch_of([record(offset=0, value=VALUES[0])]), {})
    assert outcome.block.challenge is None


def test_a_diff_counts_and_names_what_differs(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """The diff of a block counts each pair of verdicts, and its examples are where they differ."""
    policy = challenged(rules, thresholds=Thresholds(drop_below=0.6, keep_above=0.99))
    values = [b'{"m":"routine"}'] * 3 + [b'{"m":"odd"}'] * 4 + [b'{"m":"failure"}'] * 5
    records = [record(offset=10 + n, value=v) for n, v in enumerate(values)]
    outcome = make_gate(policy).process(batch_of(records), {})
    found = compare_block(outcome.block, examples=2)
    assert found is not None
    assert dict(found.verdicts) == {
        (Verdict.DROP, Verdict.DROP): 3,
        (Verdict.ABSTAIN, Verdict.DROP): 4,
        (Verdict.KEEP, Verdict.ABSTAIN): 5,
    }
    assert (found.records, found.newly_dropped, found.newly_forwarded) == (12, 4, 0)
    pair = (Verdict.ABSTAIN, Verdict.DROP)
    assert [e.position for e in found.examples[pair]] == [Position("logs", 3, n) for n in (13, 14)]
    total = Comparison()
    for _ in range(2):
        total.add(found, examples=3)
    assert (total.records, total.newly_dropped, len(total.examples[pair])) == (24, 8, 3)
    assert compare_block(make_gate().process(batch_of(records), {}).block, examples=2) is None


def test_packs_of_both_are_named(rules: TopicPolicy) -> None:
    """A policy names the challenger's pack beside the champion's, each once."""
    policy = Policy(topics=(rules, challenged(replace(rules, topic="b"), model="next")))
    assert policy.packs == (("fixed", None), ("next", None))


def test_the_champions_packs_are_apart(rules: TopicPolicy) -> None:
    """A pack that only a challenger names decides nothing; one that is also a champion's does."""
    policy = Policy(topics=(challenged(rules, model="next"), replace(rules, topic="b")))
    assert policy.champion_packs == {("fixed", None)}
    both = Policy(topics=(*policy.topics, replace(rules, topic="c", model="next")))
    assert both.champion_packs == {("fixed", None), ("next", None)}
