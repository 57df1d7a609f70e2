"""What a policy that uses everything adds to a topic: 20 rules, novelty, folds and a budget.

The rules read four fields, the key and the timestamp. Most of them match nothing, as most rules
of a real policy do on most events; those that match decide about one event in six. The budget
refuses about half of what asks for it.
"""

from __future__ import annotations

from typing import Any

_NEVER = [
    'level == "FATAL" && source.startsWith("Never")',
    'component.endsWith(".shuffle.NoSuchHandler")',
    'message.matches("^(segfault|oops|panic): [0-9a-f]+ at .*$")',
    'source in ["kafka", "nginx", "envoy", "postgres"]',
    "has(event.status) && int(status) >= 500",
    "size(message) > 4000",
    'message.contains("certificate has expired") && level != "INFO"',
    'key == "tenant-17" || key == "tenant-42"',
    'timestamp < timestamp("2001-01-01T00:00:00Z")',
    'message.matches("(?i)unauthori[sz]ed .* from [0-9.]+ port 22$")',
    '!has(event.message) || message == ""',
    'component == "scheduler" && message.endsWith("deadline exceeded")',
    'level in ["EMERG", "ALERT"] || message.startsWith("CRITICAL:")',
    'message.contains("out of disk") || message.contains("No space left on device")',
    'source == "Zookeeper" && message.contains("split brain")',
    'message.matches("replica [0-9]+ of [a-z]+ is lost")',
]
_SOMETIMES = [
    ('source == "HDFS" && message.startsWith("PacketResponder")', "drop"),
    ('source == "Proxifier" && message.contains("bytes sent")', "drop"),
    ('level == "DEBUG" || source == "HealthApp"', "drop"),
    ('source == "BGL" && message.contains("machine check interrupt")', "keep"),
]


def full_policy() -> dict[str, Any]:
    """The keys to add to a topic of the policy."""
    rules = [{"name": f"never-{i}", "when": when, "then": "keep"} for i, when in enumerate(_NEVER)]
    rules += [{"when": when, "then": then} for when, then in _SOMETIMES]
    return {
        "rules": rules,
        "novelty": {"forward_first": 3},
        "fold": {"window": "10s", "keep": 5},
        "budget": {"per_minute": 20_000, "overflow": "defer"},
    }
