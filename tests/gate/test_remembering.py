"""The gate with a memory: novelty, folds and ramp, from record to emission."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.policy import Fold, Mode, Novelty, TopicPolicy
from stream_filter.gate.batch import Emission, Outcome, RecordBatch
from stream_filter.gate.fold_summary import parse_summary
from stream_filter.gate.gate import Gate
from stream_filter.gate.partition_memory import PartitionMemory
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec

MakeGate = Callable[..., Gate]
MakeBatch = Callable[[Sequence[Any]], RecordBatch]
MakeRecord = Callable[..., Any]

NOW_MS = 1_764_000_000_000
VALUES = st.sampled_from(
    [b'{"m":"routine"}', b'{"m":"odd"}', b'{"m":"failure"}', b'{"m":"routine "}', b"{", None]
)
TIMES = st.one_of(st.integers(NOW_MS - 300_000, NOW_MS), st.sampled_from([-1, 0, 2**62]))


def remembering(rules: TopicPolicy) -> TopicPolicy:
    """These rules with novelty, fold and a ramp."""
    return replace(
        rules, novelty=Novelty(forward_first=2), fold=Fold(window_ms=60_000, keep=3), ramp=70.0
    )


def fresh(gate: Gate) -> PartitionMemory:
    return gate.recall("logs", 3, {}, up_to=0)[0]


def rows(outcomes: Sequence[Outcome]) -> list[tuple[int, str, str]]:
    """Offset, route and reason of every record."""
    return [
        (offset, Route(route).label, Reason(reason).label)
        for o in outcomes
        for offset, route, reason in zip(
            o.block.offsets.tolist(),
            o.block.decisions.route,
            o.block.decisions.reason,
            strict=True,
        )
    ]


def is_summary(emission: Emission) -> bool:
    return any(name == "sf-fold" for name, _ in emission.headers)


@settings(
    max_examples=40,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(VALUES, TIMES), min_size=1, max_size=40), st.data())
def test_batches_and_owners_do_not_matter(
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    rules: TopicPolicy,
    sent: list[tuple[bytes | None, int]],
    data: st.DataObject,
) -> None:
    """The same records get the same decisions and the same summaries, however they are batched
    and however often the partition changes hands; the summaries count what the ledger folded."""
    gate = make_gate(remembering(rules))
    records = [record(offset=i, value=v, timestamp=t) for i, (v, t) in enumerate(sent)]

    whole_memory = fresh(gate)
    whole = [gate.process(batch_of(records), {}, whole_memory)]
    whole_end = gate.settle(whole_memory, next_offset=len(records), idle_s=60.0)

    memory, topic, parts, at = fresh(gate), {}, list[Outcome](), 0
    while at < len(records):
        n = data.draw(st.integers(1, len(records) - at))
        parts.append(gate.process(batch_of(records[at : at + n]), {}, memory))
        topic.update(parts[-1].memory)
        at += n
        if data.draw(st.booleans()):
            memory, alarms = gate.recall("logs", 3, topic, up_to=at)
            assert alarms == []
    end = gate.settle(memory, next_offset=at, idle_s=60.0)

    assert rows(parts) == rows(whole)
    summaries = [e for o in parts for e in o.emissions if is_summary(e)]
    summaries += end.emissions if end else []
    expected = [e for o in whole for e in o.emissions if is_summary(e)]
    expected += whole_end.emissions if whole_end else []
    assert sorted(e.value or b"" for e in summaries) == sorted(e.value or b"" for e in expected)
    folded = sum(parse_summary(e.value or b"").folded for e in summaries)
    assert folded == sum(route == "fold" for _, route, _ in rows(parts))


def test_order_of_the_steps(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """Novelty comes before the holdout, folding after both: of a text that is dropped the first
    two are novel; of what is forwarded three in a window go on, but held-out ones always do."""
    gate = make_gate(replace(remembering(rules), ramp=100.0))
    routine = [record(offset=i, value=b'{"m":"routine"}') for i in range(200)]
    failing = [record(offset=200 + i, value=b'{"m":"failure"}') for i in range(10)]
    outcome = gate.process(batch_of([*routine, *failing]), {}, fresh(gate))
    found = rows([outcome])
    assert [reason for _, _, reason in found[:2]] == ["novel", "novel"]
    assert {reason for _, _, reason in found[2:200]} == {"holdout", "below_threshold"}
    assert [(route, reason) for _, route, reason in found[200:]] == [
        ("forward", "important")
    ] * 3 + [("fold", "duplicate")] * 7
    d = outcome.block.decisions
    assert set(d.probability[:2]) == {np.float32(1.0)}
    assert set(d.probability[2:200]) == {np.float32(0.3)}
    assert set(d.probability[203:]) == {np.float32(0.0)}
    assert set(d.verdict[:200]) == {Verdict.DROP}, "the verdict never changes"
    assert set(d.verdict[200:]) == {Verdict.KEEP}


def test_summary(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """The summary says text, window, count and the ends; its headers carry an id of its own, and
    nothing that makes it look like a forwarded record."""
    gate = make_gate(replace(rules, fold=Fold(window_ms=60_000, keep=3)))
    memory = fresh(gate)
    records = [
        record(offset=i, value=b'{"m":"failure"}', timestamp=NOW_MS + i, key=b"k")
        for i in range(10, 20)
    ]
    gate.process(batch_of(records), {}, memory)
    late = record(offset=20, value=b'{"m":"odd"}', timestamp=NOW_MS - 3_600_000)
    assert gate.process(batch_of([late]), {}, memory).summaries == 0
    assert gate.settle(memory, next_offset=21, idle_s=59.9) is None
    settlement = gate.settle(memory, next_offset=21, idle_s=60.0)
    assert settlement is not None
    assert gate.settle(memory, next_offset=21, idle_s=120.0) is None
    (emission,) = settlement.emissions
    assert (emission.topic, emission.key) == ("llm.analysis", None)
    document = json.loads(emission.value or b"")
    assert document == {
        "summary_version": "1",
        "text": "failure",
        "text_digest": document["text_digest"],
        "folded": 7,
        "first": "logs/3/13",
        "last": "logs/3/19",
        "window_start_ms": NOW_MS // 60_000 * 60_000,
        "window_end_ms": NOW_MS // 60_000 * 60_000 + 60_000,
        "policy_id": document["policy_id"],
    }
    assert [name for name, _ in emission.headers] == ["sf-id", "sf-fold", "sf-reason", "sf-policy"]
    headers = dict(emission.headers)
    assert (headers["sf-fold"], headers["sf-reason"]) == (b"logs/3/13", b"duplicate")


SUMMARY = {
    "summary_version": "1",
    "text": "failure",
    "text_digest": "00000000000000ff",
    "folded": 7,
    "first": "logs/3/13",
    "last": "logs/3/19",
    "window_start_ms": 0,
    "window_end_ms": 60_000,
    "policy_id": "0123456789abcdef",
}


@pytest.mark.parametrize(
    "change",
    [{name: None} for name in SUMMARY]
    + [{"folded": True}, {"folded": "7"}, {"text_digest": 255}, {"more": 1}]
    + [{"first": "logs/4/13"}, {"first": "logs"}, {"summary_version": "2"}],
    ids=str,
)
def test_what_is_no_summary(change: dict[str, Any]) -> None:
    """Whatever a foreign producer calls a summary is a ValueError, or one."""
    assert parse_summary(json.dumps(SUMMARY).encode()).folded == 7
    with pytest.raises(ValueError, match=r"\w"):
        parse_summary(json.dumps(SUMMARY | change).encode())


@given(st.binary(max_size=50))
def test_garbage_is_no_summary(value: bytes) -> None:
    """And so is garbage."""
    with pytest.raises(ValueError, match=r"\w"):
        parse_summary(value)


def test_deep_garbage_is_no_summary() -> None:
    """Also where it is nested more deeply than the parser goes."""
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_summary(b"[" * 100_000)


def test_shadow_counts_and_folds_nothing(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """In shadow mode everything is forwarded and no summary is sent, but the texts are counted:
    what was seen in shadow is not novel when the topic is enforced."""
    shadow = replace(remembering(rules), mode=Mode.SHADOW)
    gate = make_gate(shadow)
    memory = fresh(gate)
    values = [b'{"m":"routine"}', b'{"m":"failure"}'] * 10
    records = [record(offset=i, value=value) for i, value in enumerate(values)]
    outcome = gate.process(batch_of(records), {}, memory)
    counts = Counter(reason for _, _, reason in rows([outcome]))
    assert counts == {"novel": 2, "shadow": 8 + 7, "important": 3}
    assert {route for _, route, _ in rows([outcome])} == {"forward"}
    assert set(outcome.block.decisions.probability) == {np.float32(1.0)}
    settlement = gate.settle(memory, next_offset=20, idle_s=60.0)
    assert settlement is not None
    assert settlement.emissions == []
    enforced = make_gate(replace(shadow, mode=Mode.ENFORCE, holdout=0.0, ramp=100.0))
    again = enforced.process(batch_of([record(offset=20, value=values[0])]), {}, memory)
    assert rows([again])[0][1:] == ("discard", "below_threshold")


def test_ramp(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """What is not on the enforced side is forwarded as in shadow mode; as the ramp grows, what
    was dropped stays dropped."""
    records = [record(offset=i, value=b'{"m":"routine"}') for i in range(5_000)]
    dropped: set[int] = set()
    for percent in (0.0, 10.0, 50.0, 100.0):
        gate = make_gate(replace(rules, holdout=0.0, ramp=percent))
        outcome = gate.process(batch_of(records), {}, fresh(gate))
        found = {offset for offset, route, _ in rows([outcome]) if route == "discard"}
        assert dropped <= found
        assert abs(len(found) - 50 * percent) < 200
        assert {reason for _, route, reason in rows([outcome]) if route == "forward"} <= {"shadow"}
        dropped = found


def test_a_policy_that_folds_no_more_ends_the_windows(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """What the policy before has folded gets its summary with the next batch, or at once where
    there is none."""
    folding = make_gate(replace(rules, fold=Fold(window_ms=60_000, keep=1)))
    plain = make_gate(rules)
    records = [record(offset=i, value=b'{"m":"failure"}') for i in range(4)]
    for has_batch in (True, False):
        memory = fresh(folding)
        folding.process(batch_of(records[:3]), {}, memory)
        if has_batch:
            outcome = plain.process(batch_of(records[3:]), {}, memory)
            emissions, saved = outcome.emissions[1:], outcome.memory
        else:
            settlement = plain.settle(memory, next_offset=3, idle_s=0.5)
            assert settlement is not None
            emissions, saved = settlement.emissions, settlement.memory
        assert [parse_summary(e.value or b"").folded for e in emissions] == [2]
        assert len(saved) == 1


def test_without_novelty_and_folds_only_the_chain_is_saved(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """A topic that uses none of this writes the last block's digest to the memory topic."""
    gate = make_gate(rules)
    memory = fresh(gate)
    records = [record(offset=i, value=b'{"m":"routine"}') for i in range(10)]
    (saved,) = gate.process(batch_of(records), {}, memory).memory
    assert set(MsgpackMemoryCodec().decode(saved.value).entries) == {"chain"}
    assert gate.settle(memory, next_offset=10, idle_s=3_600.0) is None
