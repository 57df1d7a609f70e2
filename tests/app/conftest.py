"""What the tests of policy file and settings build on."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_filter.app.gate_assembly import assemble_gate
from stream_filter.app.rehearsal import UnwrittenLedger
from stream_filter.app.settings import load_settings
from stream_filter.core.policy import Policy
from stream_filter.gate.gate import Gate
from stream_filter.models.fixed_scorer import FixedScorer

GOOD_POLICY = """\
version: 1
topics:
  payments.logs:
    text: "{level} {message}"
    model: triage-starter
    raw: {drop_below: 0.2, keep_above: 0.8}
"""


@pytest.fixture
def good_policy() -> str:
    """A policy file of seven lines without a fault; its topic's keys are indented by four."""
    return GOOD_POLICY


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str | bytes], Path]:
    """Writes a file and gives its path."""

    def write_file(content: str | bytes) -> Path:
        path = tmp_path / "file.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without any setting of ours."""
    for name in list(os.environ):
        if name.startswith("STREAM_FILTER_"):
            monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture
def fixed_gate(clean_environment: pytest.MonkeyPatch) -> Callable[..., Gate]:
    """Makes a gate on a policy; its scorer knows these canonical texts, all others score 0.5."""

    def make(policy: Policy, scores: dict[str, float]) -> Gate:
        scorer = FixedScorer(scores, default=0.5)
        return assemble_gate(
            policy,
            load_settings(None, {}),
            scorers={rules.model: scorer for rules in policy.topics},
            delivery="none",
            codec=UnwrittenLedger(),
            clock_ms=lambda: 0,
        )

    return make
