"""One topic of a policy changed, and what differs between two policies."""

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.app.policy_documents import changes, read_policy, topic_text, with_topic
from stream_filter.core.errors import ConfigError

WHOLE = """\
version: 1
# a comment
defaults: {model: p, raw: {drop_below: 0.2, keep_above: 0.8}, mode: enforce}
topics:
  a: {text: "{m}"}
  b.*: {format: text, holdout: 0.5}
"""
GIVEN = """\
version: 1
defaults: {model: q, raw: {drop_below: 0.1, keep_above: 0.9}}
topics:
  a: {text: "{level}"}
  c: {format: text}
"""
entries = st.fixed_dictionaries(
    {"text": st.sampled_from(["{a}", "{b}"]), "model": st.sampled_from("pq")},
    optional={"mode": st.sampled_from(["shadow", "enforce"]), "holdout": st.sampled_from([0, 0.5])},
)
policies = st.dictionaries(st.sampled_from(["a", "b", "c*"]), entries, min_size=1).map(
    lambda topics: {
        "version": 1,
        "topics": {
            name: {**rules, "raw": {"drop_below": 0.1, "keep_above": 0.9}}
            for name, rules in topics.items()
        },
    }
)


def test_one_topic_of_a_file_replaces_that_topic_alone() -> None:
    """Neither file's defaults act on the other's topics."""
    whole, given_file = read_policy("whole", WHOLE), read_policy("given", GIVEN)
    merged = with_topic(whole, given_file, "a")
    assert merged.policy.for_topic("a") == given_file.policy.for_topic("a")
    assert merged.policy.for_topic("b.x") == whole.policy.for_topic("b.x")
    assert [rules.topic for rules in merged.policy.topics] == ["a", "b.*"]
    added = with_topic(whole, given_file, "c")
    assert [rules.topic for rules in added.policy.topics] == ["a", "b.*", "c"]
    assert added.policy.for_topic("c") == given_file.policy.for_topic("c")


@given(policies, policies)
def test_a_merge_takes_one_topic_and_leaves_the_others(whole: Any, given_file: Any) -> None:
    """Whatever the two policies are."""
    first = read_policy("whole", yaml.safe_dump(whole, sort_keys=False))
    second = read_policy("given", yaml.safe_dump(given_file, sort_keys=False))
    for topic in given_file["topics"]:
        merged = {r.topic: r for r in with_topic(first, second, topic).policy.topics}
        assert merged.pop(topic) == next(r for r in second.policy.topics if r.topic == topic)
        assert merged == {r.topic: r for r in first.policy.topics if r.topic != topic}


def test_a_topic_that_the_file_has_not_is_named_with_those_it_has() -> None:
    """The way out stands in the line."""
    whole, given_file = read_policy("whole", WHOLE), read_policy("given", GIVEN)
    with pytest.raises(ConfigError, match=r"given: topics: has no 'b\.\*': name one of a, c"):
        with_topic(whole, given_file, "b.*")
    with pytest.raises(ConfigError, match="name one of"):
        topic_text(whole, "nowhere")


@given(policies, policies)
def test_no_difference_means_the_same_policy(one: Any, other: Any) -> None:
    """Two policies without a difference have one id; a policy has none from itself."""
    assert changes(one, one) == []
    if not changes(one, other):
        first, second = (read_policy("p", yaml.safe_dump(p, sort_keys=False)) for p in (one, other))
        assert first.policy.policy_id == second.policy.policy_id


def test_a_difference_names_the_key_and_both_values() -> None:
    """Also topics that come and go, values that come from defaults, and the order of globs."""
    whole = yaml.safe_load(WHOLE)
    other = yaml.safe_load(WHOLE)
    other["defaults"]["raw"]["drop_below"] = 0.3
    other["topics"]["a"]["mode"] = "shadow"
    del other["topics"]["b.*"]
    other["topics"]["c"] = {"format": "text", "model": "p"}
    shown = [str(change) for change in changes(whole, other)]
    assert "~ topics.a.raw.drop_below: 0.2 → 0.3" in shown
    assert "~ topics.a.mode: enforce → shadow" in shown
    assert any(line.startswith("- topics.b.*: {") for line in shown)
    assert any(line.startswith("+ topics.c: {") for line in shown)
    swapped = {**whole, "topics": dict(reversed(whole["topics"].items()))}
    assert [change.key for change in changes(whole, swapped)] == ["order of topics"]
