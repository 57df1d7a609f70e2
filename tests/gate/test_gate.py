"""The gate: a batch in, decisions and emissions out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.canonical import canonicalize
from stream_filter.core.decision import Reason, Route, Verdict
from stream_filter.core.errors import ScorerError
from stream_filter.core.policy import Mode, Rule, TopicPolicy
from stream_filter.core.position import event_id
from stream_filter.gate.batch import Emission, Outcome, RecordBatch
from stream_filter.gate.emitting import record_size
from stream_filter.gate.gate import Gate
from stream_filter.models.fixed_scorer import FixedScorer
from stream_filter.store.arrow_block import ArrowLedgerCodec

MakeGate = Callable[..., Gate]
MakeBatch = Callable[[Sequence[Any]], RecordBatch]
MakeRecord = Callable[..., Any]

VALUES = st.sampled_from(
    [b'{"m":"routine"}', b'{"m":"odd"}', b'{"m":"failure"}', b'{"m":"other 7"}', b'{"m":"other 8"}',
     b"{}", b"{", b"", None, b'{"m":"routine"}{"m":"failure"}', b"\xff", b'{"m":"\\ud800"}',
     b'{"m":"', b'"}', b" ", b'{"m":{}', b"}{}", b'{"m":"' + b"routine " * 300 + b'"}']
)  # fmt: skip


RULED = (
    Rule(when='m == "failure"', then="drop", name="known failure", holdout=0.0),
    Rule(when='m.startsWith("ro") || key == "k"', then="keep"),
    Rule(when='"noise" in headers', then="drop"),
)


class FailingScorer:
    """Gives no score while `fails` is set; counts the texts that it was asked for."""

    def __init__(self) -> None:
        self.model_id = "failing-1"
        self.fails = True
        self.asked: list[str] = []

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked += texts
        if self.fails:
            raise ScorerError("the model is away")
        return np.full(len(texts), 0.05, np.float32)


def decisions_by_offset(outcomes: Sequence[Outcome]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for outcome in outcomes:
        block = outcome.block
        d = block.decisions
        for i, offset in enumerate(block.offsets.tolist()):
            score = float(d.score[i])
            rows.append(
                (
                    offset,
                    None if math.isnan(score) else score,
                    Verdict(d.verdict[i]),
                    Route(d.route[i]),
                    Reason(d.reason[i]),
                    float(d.probability[i]),
                    int(block.text_digests[i]),
                )
            )
    return rows


def header(emission: Emission, name: str) -> bytes | None:
    """The last header of a name: the gate's, where the source has one of that name."""
    return next((value for key, value in reversed(emission.headers) if key == name), None)


@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(VALUES, min_size=1, max_size=14), st.data())
def test_batch_borders_do_not_matter(
    make_gate: MakeGate,
    batch_of: MakeBatch,
    record: MakeRecord,
    rules: TopicPolicy,
    values: list[bytes | None],
    data: st.DataObject,
) -> None:
    """The same records get the same decisions and are sent alike, however they are batched."""
    rules = replace(rules, rules=data.draw(st.sampled_from([(), RULED])))
    records = [record(offset=100 + 3 * i, value=value) for i, value in enumerate(values)]
    borders = sorted(data.draw(st.sets(st.integers(1, max(1, len(records) - 1)))))
    cuts = [0, *[b for b in borders if b < len(records)], len(records)]
    whole = make_gate(rules).process(batch_of(records), {})
    gate = make_gate(rules)
    parts = [gate.process(batch_of(records[a:b]), {}) for a, b in pairwise(cuts)]
    assert decisions_by_offset(parts) == decisions_by_offset([whole])
    assert [e for part in parts for e in part.emissions] == list(whole.emissions)
    assert len(decisions_by_offset([whole])) == len(records)


def test_what_was_not_read_is_not_dropped(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """Whatever is hidden in the middle of a text that is too long, its record is forwarded, and the
    ledger says why; unless the policy lets head and tail decide, or a rule knows the record."""
    hidden = "routine " * 300 + "the disk failed" + " routine" * 300
    routine, failure = canonicalize(hidden), canonicalize(hidden + "!")
    scorer = FixedScorer({routine: 0.05, failure: 0.95}, default=0.05, model_id="fixed-1")
    texts = [hidden, hidden + "!", "routine"]
    records = [
        record(offset=at, value=orjson.dumps({"m": text, "n": at})) for at, text in enumerate(texts)
    ]

    def reasons(rules: TopicPolicy) -> list[Reason]:
        block = make_gate(replace(rules, holdout=0.0), scorer).process(batch_of(records), {}).block
        assert block.is_cut is not None
        assert block.is_cut.tolist() == [True, True, False]
        forwarded = block.decisions.route == Route.FORWARD
        assert forwarded.tolist() == [
            reason not in (Reason.BELOW_THRESHOLD, Reason.RULE)
            for reason in map(Reason, block.decisions.reason)
        ]
        return list(map(Reason, block.decisions.reason))

    important, below = Reason.IMPORTANT, Reason.BELOW_THRESHOLD
    assert reasons(rules) == [Reason.TEXT_CUT, important, below]
    assert reasons(replace(rules, long_texts="score")) == [below, important, below]
    known = (Rule(when="n == 0", then="drop"),)
    assert reasons(replace(rules, rules=known)) == [Reason.RULE, important, below]


def test_routes(make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord) -> None:
    """Important and ambiguous records are forwarded, broken ones are dead letters, and what is
    below the threshold is sent nowhere."""
    values = [b'{"m":"failure"}', b'{"m":"odd"}', b"{", None, b'{"m":""}']
    outcome = make_gate().process(
        batch_of([record(offset=i, value=v) for i, v in enumerate(values)]), {}
    )
    sent = [(e.topic, header(e, "sf-reason"), e.value) for e in outcome.emissions]
    assert sent == [
        ("llm.analysis", b"important", values[0]),
        ("llm.analysis", b"ambiguous", values[1]),
        ("dead", b"undecodable", b"{"),
        ("llm.analysis", b"unreadable", None),
        ("llm.analysis", b"unreadable", b'{"m":""}'),
    ]
    assert outcome.degraded_because is None


def test_holdout_and_drops(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """Of 2,000 would-be drops about π are forwarded as holdout, the others dropped; all carry π."""
    records = [record(offset=i, value=b'{"m":"routine"}') for i in range(2_000)]
    outcome = make_gate().process(batch_of(records), {})
    d = outcome.block.decisions
    forwarded = int((d.route == Route.FORWARD).sum())
    assert abs(forwarded - 600) < 5 * math.sqrt(2_000 * 0.3 * 0.7)
    assert len(outcome.emissions) == forwarded
    assert {header(e, "sf-reason") for e in outcome.emissions} == {b"holdout"}
    assert {header(e, "sf-verdict") for e in outcome.emissions} == {b"drop"}
    assert set(d.probability.tolist()) == {float(np.float32(0.3))}
    shadow = make_gate(replace(rules, mode=Mode.SHADOW)).process(batch_of(records), {})
    assert {header(e, "sf-reason") for e in shadow.emissions} == {b"shadow"}
    assert len(shadow.emissions) == 2_000


def test_forwarded_untouched(make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord) -> None:
    """Payload, key and timestamp go on untouched; the source's headers come first."""
    own = [
        ("trace", b"\xff\x00"),
        ("none", None),
        ("sf-id", b"forged"),
        ("trace", b"2"),
        ("é", b""),
    ]
    value = b' {"m": "failure"}\n'
    sent = record(offset=7, value=value, key=b"\x00k", timestamp=-1, headers=own)
    (emission,) = make_gate().process(batch_of([sent]), {}).emissions
    assert (emission.value, emission.key, emission.timestamp_ms) == (value, b"\x00k", -1)
    assert list(emission.headers[: len(own)]) == own
    assert [name for name, _ in emission.headers[len(own) :]] == [
        "sf-id", "sf-source", "sf-reason", "sf-verdict", "sf-policy", "sf-priority", "sf-score",
        "sf-model",
    ]  # fmt: skip
    assert header(emission, "sf-id") == event_id("logs/3/7", key=b"secret").encode()
    assert header(emission, "sf-source") == b"logs/3/7"
    assert header(emission, "sf-score") == b"0.95"
    assert header(emission, "sf-priority") == b"8"
    assert header(emission, "sf-model") == b"fixed-1"


def test_dead_letter_untouched(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A dead letter keeps payload, key and headers, and says its cause and its origin."""
    sent = record(offset=7, value=b"\xff{", key=b"k", headers=[("h", b"1")])
    (emission,) = make_gate().process(batch_of([sent]), {}).emissions
    assert (emission.topic, emission.value, emission.key) == ("dead", b"\xff{", b"k")
    assert emission.headers[0] == ("h", b"1")
    assert header(emission, "sf-cause") == b"not UTF-8: invalid start byte at byte 0"
    assert header(emission, "sf-source") == b"logs/3/7"
    assert header(emission, "sf-payload") is None
    assert header(emission, "sf-score") is None


def big(record: MakeRecord, where: str, size: int) -> Any:
    """A record that is important, and large in its value, its key or its headers."""
    return record(
        offset=1,
        value=b'{"m":"failure","pad":"' + b"x" * (size if where == "value" else 0) + b'"}',
        key=b"k" * size if where == "key" else b"k",
        headers=[("h", b"x" * size)] if where == "headers" else [("h", b"1")],
    )


@pytest.mark.parametrize("where", ["value", "key", "headers"])
def test_oversized_becomes_a_dead_letter(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, where: str
) -> None:
    """A record that its target would refuse is a dead letter, whole, wherever its bytes are; the
    ledger says so, and its neighbours go their way."""
    records = [big(record, where, 5_000), replace(big(record, where, 5), offset=2)]
    outcome = make_gate().process(batch_of(records), {"llm.analysis": 4_000, "dead": 9_000})
    dead, forwarded = outcome.emissions
    assert (dead.topic, forwarded.topic) == ("dead", "llm.analysis")
    assert (dead.value, dead.key, dead.headers[0]) == (
        records[0].value,
        records[0].key,
        records[0].headers[0],
    )
    assert header(dead, "sf-reason") == b"too_large"
    assert b"4000" in (header(dead, "sf-cause") or b"")
    d = outcome.block.decisions
    assert (d.route[0], d.reason[0], d.probability[0]) == (Route.DEAD_LETTER, Reason.TOO_LARGE, 0)
    assert d.verdict[0] == Verdict.KEEP


@pytest.mark.parametrize("where", ["value", "key", "headers"])
def test_oversized_dead_letter_is_cut(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, where: str
) -> None:
    """A dead letter that even the dead-letter topic would refuse goes there without its payload,
    and without key and headers where these are too much: it always fits."""
    limits = {"llm.analysis": 4_000, "dead": 4_500}
    source = big(record, where, 5_000)
    (dead,) = make_gate().process(batch_of([source]), limits).emissions
    assert dead.value is None
    assert header(dead, "sf-payload") == b"omitted"
    assert header(dead, "sf-source") == b"logs/3/1"
    assert dead.key == (b"k" if where == "value" else None)
    as_sent = record(offset=1, value=dead.value, key=dead.key, headers=dead.headers)
    assert record_size(as_sent) - 600 <= 4_500


def test_oversized_drop_is_no_dead_letter(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """What is discarded is sent nowhere, however large it is."""
    value = b'{"m":"routine","pad":"' + b"x" * 5_000 + b'"}'
    gate = make_gate(replace(rules, holdout=0.0))
    outcome = gate.process(batch_of([record(offset=1, value=value)]), {"llm.analysis": 4_000})
    assert outcome.emissions == []
    assert outcome.block.decisions.reason[0] == Reason.BELOW_THRESHOLD


def test_fails_open(make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord) -> None:
    """Without a model all is forwarded as degraded, and nothing of it is remembered: when the
    model is back, the same texts are scored."""
    scorer = FailingScorer()
    gate = make_gate(scorer=scorer)
    batch = batch_of([record(offset=0, value=b'{"m":"a"}'), record(offset=1, value=b"{")])
    outcome = gate.process(batch, {})
    assert outcome.degraded_because == "the model is away"
    assert [header(e, "sf-reason") for e in outcome.emissions] == [b"degraded", b"undecodable"]
    assert header(outcome.emissions[0], "sf-score") is None
    scorer.fails = False
    again = gate.process(batch, {})
    assert again.degraded_because is None
    assert again.block.decisions.verdict[0] == Verdict.DROP
    assert scorer.asked == ["a", "a"]


def test_remembered_scores_outlast_a_failure(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """Where the model fails, texts that it scored before keep their scores."""
    scorer = FailingScorer()
    scorer.fails = False
    gate = make_gate(scorer=scorer)
    gate.process(batch_of([record(offset=0, value=b'{"m":"known"}')]), {})
    scorer.fails = True
    values = [b'{"m":"known"}', b'{"m":"new"}']
    outcome = gate.process(batch_of([record(offset=i, value=v) for i, v in enumerate(values)]), {})
    d = outcome.block.decisions
    assert [Verdict(v) for v in d.verdict] == [Verdict.DROP, Verdict.ABSTAIN]
    assert d.reason[1] == Reason.DEGRADED
    assert outcome.block.header.model_id == "failing-1"


class LateScorer(FailingScorer):
    """A pack that is loaded by the first call."""

    def __init__(self) -> None:
        super().__init__()
        self.model_id = ""

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.model_id = "late-1"
        return np.full(len(texts), 0.9, np.float32)


def test_model_that_comes_with_the_batch(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """A batch scored by a pack that was loaded for it carries that pack's id."""
    gate = make_gate(scorer=LateScorer())
    outcome = gate.process(batch_of([record(offset=0, value=b'{"m":"a"}')]), {})
    assert outcome.block.header.model_id == "late-1"
    assert header(outcome.emissions[0], "sf-model") == b"late-1"


def test_block(make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord) -> None:
    """The block covers the batch's whole range, also offsets without a record, and its bytes
    read back as the block."""
    records = [record(offset=o, value=b'{"m":"odd"}', timestamp=t) for o, t in ((12, 50), (17, 30))]
    batch = replace(batch_of(records), first_offset=10, next_offset=20)
    outcome = make_gate().process(batch, {})
    head = outcome.block.header
    assert (head.block_id, head.rows) == ("logs/3/10-19", 2)
    assert (head.first_timestamp_ms, head.last_timestamp_ms) == (30, 50)
    assert head.decided_at_ms == 1_764_000_001_000
    read = ArrowLedgerCodec().decode(outcome.block_bytes)
    assert read.header == head
    assert read.offsets.tolist() == [12, 17]
    assert read.text_digests.tolist() == outcome.block.text_digests.tolist()
    assert len(set(outcome.block.text_digests.tolist())) == 1


def test_only_distinct_texts_are_read(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord
) -> None:
    """The model reads each canonical text once, whatever the numbers in it, and never again."""
    gate = make_gate()
    records = [record(offset=i, value=b'{"m":"took %d ms"}' % i) for i in range(50)]
    first = gate.process(batch_of(records), {})
    assert (first.distinct_texts, first.texts_read) == (1, 1)
    assert gate.process(batch_of(records), {}).texts_read == 0


def test_pattern_topics(make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord) -> None:
    """A topic that a glob covers is decided by the glob's rules, and named as itself."""
    batch = replace(batch_of([record(offset=1, value=b'{"m":"failure"}')]), topic="other.x")
    (emission,) = make_gate().process(batch, {}).emissions
    assert header(emission, "sf-source") == b"other.x/3/1"


def test_rules_decide_before_scores(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """The first rule that holds decides, a record without one is left to its score, and what a
    rule decides is named in ledger and header."""
    noise = [("noise", b"")]
    records = [
        record(offset=0, value=b'{"m":"failure"}'),
        record(offset=1, value=b'{"m":"routine"}'),
        record(offset=2, value=b'{"m":"odd"}'),
        record(offset=3, value=None, key=b"k"),
        record(offset=4, value=b"{", headers=noise),
        record(offset=5, value=b'{"m":"odd"}', headers=noise),
        record(offset=6, value=b'{"m":"failure"}', key=b"k"),
    ]
    gate = make_gate(replace(rules, rules=RULED, holdout=0.0))
    outcome = gate.process(batch_of(records), {})
    found = [
        (verdict, route, reason)
        for _, _, verdict, route, reason, *_ in decisions_by_offset([outcome])
    ]
    dropped = (Verdict.DROP, Route.DISCARD, Reason.RULE)
    kept = (Verdict.KEEP, Route.FORWARD, Reason.RULE)
    by_score = (Verdict.ABSTAIN, Route.FORWARD, Reason.AMBIGUOUS)
    dead = (Verdict.ABSTAIN, Route.DEAD_LETTER, Reason.UNDECODABLE)
    assert found == [dropped, kept, by_score, kept, dead, dropped, dropped]
    block = ArrowLedgerCodec().decode(outcome.block_bytes)
    assert block.decisions.rule is not None
    assert block.decisions.rule.tolist() == [0, 1, -1, 1, -1, 2, 0]
    assert block.rule_labels == ("known failure", "#2", "#3")
    assert [header(e, "sf-rule") for e in outcome.emissions] == [b"#2", None, b"#2", None]


def test_texts_of_ruled_records_are_not_read(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """The model reads a text only where a record has it that no rule decides, and a record's
    score does not depend on that."""
    scorer = FailingScorer()
    scorer.fails = False
    gate = make_gate(replace(rules, rules=RULED), scorer=scorer)
    values = [(b'{"m":"routine"}', None), (b'{"m":"odd"}', b"k"), (b'{"m":"odd"}', None)]
    records = [record(offset=i, value=v, key=k) for i, (v, k) in enumerate(values)]
    outcome = gate.process(batch_of(records), {})
    assert scorer.asked == ["odd"]
    scores = [score for _, score, *_ in decisions_by_offset([outcome])]
    assert scores == [None, None, pytest.approx(0.05)]


def test_rules_hold_without_a_model(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """Where the model fails, rules still decide; the others are degraded."""
    gate = make_gate(replace(rules, rules=RULED), scorer=FailingScorer())
    records = [record(offset=i, value=v) for i, v in enumerate([b'{"m":"failure"}', b'{"m":"x"}'])]
    outcome = gate.process(batch_of(records), {})
    reasons = [reason for *_, reason, _, _ in decisions_by_offset([outcome])]
    assert reasons == [Reason.RULE, Reason.DEGRADED]


def test_ruled_drops_are_forwarded_in_shadow_mode(
    make_gate: MakeGate, batch_of: MakeBatch, record: MakeRecord, rules: TopicPolicy
) -> None:
    """In shadow mode a rule's drop is forwarded as `shadow`, and its verdict stays."""
    gate = make_gate(replace(rules, rules=RULED, mode=Mode.SHADOW))
    outcome = gate.process(batch_of([record(offset=0, value=b'{"m":"failure"}')]), {})
    ((_, _, verdict, route, reason, *_),) = decisions_by_offset([outcome])
    assert (verdict, route, reason) == (Verdict.DROP, Route.FORWARD, Reason.SHADOW)
