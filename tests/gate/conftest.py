"""What the gate's tests build on: the real readers and codec, and the scorer's in-memory twin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.core.policy import Format, Mode, Policy, Thresholds, TopicPolicy
from stream_filter.core.template import parse_template
from stream_filter.formats.text_reader import text_reader
from stream_filter.gate.batch import RecordBatch
from stream_filter.gate.gate import Gate, GateConfig
from stream_filter.gate.ports import Scorer
from stream_filter.models.fixed_scorer import FixedScorer
from stream_filter.rules.cel_rules import CelRules
from stream_filter.store.arrow_block import ArrowLedgerCodec
from stream_filter.store.msgpack_memory import MsgpackMemoryCodec

SCORES = {"routine": 0.05, "odd": 0.5, "failure": 0.95}


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A record as a foreign client sends it."""

    offset: int
    value: bytes | None
    timestamp: int = 1_764_000_000_000
    key: bytes | None = None
    headers: Sequence[tuple[str, bytes | None]] = field(default=())


class Away(FixedScorer):
    """A model that gives no score."""

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        raise ScorerError("away")


RULES = TopicPolicy(
    topic="logs",
    format=Format.JSON,
    text=parse_template("{m}"),
    model="fixed",
    model_id=None,
    thresholds=Thresholds(drop_below=0.2, keep_above=0.8),
    mode=Mode.ENFORCE,
    holdout=0.3,
    forward_to="llm.analysis",
)


@pytest.fixture
def rules() -> TopicPolicy:
    """Rules for `logs`: enforce, π = 0.3."""
    return RULES


@pytest.fixture
def record() -> type[Sent]:
    """Makes records."""
    return Sent


@pytest.fixture
def make_gate() -> Callable[..., Gate]:
    """Makes a gate on these rules, with this scorer."""

    def make(
        rules: TopicPolicy = RULES,
        scorer: Scorer | None = None,
        scorers: Mapping[str, Scorer] | None = None,
        **config: int,
    ) -> Gate:
        return Gate(
            GateConfig(
                policy=Policy(topics=(rules, replace(rules, topic="other.*"))),
                key=b"secret",
                worker="gate-1",
                delivery="exactly_once",
                dead_letter_topic="dead",
                deferred_topic="deferred",
                cache_bytes=config.get("cache_bytes", 1 << 20),
            ),
            scorers={
                "fixed": scorer or FixedScorer(SCORES, default=0.5, model_id="fixed-1"),
                **(scorers or {}),
            },
            make_rules=CelRules,
            make_reader=text_reader,
            codec=ArrowLedgerCodec(),
            memory_codec=MsgpackMemoryCodec(),
            clock_ms=lambda: 1_764_000_001_000,
        )

    return make


@pytest.fixture
def batch_of() -> Callable[[Sequence[Sent]], RecordBatch]:
    """Makes a batch of consecutive records of partition 3 of `logs`."""

    def make(records: Sequence[Sent]) -> RecordBatch:
        return RecordBatch(
            topic="logs",
            partition=3,
            first_offset=records[0].offset,
            next_offset=records[-1].offset + 1,
            records=records,
        )

    return make
