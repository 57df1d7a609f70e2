"""Policies as documents: one topic changed in a whole, and what differs between two."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stream_filter.app.policy_file import freeze_policy, with_defaults
from stream_filter.app.yaml_lines import Place, parse_yaml, read_yaml
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocument:
    """A policy with the text that says it."""

    name: str
    """Where it is from: a file, or a record of the policy topic."""
    text: str
    values: Mapping[str, Any]
    """As written, defaults apart."""
    policy: Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A key that differs. None: not there."""

    key: str
    before: Any
    after: Any

    def __str__(self) -> str:
        if self.before is None:
            return f"+ {self.key}: {_shown(self.after)}"
        if self.after is None:
            return f"- {self.key}: {_shown(self.before)}"
        return f"~ {self.key}: {_shown(self.before)} → {_shown(self.after)}"


def read_policy(name: str, text: str) -> PolicyDocument:
    """Validate a policy's text. Raises ConfigError, each line beginning with `name`."""
    document = parse_yaml(name, text.encode())
    return PolicyDocument(
        name=name, text=text, values=document.values, policy=freeze_policy(document)
    )


def load_document(path: Path) -> PolicyDocument:
    """Read and validate a file. Raises ConfigError."""
    document = read_yaml(path)
    return PolicyDocument(
        name=str(path),
        text=path.read_text(encoding="utf-8-sig"),
        values=document.values,
        policy=freeze_policy(document),
    )


def with_topic(whole: PolicyDocument, given: PolicyDocument, topic: str) -> PolicyDocument:
    """`whole` with the entry `topic` of `given` in place of its own, or at its end.

    Defaults are written into each topic, so that neither file's act on the other's topics; all
    else outside `topics` is that of `whole`. Raises ConfigError where `given` has no such entry.
    """
    entries = with_defaults(dict(given.values))["topics"]
    if topic not in entries:
        raise ConfigError(
            f"{given.name}: topics: has no {topic!r}: name one of {', '.join(sorted(entries))}"
        )
    values = with_defaults(dict(whole.values))
    values.pop("defaults", None)
    values["topics"] = {**values["topics"], topic: entries[topic]}
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return read_policy(f"{whole.name} with {topic} of {given.name}", text)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """What differs, key by key, defaults written into each topic; and the order of the topics,
    which decides between globs."""
    found = list(_changes((), _resolved(before), _resolved(after)))
    old, new = (list(_resolved(values).get("topics", ())) for values in (before, after))
    kept = [[name for name in side if name in old and name in new] for side in (old, new)]
    if kept[0] != kept[1]:
        found.append(Change(key="order of topics", before=kept[0], after=kept[1]))
    return found


def topic_text(document: PolicyDocument, topic: str) -> str:
    """One entry as YAML, defaults written into it. Raises ConfigError where there is none."""
    entries = with_defaults(dict(document.values))["topics"]
    if topic not in entries:
        raise ConfigError(f"the policy has no {topic!r}: name one of {', '.join(sorted(entries))}")
    return yaml.safe_dump({topic: entries[topic]}, sort_keys=False, allow_unicode=True)


def _resolved(values: Mapping[str, Any]) -> dict[str, Any]:
    resolved = with_defaults(dict(values))
    if isinstance(resolved.get("topics"), dict):
        resolved.pop("defaults", None)
    return resolved


def _changes(place: Place, before: Any, after: Any) -> Iterator[Change]:
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            yield from _changes((*place, name), before.get(name), after.get(name))
    elif before != after:
        yield Change(key=".".join(map(str, place)), before=before, after=after)


def _shown(value: Any) -> str:
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...")
