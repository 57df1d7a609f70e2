"""The gate with a budget, and behind its time: from record to emission."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_filter.core.budget import Budget, Limit, Overflow, Unit
from stream_filter.core.decision import Decisions, Reason, Route
from stream_filter.core.errors import ScorerError
from stream_filter.core.policy import (
    Fold,
    Mode,
    Overload,
    Policy,
    Rule,
    Thresholds,
    TopicPolicy,
    WhenOverloaded,
)
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.budget_shares import budget_shares
from stream_filter.gate.gate import Gate
from stream_filter.gate.partition_memory import PartitionMemory
from stream_filter.models.fixed_scorer import FixedScorer
from stream_filter.store.arrow_block import ArrowLedgerCodec
from tests.gate.conftest import Away

MakeGate = Callable[..., Gate]
MakeBatch = Callable[[Sequence[Any]], RecordBatch]
MakeRecord = Callable[..., Any]

NOW_MS = 1_764_000_000_000
MINUTE = 60_000


def limited(rules: TopicPolicy, per_minute: int, overflow: Overflow, **more: Any) -> TopicPolicy:
    limit = Limit(amount=per_minute, window_ms=MINUTE)
    return replace(rules, budget=Budget(limits=(limit,), overflow=overflow), holdout=0.0, **more)


def counted(decisions: Decisions) -> dict[str, int]:
    """How many records went each way and why."""
    return dict(
        Counter(
            f"{Route(route).label}.{Reason(reason).label}"
            for route, reason in zip(decisions.route, decisions.reason, strict=True)
        )
    )


def fresh(gate: Gate) -> PartitionMemory:
    return gate.recall("logs", 3, {}, up_to=0)[0]


FAILURES, ODD, ROUTINE = b'{"m":"failure"}', b'{"m":"odd"}', b'{"m":"routine"}'


@pytest.mark.parametrize(
    ("overflow", "rest"),
    [
        (Overflow.DEFER, "defer.over_budget"),
        (Overflow.WIDEN, "discard.over_budget"),
        (Overflow.FORWARD, "forward.over_budget"),
    ],
)
def test_what_does_not_fit(
    rules: TopicPolicy,
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    overflow: Overflow,
    rest: str,
) -> None:
    """What the budget refuses goes where `overflow` says; the most important go on; verdicts stay
    as they were; drops are dropped."""
    values = [ODD] * 20 + [FAILURES] * 10 + [ROUTINE] * 5
    records = [record(offset=n, value=value) for n, value in enumerate(values)]
    plain = make_gate(replace(rules, holdout=0.0)).process(batch_of(records), {})
    outcome = make_gate(limited(rules, 10, overflow)).process(batch_of(records), {})
    decisions = outcome.block.decisions
    assert counted(decisions) == {
        "forward.important": 10,
        rest: 20,
        "discard.below_threshold": 5,
    }
    assert (decisions.verdict == plain.block.decisions.verdict).all()
    sent = Counter(emission.topic for emission in outcome.emissions)
    assert (
        sent
        == {
            Overflow.DEFER: {"llm.analysis": 10, "deferred": 20},
            Overflow.WIDEN: {"llm.analysis": 10},
            Overflow.FORWARD: {"llm.analysis": 30},
        }[overflow]
    )
    for emission in outcome.emissions:
        headers = dict(emission.headers)
        is_deferred = emission.topic == "deferred"
        assert headers.get("sf-forward-to") == (b"llm.analysis" if is_deferred else None)


def test_the_holdout_of_what_is_dropped_over_budget(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """What `widen` drops is held out like any drop, with its probability; `defer` leaves the
    holdout as it is without a budget."""
    records = [record(offset=n, value=ODD if n % 2 else ROUTINE) for n in range(2_000)]
    plain = make_gate(rules).process(batch_of(records), {}).block.decisions
    held = plain.reason == Reason.HOLDOUT
    for overflow in (Overflow.DEFER, Overflow.WIDEN):
        policy = replace(limited(rules, 50, overflow), holdout=rules.holdout)
        decisions = make_gate(policy).process(batch_of(records), {}).block.decisions
        assert (decisions.reason[held] == Reason.HOLDOUT).all()
        extra = (decisions.reason == Reason.HOLDOUT) & ~held
        assert extra.any() == (overflow is Overflow.WIDEN)
        dropped = decisions.route == Route.DISCARD
        assert np.allclose(decisions.probability[dropped], rules.holdout)


def test_a_fold_comes_before_the_budget(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A storm of one text spends what its fold lets go and one for the summary, no more."""
    policy = limited(rules, 5, Overflow.DEFER, fold=Fold(window_ms=MINUTE, keep=3))
    gate = make_gate(policy)
    memory = fresh(gate)
    start = NOW_MS // MINUTE * MINUTE - 5 * MINUTE
    storm = [record(offset=n, value=FAILURES, timestamp=start + n) for n in range(1_000)]
    later = [record(offset=1_000, value=ODD, timestamp=start + MINUTE)]
    first = gate.process(batch_of(storm), {}, memory).block.decisions
    assert counted(first) == {"forward.important": 3, "fold.duplicate": 997}
    second = gate.process(batch_of(later), {}, memory)
    (summary,) = [e for e in second.emissions if dict(e.headers).get("sf-fold")]
    assert summary.timestamp_ms == start + MINUTE
    assert counted(second.block.decisions) == {"forward.ambiguous": 1}
    full = [record(offset=1_001 + n, value=ODD, timestamp=start + MINUTE) for n in range(9)]
    third = gate.process(batch_of(full), {}, memory).block.decisions
    # Of the five, one was the summary and one the record before.
    assert third.route.tolist().count(Route.FORWARD) <= 3


def test_what_was_spent_survives_the_owner(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A new owner of a partition goes on spending where the last one stopped."""
    gate = make_gate(limited(rules, 10, Overflow.DEFER))
    memory = fresh(gate)
    records = [record(offset=n, value=FAILURES) for n in range(8)]
    outcome = gate.process(batch_of(records), {}, memory)
    saved = {r.key: r.value for r in outcome.memory}
    recalled, problems = gate.recall("logs", 3, saved, up_to=8)
    assert not problems
    more = [record(offset=8 + n, value=FAILURES) for n in range(8)]
    decisions = gate.process(batch_of(more), {}, recalled).block.decisions
    assert counted(decisions) == {"forward.important": 2, "defer.over_budget": 6}


def test_what_the_gate_does_not_know_is_deferred_but_never_dropped(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Without a model records may wait in the deferred topic; `widen` drops none of them."""
    records = [record(offset=n, value=ODD) for n in range(30)]
    found = {}
    for overflow in (Overflow.DEFER, Overflow.WIDEN):
        gate = make_gate(limited(rules, 10, overflow), Away({}, default=0.5, model_id="fixed-1"))
        found[overflow] = counted(gate.process(batch_of(records), {}).block.decisions)
    assert found == {
        Overflow.DEFER: {"forward.degraded": 10, "defer.over_budget": 20},
        Overflow.WIDEN: {"forward.degraded": 30},
    }


def test_shadow_mode_and_a_pause_send_everything(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """In shadow mode a budget refuses nothing, and nothing goes to the deferred topic."""
    records = [record(offset=n, value=FAILURES) for n in range(30)]
    policy = replace(limited(rules, 10, Overflow.DEFER), mode=Mode.SHADOW)
    outcome = make_gate(policy).process(batch_of(records), {})
    assert counted(outcome.block.decisions) == {"forward.important": 10, "forward.shadow": 20}
    assert {emission.topic for emission in outcome.emissions} == {"llm.analysis"}


def test_rules_come_first(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """What a rule keeps is worth more than what the model finds important."""
    kept = (Rule(when='m == "routine"', then="keep"),)
    policy = replace(limited(rules, 5, Overflow.DEFER), rules=kept)
    values = [FAILURES] * 5 + [ROUTINE] * 5
    records = [record(offset=n, value=value) for n, value in enumerate(values)]
    decisions = make_gate(policy).process(batch_of(records), {}).block.decisions
    assert counted(decisions) == {"forward.rule": 5, "defer.over_budget": 5}


def test_tokens_are_counted(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A limit of tokens lets as many bytes go as it stands for."""
    limit = Limit(amount=50, window_ms=MINUTE, unit=Unit.TOKENS)
    policy = replace(rules, holdout=0.0, budget=Budget(limits=(limit,)))
    records = [record(offset=n, value=FAILURES) for n in range(30)]
    outcome = make_gate(policy).process(batch_of(records), {})
    assert len(FAILURES) == 15
    assert counted(outcome.block.decisions) == {"forward.important": 10, "defer.over_budget": 20}
    assert outcome.forwarded_tokens == 50


def test_a_record_too_large_for_the_deferred_topic_is_a_dead_letter(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """What the deferred topic would refuse goes to the dead letters, and says which topic."""
    records = [record(offset=n, value=b'{"m":"failure","x":"%s"}' % (b"x" * 900)) for n in (0, 1)]
    gate = make_gate(limited(rules, 1, Overflow.DEFER))
    outcome = gate.process(batch_of(records), {"deferred": 1_000})
    assert [emission.topic for emission in outcome.emissions] == ["llm.analysis", "dead"]


def test_the_parts_of_a_shared_budget_add_up(rules: TopicPolicy) -> None:
    """All partitions of all topics that forward to one topic share its limit; a topic's own limit
    is its partitions' alone; a partition that nobody knows has it all."""
    budget = Budget(
        limits=(
            Limit(amount=10, window_ms=MINUTE),
            Limit(amount=100, window_ms=MINUTE, target="llm.analysis"),
        )
    )
    one = replace(rules, topic="one", budget=budget)
    two = replace(rules, topic="two", budget=budget)
    elsewhere = Budget(limits=(Limit(amount=7, window_ms=MINUTE, target="elsewhere"),))
    other = replace(rules, topic="three", budget=elsewhere, forward_to="elsewhere")
    both = replace(two, topic="four", forward_by_reason=(("important", "elsewhere"),))
    policy = Policy(topics=(one, two, other, both))
    sources = {"one": 3, "two": 4, "three": 5, "four": 1}
    parts = {
        (topic.topic, partition): [
            share.amount
            for share in budget_shares(policy, topic, (topic.topic, partition), sources)
        ]
        for topic in policy.topics
        for partition in range(sources[topic.topic])
    }
    assert sum(part[0] for (topic, _), part in parts.items() if topic == "one") == 10
    assert sum(part[1] for (topic, _), part in parts.items() if topic != "three") == 100
    # The partition of `four` has a part of it too.
    assert sum(part[0] for (topic, _), part in parts.items() if topic == "three") in (5, 6)
    assert [s.amount for s in budget_shares(policy, one, ("one", 7), {})] == [10, 100]


@pytest.mark.parametrize("then", [WhenOverloaded.WAIT, WhenOverloaded.FORWARD])
def test_behind_its_time(
    rules: TopicPolicy,
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    then: WhenOverloaded,
) -> None:
    """Behind its time the gate says so; with `forward` it does not ask the model, and what has no
    remembered score goes on as overloaded; with `wait` it decides as ever."""
    policy = replace(rules, holdout=0.0, overload=Overload(max_lag_ms=10_000, then=then))
    gate = make_gate(policy)
    on_time = [record(offset=0, value=ROUTINE, timestamp=NOW_MS)]
    outcome = gate.process(batch_of(on_time), {})
    assert not outcome.is_behind
    assert counted(outcome.block.decisions) == {"discard.below_threshold": 1}
    late = [
        record(offset=1 + n, value=v, timestamp=NOW_MS - MINUTE)
        for n, v in enumerate((ROUTINE, ODD, FAILURES))
    ]
    outcome = gate.process(batch_of(late), {})
    assert outcome.is_behind
    if then is WhenOverloaded.WAIT:
        assert outcome.texts_read == 2
        assert counted(outcome.block.decisions) == {
            "discard.below_threshold": 1,
            "forward.ambiguous": 1,
            "forward.important": 1,
        }
    else:
        assert outcome.texts_read == 0
        assert counted(outcome.block.decisions) == {
            "discard.below_threshold": 1,
            "forward.overloaded": 2,
        }


class Scouting(FixedScorer):
    """A model whose scout says other numbers."""

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        says = {"odd": 0.01, "failure": 0.99}
        return np.array([says.get(text, 0.5) for text in texts], np.float32)


def test_the_scout_decides_alone(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Behind its time, what the model has read is decided as ever; of the rest the scout drops and
    keeps by its own thresholds, and what it leaves open goes on as overloaded. The block says
    so; nothing that the scout said is remembered."""
    overload = Overload(
        max_lag_ms=10_000,
        then=WhenOverloaded.SCOUT_ONLY,
        thresholds=Thresholds(drop_below=0.1, keep_above=0.9),
    )
    scorer = Scouting({"routine": 0.05, "odd": 0.5}, default=0.5, model_id="fixed-1")
    gate = make_gate(replace(rules, holdout=0.0, overload=overload), scorer)
    gate.process(batch_of([record(offset=0, value=ROUTINE, timestamp=NOW_MS)]), {})
    values = [ROUTINE, ODD, FAILURES, b'{"m":"new"}', b"{", b"{}"]
    late = [record(offset=1 + n, value=v, timestamp=NOW_MS - MINUTE) for n, v in enumerate(values)]
    outcome = gate.process(batch_of(late), {})
    assert (outcome.is_behind, outcome.texts_read) == (True, 0)
    assert counted(outcome.block.decisions) == {
        "discard.below_threshold": 2,
        "forward.important": 1,
        "forward.overloaded": 1,
        "dead_letter.undecodable": 1,
        "forward.unreadable": 1,
    }
    assert outcome.block.header.overload == "scout_only"
    block = ArrowLedgerCodec().decode(outcome.block_bytes)
    assert block.header == outcome.block.header
    on_time = [record(offset=9, value=ODD, timestamp=NOW_MS)]
    again = gate.process(batch_of(on_time), {})
    assert counted(again.block.decisions) == {"forward.ambiguous": 1}
    assert (again.texts_read, again.block.header.overload) == (1, "")


def test_without_a_scout_everything_unread_is_forwarded(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A pack that has no scout after all fails open, with the cause."""

    class Scoutless(FixedScorer):
        def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
            raise ScorerError("the pack has no scout")

    overload = Overload(
        max_lag_ms=10_000,
        then=WhenOverloaded.SCOUT_ONLY,
        thresholds=Thresholds(drop_below=0.1, keep_above=0.9),
    )
    gate = make_gate(replace(rules, overload=overload), Scoutless({}, default=0.5))
    outcome = gate.process(batch_of([record(offset=0, value=ODD, timestamp=NOW_MS - MINUTE)]), {})
    assert counted(outcome.block.decisions) == {"forward.overloaded": 1}
    assert outcome.degraded_because == "the pack has no scout"


def test_a_topic_for_each_reason(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Each record goes where its reason leads; what is deferred says where it was meant for; a
    summary goes where `duplicate` leads; a target's limit counts only what goes there."""
    limits = (Limit(amount=2, window_ms=MINUTE, target="pages"),)
    policy = replace(
        rules,
        holdout=0.0,
        rules=(Rule(when='m == "ruled"', then="keep"),),
        forward_by_reason=(("important", "pages"), ("rule", "rules"), ("duplicate", "storms")),
        budget=Budget(limits=limits),
        fold=Fold(window_ms=MINUTE, keep=3),
    )
    gate = make_gate(policy)
    memory = fresh(gate)
    start = NOW_MS // MINUTE * MINUTE - 5 * MINUTE
    values = [ODD] * 3 + [FAILURES] * 4 + [b'{"m":"ruled"}'] * 2 + [b'{"m":""}']
    records = [record(offset=n, value=v, timestamp=start) for n, v in enumerate(values)]
    outcome = gate.process(batch_of(records), {}, memory)
    assert [emission.topic for emission in outcome.emissions] == [
        *["llm.analysis"] * 3,
        *["pages", "pages", "deferred"],
        *["rules"] * 2,
        "llm.analysis",
    ]
    meant = [dict(e.headers)["sf-forward-to"] for e in outcome.emissions if e.topic == "deferred"]
    assert meant == [b"pages"]
    after = [record(offset=len(values), value=ODD, timestamp=start + MINUTE)]
    *_, summary = gate.process(batch_of(after), {}, memory).emissions
    assert (summary.topic, "sf-fold" in dict(summary.headers)) == ("storms", True)


@pytest.mark.parametrize(("long_texts", "meant"), [("forward", b"long"), ("score", b"odd")])
def test_a_long_text_may_wait(
    rules: TopicPolicy,
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    long_texts: Literal["forward", "score"],
    meant: bytes,
) -> None:
    """What was not read whole is deferred over budget, and says where it was meant for."""
    policy = replace(
        rules,
        forward_by_reason=(("ambiguous", "odd"), ("text_cut", "long")),
        budget=Budget(limits=(Limit(amount=1, window_ms=MINUTE),)),
        long_texts=long_texts,
    )
    value = b'{"m":"' + b"odd " * 600 + b'"}'
    records = [record(offset=at, value=value, timestamp=NOW_MS) for at in range(2)]
    first, second = make_gate(policy).process(batch_of(records), {}).emissions
    assert (first.topic, second.topic) == (meant.decode(), "deferred")
    assert dict(second.headers)["sf-forward-to"] == meant


@pytest.mark.parametrize(
    ("value", "priority"),
    [(FAILURES, b"8"), (ODD, b"4"), (b'{"m":"ruled"}', b"9"), (b"{}", b"4")],
)
def test_the_priority_of_what_is_forwarded(
    rules: TopicPolicy,
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    value: bytes,
    priority: bytes,
) -> None:
    """Rules first, then by score; without a score in the middle."""
    policy = replace(rules, rules=(Rule(when='m == "ruled"', then="keep"),))
    (emission,) = make_gate(policy).process(batch_of([record(offset=0, value=value)]), {}).emissions
    assert dict(emission.headers)["sf-priority"] == priority


def test_the_holdout_has_the_first_priority(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """What is forwarded to learn from is not read last: its answers count."""
    policy = replace(rules, holdout=1.0)
    outcome = make_gate(policy).process(batch_of([record(offset=0, value=ROUTINE)]), {})
    assert dict(outcome.emissions[0].headers)["sf-priority"] == b"9"


def test_a_ramp_by_key(
    rules: TopicPolicy, make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """By key, all drops of a key are made or none."""
    policy = replace(rules, holdout=0.0, ramp=50.0, ramp_by="key")
    records = [record(offset=n, value=ROUTINE, key=b"%d" % (n % 20)) for n in range(400)]
    route = make_gate(policy).process(batch_of(records), {}).block.decisions.route
    by_key = [{int(r) for r in route[k::20]} for k in range(20)]
    assert all(len(routes) == 1 for routes in by_key)
    assert {Route.FORWARD, Route.DISCARD} == {route for routes in by_key for route in routes}
