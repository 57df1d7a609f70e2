"""The rules of one topic, from --policy and --topic."""

from pathlib import Path

import click

from stream_filter.app.policy_edit import rules_of
from stream_filter.app.policy_file import load_policy
from stream_filter.core.policy import TopicPolicy


def topic_rules(policy_path: Path | None, topic: str | None) -> TopicPolicy | None:
    """None without a policy. Raises ConfigError, UsageError where no one topic is meant."""
    if policy_path is None:
        if topic is not None:
            raise click.UsageError("--topic is a topic of a --policy")
        return None
    policy = load_policy(policy_path)
    topic = topic or policy.only_topic
    if topic is None:
        raise click.UsageError("the policy has several topics: give --topic")
    return rules_of(policy, topic, policy_path)
