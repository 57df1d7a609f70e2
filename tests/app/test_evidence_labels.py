"""Labels from the evidence: each with its chance, and silence counts against the gate."""

from dataclasses import replace

import numpy as np
import pytest

from stream_filter.app.evidence_labels import labels_of
from stream_filter.core.block_evidence import BlockEvidence, StratumKey
from stream_filter.core.epochs import Epoch
from stream_filter.core.errors import ConfigError
from stream_filter.core.evidence_book import EvidenceBook
from stream_filter.core.oracle import Judge, OracleVerdict
from stream_filter.core.policy import Format, Mode, Policy, Thresholds, TopicPolicy
from stream_filter.core.targets import Target

RULES = TopicPolicy(
    topic="logs*",
    format=Format.TEXT,
    text=None,
    model="pack",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.1,
    forward_to="llm.analysis",
    target=Target(patience_ms=1),
)
POLICY = Policy(topics=(RULES,))


def event_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


def block(number: int, *, model_id: str = "m1", topic: str = "logs") -> BlockEvidence:
    """A kept event, a held-out drop, and a drop by a rule without a score, in second `number`."""
    ids = np.frombuffer(b"".join(event_id(10 * number + n) for n in range(3)), np.uint8)
    return BlockEvidence(
        epoch=Epoch(topic=topic, policy_id="e", model_id=model_id, opened_ms=0, closes_ms=10**9),
        partition=0,
        offsets=(100 * number, 100 * number + 100),
        at_ms=1_000 * number,
        strata=(StratumKey(False, 1.0, ""), StratumKey(True, 0.1, "")),
        events=np.array([1, 99]),
        folded=np.array([0, 0]),
        ids=ids.reshape(3, 16),
        stratum=np.array([0, 1, 1], np.int16),
        score=np.array([0.9, 0.1, np.nan], np.float32),
    )


def verdict(number: int, *, important: bool, offset: int) -> OracleVerdict:
    return OracleVerdict(
        event_id=event_id(number),
        important=important,
        judge=Judge("model", is_person=False),
        repeat=0,
        offset=offset,
        at_ms=offset,
    )


def test_each_label_has_its_chance_and_silence_counts_against_us() -> None:
    """What was judged is a label; what was left out for longer than the patience is one against
    the gate; what still waits is none yet."""
    book = EvidenceBook()
    for number in range(4):
        book.take_block(block(number))
    book.take_verdict(verdict(0, important=True, offset=1))
    book.take_verdict(verdict(21, important=False, offset=2))
    labels = labels_of(book, POLICY, RULES)
    assert labels.probabilities is not None
    rows = zip(
        labels.scores.tolist(),
        labels.important.tolist(),
        labels.probabilities.tolist(),
        strict=True,
    )
    kept, drop = pytest.approx(0.9), pytest.approx(0.1)
    assert list(rows) == [
        (kept, True, 1.0),  # judged
        (drop, True, 0.1),  # silent: a drop is important
        (kept, False, 1.0),  # silent: a kept one is not
        (drop, True, 0.1),
        (drop, False, 0.1),  # judged
    ]
    assert labels.without_score == 2
    assert labels.model_id == "m1"


def test_only_the_newest_packs_scores_count() -> None:
    """Scores of two packs are not mixed, and other topics' not taken."""
    book = EvidenceBook()
    book.take_block(block(0, model_id="m0"))
    book.take_block(block(1, topic="elsewhere"))
    book.take_block(block(2))
    for place, number in enumerate((0, 1, 10, 11, 20, 21)):
        book.take_verdict(verdict(number, important=True, offset=place))
    labels = labels_of(book, POLICY, RULES)
    assert (labels.model_id, len(labels.scores)) == ("m1", 2)
    again = labels_of(book, POLICY, RULES)
    assert again.labels_id == labels.labels_id


def test_nothing_to_calibrate_by_is_said() -> None:
    """Without evidence, or without a drop among it, there is one clear error."""
    with pytest.raises(ConfigError, match="no event of it was shown"):
        labels_of(EvidenceBook(), POLICY, RULES)
    book = EvidenceBook()
    only_kept = replace(
        block(0),
        ids=block(0).ids[:1],
        stratum=np.array([0], np.int16),
        score=np.array([0.9], np.float32),
    )
    book.take_block(only_kept)
    book.take_verdict(verdict(0, important=True, offset=0))
    with pytest.raises(ConfigError, match="no would-be drop"):
        labels_of(book, POLICY, RULES)
