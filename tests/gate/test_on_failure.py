"""What the gate does while a topic's certificate has fallen."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.policy import Fold, Policy, Rule, TopicPolicy
from stream_filter.core.targets import OnFailure, Target
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.gate import Gate
from stream_filter.models.fixed_scorer import FixedScorer

MakeGate = Callable[..., Gate]
MakeBatch = Callable[[Sequence[Any]], RecordBatch]
MakeRecord = Callable[..., Any]

VALUES = [b'{"m":"routine"}', b'{"m":"ruled"}', b'{"m":"failure"}', b'{"m":"failure"}', b"{"]


def targeted(rules: TopicPolicy, on_failure: OnFailure) -> TopicPolicy:
    return replace(
        rules,
        rules=(Rule(when='m == "ruled"', then="drop", holdout=0.0),),
        fold=Fold(window_ms=60_000, keep=1),
        target=Target(on_failure=on_failure),
    )


@pytest.mark.parametrize("on_failure", OnFailure)
def test_nothing_is_dropped(
    rules: TopicPolicy,
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    on_failure: OnFailure,
) -> None:
    """Nothing is dropped by score or by rule, verdicts and scores are given as ever; what would be
    dropped is forwarded for certain. In shadow nothing is folded either."""
    policy = targeted(rules, on_failure)
    gate = make_gate(policy)
    records = [record(offset=n, value=value) for n, value in enumerate(VALUES)]
    before = gate.process(batch_of(records), {}).block.decisions
    gate.fall({("logs", policy.entry_id): 0.0})
    after = gate.process(batch_of(records), {}).block.decisions
    folds = Route.FORWARD if on_failure is OnFailure.SHADOW else Route.FOLD
    assert after.route.tolist() == [
        *[Route.FORWARD] * 3, folds, Route.DEAD_LETTER,
    ]  # fmt: skip
    assert after.reason[:2].tolist() == [Reason.SHADOW] * 2
    assert after.probability[:3].tolist() == [1.0] * 3
    assert (after.verdict == before.verdict).all()
    assert after.verdict[:2].tolist() == [Verdict.DROP] * 2


def test_it_ends_with_the_certificate_or_the_policy(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A fall holds through a switch of policies for as long as the topic's entry is the same one;
    another entry, or a certificate that stands again, ends it."""
    policy = targeted(replace(rules, holdout=0.0), OnFailure.FORWARD_ALL)
    gate = make_gate(policy)
    batch = batch_of([record(offset=0, value=VALUES[0])])

    def route() -> Route:
        return Route(gate.process(batch, {}).block.decisions.route[0])

    def switch(to: TopicPolicy) -> None:
        scorers = {"fixed": FixedScorer({"routine": 0.05}, default=0.5, model_id="fixed-1")}
        gate.switch(gate.prepare(Policy(topics=(to, replace(to, topic="more.*"))), scorers))

    assert route() is Route.DISCARD
    gate.fall({("logs", policy.entry_id): 0.0, ("other", policy.entry_id): 0.0})
    assert route() is Route.FORWARD
    switch(policy)
    assert route() is Route.FORWARD
    switch(replace(policy, ramp=99.0))
    assert route() is Route.DISCARD
    switch(policy)
    assert route() is Route.FORWARD
    gate.fall({})
    assert route() is Route.DISCARD


@pytest.mark.parametrize("on_failure", OnFailure)
def test_a_widened_threshold_drops_what_lies_below(
    rules: TopicPolicy,
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    on_failure: OnFailure,
) -> None:
    """With `widen` only scores below the threshold are dropped, at the holdout's chance; what the
    policy would drop besides, and what a rule would, is forwarded for certain. Other actions do
    not know the threshold."""
    policy = replace(targeted(rules, on_failure), holdout=0.25)
    scores = {"routine": 0.05, "low": 0.01, "ruled": 0.01}
    gate = make_gate(policy, FixedScorer(scores, default=0.5, model_id="fixed-1"))
    values = [b'{"m":"routine"}', b'{"m":"ruled"}', *[b'{"m":"low"}'] * 40]
    records = [record(offset=n, value=value) for n, value in enumerate(values)]
    gate.fall({("logs", policy.entry_id): 0.05})
    decided = gate.process(batch_of(records), {}).block.decisions
    assert decided.reason[:2].tolist() == [Reason.SHADOW] * 2
    assert decided.probability[:2].tolist() == [1.0] * 2
    low = Counter(zip(decided.route[2:].tolist(), decided.reason[2:].tolist(), strict=True))
    if on_failure is OnFailure.WIDEN:
        held_out = low.pop((Route.FORWARD, Reason.HOLDOUT))
        assert low == {(Route.DISCARD, Reason.BELOW_THRESHOLD): 40 - held_out}
        assert 0 < held_out < 40
        assert set(decided.probability[2:].tolist()) == {0.25}
    else:
        assert low == {(Route.FORWARD, Reason.SHADOW): 40}
