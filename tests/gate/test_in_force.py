"""The switch from one policy to the next, between two batches."""

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.decision import Reason, Route
from stream_filter.core.policy import Mode, Policy, Thresholds, TopicPolicy
from stream_filter.gate.gate import Gate
from stream_filter.models.fixed_scorer import FixedScorer

STRICT = Thresholds(drop_below=0.99, keep_above=1.0)
VALUES = (b'{"m":"routine"}', b'{"m":"failure"}', b"not json", None)


class GatedScorer:
    """A scorer that waits in the middle of a batch until it is let go."""

    def __init__(self) -> None:
        self.is_asked = threading.Event()
        self.go_on = threading.Event()
        self._scorer = FixedScorer({}, default=0.5, model_id="fixed-1")

    @property
    def model_id(self) -> str:
        return self._scorer.model_id

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.is_asked.set()
        assert self.go_on.wait(10)
        return self._scorer.score(texts)


def test_a_batch_is_decided_by_the_policy_that_it_began_with(
    make_gate: Callable[..., Gate], rules: TopicPolicy, record: Any, batch_of: Any
) -> None:
    """A switch in the middle of a batch takes effect with the next one; until the batch in hand
    is decided the gate is not settled."""
    scorer = GatedScorer()
    gate = make_gate(scorer=scorer)
    first = gate.in_force
    other = Policy(topics=(replace(rules, thresholds=STRICT, holdout=0.0),))
    batch = batch_of([record(offset=1, value=b'{"m":"x"}')])
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(gate.process, batch, {})
        assert scorer.is_asked.wait(10)
        gate.switch(gate.prepare(other, {"fixed": scorer}))
        assert not gate.is_settled
        scorer.go_on.set()
        old = running.result(10)
    assert gate.is_settled
    assert old.block.header.policy_id == first.policy_id
    assert old.block.decisions.reason.tolist() == [Reason.AMBIGUOUS]
    new = gate.process(batch, {})
    assert new.block.header.policy_id == other.policy_id
    assert new.block.decisions.reason.tolist() == [Reason.BELOW_THRESHOLD]


def test_scores_of_a_pack_that_stays_are_remembered_across_a_switch(
    make_gate: Callable[..., Gate], rules: TopicPolicy, record: Any, batch_of: Any
) -> None:
    """Pushing a policy does not make the model read everything again."""
    scorer = FixedScorer({}, default=0.5, model_id="fixed-1")
    gate = make_gate(scorer=scorer)
    batch = batch_of([record(offset=1, value=b'{"m":"x"}')])
    assert gate.process(batch, {}).texts_read == 1
    gate.switch(gate.prepare(Policy(topics=(replace(rules, mode=Mode.SHADOW),)), {"fixed": scorer}))
    assert gate.process(batch, {}).texts_read == 0
    another = FixedScorer({}, default=0.9, model_id="fixed-2")
    gate.switch(gate.prepare(Policy(topics=(rules,)), {"fixed": another}))
    assert gate.process(batch, {}).texts_read == 1


def test_a_paused_topic_is_forwarded_whole_and_unread(
    make_gate: Callable[..., Gate], record: Any, batch_of: Any
) -> None:
    """Also what cannot be decoded: the button works where the decoder or the model is at fault."""
    gate = make_gate()
    gate.switch(replace(gate.in_force, paused=("log*",)))
    outcome = gate.process(batch_of([record(offset=n, value=v) for n, v in enumerate(VALUES)]), {})
    decisions = outcome.block.decisions
    assert set(decisions.route.tolist()) == {Route.FORWARD}
    assert set(decisions.reason.tolist()) == {Reason.PAUSED}
    assert set(decisions.probability.tolist()) == {1.0}
    assert outcome.texts_read == 0
    assert outcome.degraded_because is None
    assert [e.value for e in outcome.emissions] == list(VALUES)
    assert {dict(e.headers)["sf-reason"] for e in outcome.emissions} == {b"paused"}
    gate.switch(replace(gate.in_force, paused=("other",)))
    again = gate.process(batch_of([record(offset=0, value=VALUES[1])]), {})
    assert again.block.decisions.reason.tolist() == [Reason.IMPORTANT]


def test_while_no_policy_is_known_everything_is_forwarded_as_degraded(
    make_gate: Callable[..., Gate], record: Any, batch_of: Any
) -> None:
    """The gate fails open, and says so with the block."""
    gate = make_gate()
    gate.begin(paused=(), is_known=False)
    outcome = gate.process(batch_of([record(offset=n, value=v) for n, v in enumerate(VALUES)]), {})
    assert set(outcome.block.decisions.reason.tolist()) == {Reason.DEGRADED}
    assert len(outcome.emissions) == len(VALUES)
    assert "no policy is known" in str(outcome.degraded_because)


def test_a_paused_record_that_its_target_would_refuse_is_a_dead_letter(
    make_gate: Callable[..., Gate], record: Any, batch_of: Any
) -> None:
    """Nothing is lost in silence because a topic is paused."""
    gate = make_gate()
    gate.switch(replace(gate.in_force, paused=("logs",)))
    outcome = gate.process(
        batch_of([record(offset=0, value=b"x" * 5000)]), {"llm.analysis": 2000, "dead": 2000}
    )
    assert outcome.block.decisions.reason.tolist() == [Reason.TOO_LARGE]
