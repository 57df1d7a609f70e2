"""What `check` says of a policy and the topics that are there."""

from dataclasses import replace
from pathlib import Path

import pytest

from stream_filter.app.cluster import short_retentions, starved_limits, target_topics
from stream_filter.app.policy_file import load_policy
from stream_filter.app.settings import load_settings

BUDGET = """\
version: 1
defaults: {model: p, format: text, raw: {drop_below: 0.2, keep_above: 0.8}}
budgets: {llm.analysis: {per_minute: 6}}
topics:
  a: {budget: {per_minute: 4, per_day: 100, overflow: widen}}
  b: {forward_to: {important: pages, default: llm.analysis}}
"""


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        ({"a": 4, "b": 2}, []),
        ({"a": 5, "b": 1}, ["budget of 'a': 4 events in 1m"]),
        ({"a": 4, "b": 3}, ["budget of 'b': 6 events in 1m"]),
        ({}, []),
    ],
)
def test_a_limit_too_small_to_be_shared_out_is_named(
    tmp_path: Path, sources: dict[str, int], said: list[str]
) -> None:
    """A limit that leaves nothing for a partition is told, with topic, amount and time."""
    (tmp_path / "policy.yaml").write_text(BUDGET)
    policy = load_policy(tmp_path / "policy.yaml")
    found = list(starved_limits(policy, sources))
    assert [line.split(" leave nothing")[0] for line in found] == said


def test_a_policy_that_defers_needs_the_deferred_topic(tmp_path: Path) -> None:
    """The deferred topic is among those that must be there only where records may go to it."""
    (tmp_path / "policy.yaml").write_text(BUDGET)
    settings = load_settings(None, {})
    policy = load_policy(tmp_path / "policy.yaml")
    assert settings.deferred_topic in target_topics(policy, settings), "b shares a budget"
    assert {"pages", "llm.analysis"} <= set(target_topics(policy, settings))
    (only_a, _) = policy.topics
    widening = replace(policy, topics=(only_a,))
    assert settings.deferred_topic not in target_topics(widening, settings)


UNDOABLE = """\
version: 1
defaults: {model: p, format: text, raw: {drop_below: 0.2, keep_above: 0.8}, undo_for: 7d}
topics:
  a: {}
  b: {undo_for: 1h}
  c: {undo_for: null}
  "d.*": {}
"""


def test_a_source_that_forgets_before_undo_for_is_named(tmp_path: Path) -> None:
    """Each topic is held to its own entry: as long is long enough, null asks for nothing, and what
    no entry covers is nobody's."""
    (tmp_path / "policy.yaml").write_text(UNDOABLE)
    policy = load_policy(tmp_path / "policy.yaml")
    hour_ms = 60 * 60 * 1000
    found = list(short_retentions(policy, dict.fromkeys(("a", "b", "c", "d.x", "e"), hour_ms)))
    assert [line.split(" keeps")[0] for line in found] == ["'a'", "'d.x'"]
    assert "for 1h, and drops are to be undoable for 7d" in found[0]
    assert not list(short_retentions(policy, {"a": 7 * 24 * hour_ms}))
