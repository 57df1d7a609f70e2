"""The certificates that hold, and who states them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.certificates import Certificates
from stream_filter.app.certifier import Certifier
from stream_filter.core.block_evidence import BlockEvidence, StratumKey
from stream_filter.core.certificate import CertificateState, StaleCause
from stream_filter.core.decision import decide
from stream_filter.core.epochs import Epoch
from stream_filter.core.evidence_book import EvidenceBook, Found, Tally
from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.core.oracle import Judge, OracleVerdict
from stream_filter.core.policy import Format, Mode, Policy, Thresholds, TopicPolicy
from stream_filter.core.signs import Readings
from stream_filter.core.statement import Extent, Statement, contradictions, state
from stream_filter.core.targets import OnFailure, RecallTarget, SignLimits, Target
from stream_filter.core.widening import Widening
from stream_filter.kafka.board import BoardRecord
from stream_filter.store.msgpack_evidence import Desk, decode_desk, encode_desk
from stream_filter.store.statement_json import decode_statement, encode_statement

RULES = TopicPolicy(
    topic="logs",
    format=Format.TEXT,
    text=None,
    model="pack",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.1,
    forward_to="llm.analysis",
    target=Target(recall=0.9),
)


class Watcher:
    def __init__(self) -> None:
        self.stated: list[tuple[CertificateState, CertificateState | None]] = []
        self.problems: list[str] = []

    def certificate_stated(self, statement: Statement, last: Statement | None) -> None:
        self.stated.append((statement.state, last.state if last else None))

    def certificate_unreadable(self, position: str, problem: str) -> None:
        self.problems.append(f"{position}: {problem}")

    def certificates_lost(self, error: Exception) -> None:
        raise AssertionError

    def statement_failed(self, error: Exception) -> None:
        raise AssertionError


def statement(at_ms: int, *, alarms: Sequence[StaleCause] = (), entry_id: str = "e1") -> Statement:
    return state(
        [],
        of=("logs", entry_id, "m1"),
        target=RecallTarget(recall=0.9, failure_probability=0.05, max_age_ms=1_000),
        on_failure=OnFailure.FORWARD_ALL,
        alarms=frozenset(alarms),
        now_ms=at_ms,
        last=None,
        extent=Extent(ledger_next={}, verdict_next=0, patience_ms=1_000),
    )


def record(value: Statement | bytes | None, place: int = 0) -> BoardRecord:
    content = encode_statement(value) if isinstance(value, Statement) else value
    return BoardRecord(f"certificates/0/{place}", content)


def test_the_newest_of_each_counts() -> None:
    """Whoever reads the topic once more, or reads what came out of order, knows the same; what
    is no certificate is told and passed over."""
    told: list[dict[tuple[str, str], float]] = []
    watcher = Watcher()
    certificates = Certificates(
        cast("Any", None),
        watcher,
        changed=lambda now: told.append(now.fallen),
        clock_ms=lambda: 10,
    )
    fallen = statement(5, alarms=[StaleCause.DRIFT])
    records = [record(statement(1)), record(b"x", 7), record(fallen), record(statement(3))]
    certificates.hear(records)
    certificates.hear(records)
    assert certificates.fallen == {("logs", "e1"): 0.0}
    assert watcher.stated == [
        (CertificateState.UNCERTIFIED, None),
        (CertificateState.STALE, CertificateState.UNCERTIFIED),
    ]
    assert [p.split(":")[0] for p in watcher.problems] == ["certificates/0/7"] * 2
    assert told == [{("logs", "e1"): 0.0}]
    certificates.hear([record(statement(6, entry_id="e2"))])
    assert certificates.fallen == {("logs", "e1"): 0.0}, "another entry's changes nothing"
    certificates.hear([record(statement(9))])
    assert certificates.fallen == {}


def test_a_certificate_that_nobody_states_again_falls() -> None:
    """The evidence has no holder any more: what it would withdraw, each worker withdraws by
    itself, once `max_age` has passed and a minute. What is not certified has nothing to lose."""
    now_ms = 0
    certificates = Certificates(
        cast("Any", None), Watcher(), changed=lambda now: None, clock_ms=lambda: now_ms
    )
    certified = replace(statement(5), state=CertificateState.CERTIFIED)
    unknown = replace(statement(5, entry_id="e2"), state=CertificateState.UNCERTIFIED)
    certificates.hear([record(certified), record(unknown)])
    now_ms = 5 + 1_000 + 60_000
    assert certificates.fallen == {}
    now_ms += 1
    assert certificates.fallen == {("logs", "e1"): 0.0}
    certificates.hear([record(replace(certified, at_ms=now_ms))])
    assert certificates.fallen == {}


def certifier(rules: TopicPolicy, watcher: Watcher, last: Statement | None = None) -> Certifier:
    class Stated:
        def last(self, key: tuple[str, str, str]) -> Statement | None:
            return last

    return Certifier(
        cast("Any", None),
        Stated(),
        watcher,
        policy=lambda: Policy(topics=(rules,)),
        model_id=lambda pack: "m1",
        clock_ms=lambda: 10_000,
    )


def found(rules: TopicPolicy, *, is_drop: bool) -> Found:
    epoch = Epoch(
        topic="logs", policy_id=rules.entry_id, model_id="m1", opened_ms=0, closes_ms=10**9
    )
    return Found(epoch=epoch, is_drop=is_drop)


def test_too_many_misses_raise_the_alarm() -> None:
    """Important events that all come from the holdout raise the drift alarm, which stays up and
    is kept with the evidence; those of another policy do not count."""
    notes: dict[str, Any] = {}
    subject = certifier(RULES, Watcher())
    other = replace(RULES, holdout=0.2)
    for _ in range(50):
        subject.found(notes, found(other, is_drop=True))
    assert notes == {}
    for _ in range(50):
        subject.found(notes, found(RULES, is_drop=True))
    (saved,) = notes.values()
    assert saved["alarmed_at"] is not None
    raised_at = saved["alarmed_at"]
    subject.found(notes, found(RULES, is_drop=False))
    (saved,) = notes.values()
    assert (saved["alarmed_at"], saved["events"]) == (raised_at, 51)
    said = subject.statement(EvidenceBook(), notes, "logs", read=({}, 0))
    assert said is not None
    assert (said.state, said.stale_causes) == (CertificateState.STALE, (StaleCause.DRIFT,))


def test_nothing_new_is_not_stated_again() -> None:
    """A state is stated when it changes, and its numbers when the evidence is another."""
    first = certifier(RULES, Watcher()).statement(EvidenceBook(), {}, "logs", read=({}, 0))
    assert first is not None
    again = certifier(RULES, Watcher(), last=first)
    assert again.statement(EvidenceBook(), {}, "logs", read=({}, 0)) is None
    impatient = replace(RULES, target=Target(recall=0.9, max_age_ms=4_000))
    old = replace(first, at_ms=9_000)
    assert certifier(impatient, Watcher(), old).statement(EvidenceBook(), {}, "logs", read=({}, 0))
    without = certifier(replace(RULES, target=None), Watcher())
    assert without.statement(EvidenceBook(), {}, "logs", read=({}, 0)) is None
    assert without.statement(EvidenceBook(), {}, "unknown", read=({}, 0)) is None


def test_the_first_claim_is_of_drops() -> None:
    """While nothing was dropped, nothing can be missed: that is not stated as a certificate."""
    book = EvidenceBook()
    forwarded = (StratumKey(is_drop=False, probability=1.0, slice=""),)
    scores = np.full(40, 0.9, np.float32)
    book.take_block(replace(shown(RULES, scores, number=0, holdout=1.0), strata=forwarded))
    judge(book, 0, range(40), important=True)
    subject = certifier(RULES, Watcher())
    assert subject.statement(book, {}, "logs", read=({}, 0)) is None
    book.take_block(shown(RULES, scores, number=1, holdout=0.1))
    judge(book, 1, range(40), important=False)
    said = subject.statement(book, {}, "logs", read=({}, 0))
    assert said is not None
    assert said.evidence[0].dropped[0].events == 400


def test_a_sign_makes_it_stale_and_goes_down_again() -> None:
    """Scores that are spread otherwise than at first withdraw the certificate without a verdict,
    from the ledger's blocks alone; what is kept with the evidence survives being saved."""
    rules = replace(RULES, signs=SignLimits(score_shift=0.3, window_ms=1_000))
    subject, notes = certifier(rules, Watcher()), dict[str, Any]()
    rng = np.random.default_rng(3)

    def pass_by(seconds: range, low: float, high: float) -> Statement:
        nonlocal notes
        for second in seconds:
            scores = rng.uniform(low, high, 2_000).astype(np.float32)
            subject.passed(notes, block_of(rules, scores, at_ms=1_000 + 1_000 * second))
            desk = Desk(ledger_next={}, verdict_next=0, waiting=(), tally=Tally(), notes=notes)
            notes = dict(decode_desk(encode_desk(desk)).notes)
        said = subject.statement(EvidenceBook(), notes, "logs", read=({}, 0))
        assert said is not None
        return said

    assert not pass_by(range(5), 0.0, 0.5).has_fallen
    fallen = pass_by(range(5, 7), 0.4, 0.9)
    assert (fallen.state, fallen.stale_causes) == (CertificateState.STALE, (StaleCause.SCORES,))
    assert fallen.has_fallen
    assert fallen.signs is not None
    assert fallen.signs.score_shift > 0.6
    assert not contradictions(fallen)
    assert not pass_by(range(7, 10), 0.0, 0.5).has_fallen
    other = certifier(replace(rules, holdout=0.2), Watcher())
    other.passed(notes, block_of(rules, np.full(2_000, 0.9, np.float32), at_ms=20_000))
    begun = other.statement(EvidenceBook(), notes, "logs", read=({}, 0))
    assert begun is not None
    assert begun.signs == Readings(), "another entry of the policy begins anew"
    without = certifier(replace(rules, signs=None), Watcher())
    said = without.statement(EvidenceBook(), notes, "logs", read=({}, 0))
    assert said is not None
    assert said.signs is None


def block_of(rules: TopicPolicy, score: NDArray[np.float32], *, at_ms: int) -> Block:
    """A block of one partition, decided by score alone."""
    rows = len(score)
    return Block(
        header=BlockHeader(
            topic="logs",
            partition=0,
            first_offset=0,
            last_offset=rows - 1,
            rows=rows,
            policy_id="p",
            model_id="m1",
            mask_set="masks-2",
            worker="w",
            delivery="exactly_once",
            first_timestamp_ms=0,
            last_timestamp_ms=0,
            decided_at_ms=at_ms,
            entry_id=rules.entry_id,
        ),
        offsets=np.arange(rows),
        text_digests=np.arange(1, rows + 1, dtype=np.uint64) % np.uint64(7) + np.uint64(1),
        decisions=decide(
            score,
            decodable=np.ones(rows, np.bool_),
            readable=np.ones(rows, np.bool_),
            thresholds=rules.thresholds,
        ),
    )


def test_a_fall_widens_once_its_verdicts_support_a_threshold() -> None:
    """From the last drop on all is shown: sixty important verdicts later the threshold is stated,
    with the share that is forwarded, and it stays until the certificate stands again."""
    rules = replace(RULES, target=Target(recall=0.95, on_failure=OnFailure.WIDEN))
    notes: dict[str, Any] = {}
    subject = certifier(rules, Watcher())
    for _ in range(50):
        subject.found(notes, found(rules, is_drop=True))
    book = EvidenceBook()
    scores = np.linspace(0.1, 0.9, 120, dtype=np.float32)
    book.take_block(shown(rules, scores[:40], number=0, holdout=0.1))
    judge(book, 0, range(40), important=True)
    fallen = subject.statement(book, notes, "logs", read=({}, 0))
    assert fallen is not None
    assert fallen.has_fallen
    assert (fallen.widened, fallen.drops_below) == (None, 0.0), "what came before says nothing"
    subject = certifier(rules, Watcher(), last=fallen)
    book.take_block(shown(rules, scores, number=1, holdout=1.0))
    judge(book, 1, range(0, 116, 2), important=True)
    judge(book, 1, range(1, 116, 2), important=False)
    assert subject.statement(book, notes, "logs", read=({}, 0)) is None, "58 are too few"
    judge(book, 1, range(116, 120), important=True)
    widened = subject.statement(book, notes, "logs", read=({}, 0))
    assert widened is not None
    assert widened.widened == Widening(
        drop_below=float(scores[0]), forwarded_share=1.0, important=62
    )
    assert widened.drops_below == float(scores[0])
    assert decode_statement(encode_statement(widened)) == widened
    again = certifier(rules, Watcher(), last=replace(widened, at_ms=0))
    book.take_block(shown(rules, scores, number=2, holdout=0.1))
    kept = again.statement(book, notes, "logs", read=({}, 0))
    assert kept is not None
    assert kept.widened == widened.widened, "drops go on below it, and it is not sought again"
    ended = again.statement(EvidenceBook(), {}, "logs", read=({}, 0))
    assert ended is not None
    assert (ended.has_fallen, ended.widened) == (False, None)


def shown(
    rules: TopicPolicy, score: NDArray[np.float32], *, number: int, holdout: float
) -> BlockEvidence:
    """A block of would-be drops that the analyst was shown."""
    size = len(score)
    return BlockEvidence(
        epoch=Epoch(
            topic="logs", policy_id=rules.entry_id, model_id="m1", opened_ms=0, closes_ms=10**9
        ),
        partition=0,
        offsets=(1_000 * number, 1_000 * number + 1_000),
        at_ms=1_000 * number,
        strata=(StratumKey(is_drop=True, probability=holdout, slice=""),),
        events=np.array([size if holdout == 1.0 else 10 * size]),
        folded=np.array([0]),
        ids=np.frombuffer(b"".join(event_id(number, n) for n in range(size)), np.uint8).reshape(
            -1, 16
        ),
        stratum=np.zeros(size, np.int16),
        score=score,
    )


def event_id(number: int, event: int) -> bytes:
    return (1_000 * number + event).to_bytes(16, "big")


def judge(book: EvidenceBook, number: int, events: range, *, important: bool) -> None:
    for event in events:
        at = 1_000 * number + event
        book.take_verdict(
            OracleVerdict(
                event_id=event_id(number, event),
                important=important,
                judge=Judge("model", is_person=False),
                repeat=0,
                offset=at,
                at_ms=at,
            )
        )
