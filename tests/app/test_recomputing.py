"""A decision made again from its record."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from stream_filter.app.policy_file import load_policy
from stream_filter.app.recomputing import Recomputer, decision_at, obstacle
from stream_filter.app.rehearsal import RehearsedRecord, rehearsal_gate, with_all_topics
from stream_filter.app.settings import load_settings
from stream_filter.core.decision import Reason
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy
from stream_filter.gate.batch import RecordBatch

REPO = Path(__file__).parents[2]
SETTINGS = load_settings(None, {"key": "test", "model_dir": REPO / "models"})
N = 60


@dataclass(frozen=True, slots=True)
class Decided:
    """What a gate with state decided of a batch."""

    policy: Policy
    block: Block
    records: list[RehearsedRecord]


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Decided:
    path = tmp_path_factory.mktemp("policy") / "policy.yaml"
    rules = {
        "text": "{service} {message}",
        "model": "triage-starter",
        "raw": {"drop_below": 0.5, "keep_above": 0.9},
        "mode": "enforce",
        "holdout": 0.3,
        "ramp": 80,
        "novelty": {"forward_first": 5},
        "fold": {"window": "60s", "keep": 1},
        "rules": [{"name": "health", "when": 'message == "health check"', "then": "drop"}],
    }
    path.write_bytes(orjson.dumps({"version": 1, "topics": {"logs": rules}}))
    policy = load_policy(path)
    messages = ["cache hit", "health check", "card declined: out of memory", "user 7 came", ""]
    records = [
        RehearsedRecord(
            offset=n,
            timestamp=1_764_000_000_000 + n,
            value=orjson.dumps({"service": "pay", "message": messages[n % 5]})
            if n % 7
            else b"no json",
        )
        for n in range(N)
    ]
    gate = rehearsal_gate(policy, SETTINGS, clock_ms=lambda: 1_764_000_100_000)
    memory, _ = gate.recall("logs", 0, {}, up_to=0)
    batch = RecordBatch(topic="logs", partition=0, first_offset=0, next_offset=N, records=records)
    block = gate.process(batch, {}, memory).block
    # The gate of a rehearsal is never overloaded, which its policy's id says.
    header = replace(block.header, policy_id=policy.policy_id)
    return Decided(with_all_topics(policy), replace(block, header=header), records)


def test_every_decision_comes_out_again(decided: Decided) -> None:
    """By the record alone, whatever novelty, folds and batches were about it."""
    reasons = {Reason(code) for code in decided.block.decisions.reason.tolist()}
    assert {Reason.NOVEL, Reason.DUPLICATE, Reason.SHADOW, Reason.UNDECODABLE} <= reasons
    assert obstacle(decided.policy, decided.block) is None
    recomputer = Recomputer(decided.policy, SETTINGS)
    for row, record in enumerate(decided.records):
        (again,) = recomputer.recompute(decided.block, [row], [record])
        assert again.differences == (), (row, decision_at(decided.block, row), again.decision)
    rows = list(range(0, N, 3))
    some = recomputer.recompute(decided.block, rows, [decided.records[row] for row in rows])
    assert [again.differences for again in some] == [()] * len(rows)


@pytest.mark.parametrize("name", ["verdict", "reason", "route", "score", "text_digests"])
def test_what_was_recorded_otherwise_is_said(decided: Decided, name: str) -> None:
    """A row that says something else than what is recomputed is named, with both."""
    row = next(
        r for r, code in enumerate(decided.block.decisions.reason) if code == Reason.BELOW_THRESHOLD
    )
    block = decided.block
    holder: Any = block if name == "text_digests" else block.decisions
    values = getattr(holder, name).copy()
    values[row] = np.float32(0.123) if name == "score" else 0
    if name == "reason":
        values[row] = Reason.IMPORTANT
    changed = {name: values}
    block = (
        replace(block, **changed)
        if holder is block
        else replace(block, decisions=replace(block.decisions, **changed))
    )
    (again,) = Recomputer(decided.policy, SETTINGS).recompute(block, [row], [decided.records[row]])
    assert [d.split(":")[0] for d in again.differences] == [name.removesuffix("s")]


def test_another_policy_makes_nothing_again(decided: Decided) -> None:
    """It is named, not guessed."""
    other = with_all_topics(decided.policy, holdout=0.2)
    assert "decided, and the one given is" in (obstacle(other, decided.block) or "")
