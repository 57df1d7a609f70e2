"""What is stated follows from the evidence that it names, and who alters either is found out."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.certificate import CertificateState, StaleCause
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.evidence import EpochEvidence, Stratum
from stream_filter.core.statement import Extent, Statement, contradictions, state
from stream_filter.core.targets import OnFailure, RecallTarget
from stream_filter.store.statement_json import decode_statement, encode_statement

HOUR = 3_600_000
TARGET = RecallTarget(recall=0.9, failure_probability=0.05, max_age_ms=24 * HOUR, slice_floor=0.5)
COUNTS = st.tuples(st.integers(0, 3_000), st.integers(0, 400), st.integers(0, 20))


def evidence(kept: int, found: int, silent: int = 0, *, epoch: int = 0) -> EpochEvidence:
    """So many important events kept, and found in a holdout of one half."""
    shown = found + silent + 10
    return EpochEvidence(
        topic="logs",
        policy_id="e1",
        model_id="m1",
        opened_ms=epoch * HOUR,
        watermark_ms=(epoch + 1) * HOUR,
        is_closed=False,
        dropped=(
            Stratum(
                probability=0.5,
                events=2 * shown,
                shown=shown,
                judged=shown - silent,
                important=found,
                slice="auth",
            ),
        ),
        forwarded=(Stratum(probability=1.0, events=kept, shown=kept, judged=kept, important=kept),),
        last_verdict_ms=(epoch + 1) * HOUR,
    )


def stated(*epochs: EpochEvidence, last: Statement | None = None, **changes: Any) -> Statement:
    values: dict[str, Any] = {"alarms": frozenset(), "now_ms": 2 * HOUR, **changes}
    return state(
        epochs,
        of=("logs", "e1", "m1"),
        target=TARGET,
        on_failure=OnFailure.FORWARD_ALL,
        last=last,
        extent=Extent(ledger_next={0: 7, 3: 1}, verdict_next=9, patience_ms=600_000),
        **values,
    )


@given(st.lists(COUNTS, max_size=3), st.booleans())
def test_a_statement_can_be_recomputed(counts: list[tuple[int, int, int]], alarm: bool) -> None:
    """Whatever the evidence, the statement follows from it, also after a journey as JSON."""
    epochs = [evidence(*each, epoch=n) for n, each in enumerate(counts)]
    alarms = frozenset({StaleCause.DRIFT} if alarm else ())
    found = stated(*epochs, alarms=alarms)
    again = decode_statement(encode_statement(found))
    assert again == found
    assert contradictions(again) == []
    assert found.has_fallen == (found.state in (CertificateState.REFUTED, CertificateState.STALE))


def test_a_new_policy_makes_stale_in_word_only() -> None:
    """A certificate that an order has made void needs no action; a drift beside it does."""
    before = replace(evidence(3_000, 0), policy_id="e0", model_id="m0")
    causes = (StaleCause.PACK, StaleCause.POLICY)
    ordered = stated(before, evidence(10, 0, epoch=1))
    assert (ordered.state, ordered.stale_causes) == (CertificateState.STALE, causes)
    assert not ordered.has_fallen
    drifted = stated(
        before, evidence(10, 0, epoch=1), alarms=frozenset({StaleCause.DRIFT}), last=ordered
    )
    assert drifted.stale_causes == (StaleCause.DRIFT, *causes)
    assert drifted.has_fallen


@pytest.mark.parametrize(
    "altered",
    [
        {"state": CertificateState.CERTIFIED},
        {"evidence": (evidence(5_000, 0),)},
        {"kept_needed": 1},
        {"stale_causes": (StaleCause.AGE,)},
        {"evidence_digest": "0" * 64},
    ],
    ids=lambda altered: next(iter(altered)),
)
def test_an_altered_statement_is_found_out(altered: dict[str, Any]) -> None:
    """A statement that was altered in one place no longer follows."""
    sound = stated(evidence(100, 40))
    assert sound.state is CertificateState.REFUTED
    assert contradictions(sound) == []
    assert contradictions(replace(sound, **altered))


def test_since_when_and_from_what() -> None:
    """A statement knows since when its state holds and what it was before, however often it is
    stated again."""
    first = stated(evidence(10, 0), now_ms=1)
    assert (first.state, first.before, first.since_ms) == (CertificateState.UNCERTIFIED, None, 1)
    good = stated(evidence(3_000, 0), last=first, now_ms=2)
    assert (good.state, good.before, good.since_ms) == (
        CertificateState.CERTIFIED,
        CertificateState.UNCERTIFIED,
        2,
    )
    same = stated(evidence(3_001, 0), last=good, now_ms=3)
    assert (same.before, same.since_ms, same.at_ms) == (CertificateState.UNCERTIFIED, 2, 3)
    drifted = stated(evidence(3_001, 0), last=same, now_ms=4, alarms=frozenset({StaleCause.DRIFT}))
    assert (drifted.state, drifted.before, drifted.has_fallen) == (
        CertificateState.STALE,
        CertificateState.CERTIFIED,
        True,
    )


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"{}",
        b"[1]",
        b"\xff",
        b'{"statement_version":"2"}',
        b"[" * 100_000,
        encode_statement(stated(evidence(1, 0))).replace(b'"judged":1', b'"judged":7'),
        encode_statement(stated(evidence(1, 0))).replace(b'"1"', b'"9"', 1),
    ],
)
def test_what_is_no_statement_is_refused(value: bytes | None) -> None:
    """Anything else than a statement is one clear error."""
    with pytest.raises(StreamFilterError, match="certificate"):
        decode_statement(value)
