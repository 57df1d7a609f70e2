"""Changing thresholds in a policy file and nothing else: comments, order and layout stay."""

import os
import tempfile
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path

import yaml

from stream_filter.app.policy_file import load_policy
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy, Thresholds, TopicPolicy


def rules_of(policy: Policy, topic: str, path: Path) -> TopicPolicy:
    """The rules that stand under this name. Raises ConfigError where there are none."""
    for rules in policy.topics:
        if rules.topic == topic:
            return rules
    known = ", ".join(rules.topic for rules in policy.topics)
    raise ConfigError(f"{path}: topics.{topic}: is not in the policy: it has {known}")


def written_threshold(threshold: float) -> float:
    """A threshold as it is written: five digits, and lower rather than higher.

    Scores travel with six digits (`sf-score`), so a label may stand a little above the score that
    the gate compares; lowering the threshold by as much forwards more, never less.
    """
    lowered = Decimal(repr(threshold * (1.0 - 1e-5)))
    digits = lowered.adjusted() - 4 if lowered else 0
    return float(lowered.quantize(Decimal(1).scaleb(digits), rounding=ROUND_FLOOR))


def write_thresholds(path: Path, topic: str, thresholds: Thresholds) -> Policy:
    """Put `raw` thresholds in force for one topic of a policy file, in one step, and return the
    policy that it then holds. Where the topic takes them from `defaults`, it gets its own.

    Raises ConfigError where the file is no policy, has no such topic, is not writable, or is laid
    out so that an edit would change more than this: then it is left as it is.
    """
    before = load_policy(path)
    rules = rules_of(before, topic, path)
    text = path.read_bytes().decode("utf-8")  # as it stands: line ends and byte order mark too
    edited = _edited(text, topic, thresholds, path)
    expected = Policy(
        topics=tuple(
            replace(other, thresholds=thresholds) if other is rules else other
            for other in before.topics
        )
    )
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(edited.encode("utf-8"))
        draft.chmod(path.stat().st_mode & 0o7777)
        if load_policy(draft) != expected:
            raise _by_hand(path, topic, thresholds)
        draft.replace(path.resolve())
    finally:
        draft.unlink(missing_ok=True)
    return expected


def _edited(text: str, topic: str, thresholds: Thresholds, path: Path) -> str:
    mark = 1 if text.startswith("\ufeff") else 0
    root = yaml.compose(text[mark:], yaml.SafeLoader)
    block = _value(_value(root, "topics"), topic)
    raw = _value(block, "raw")
    written = f"{{drop_below: {thresholds.drop_below!r}, keep_above: {thresholds.keep_above!r}}}"
    if not isinstance(block, yaml.MappingNode):
        raise _by_hand(path, topic, thresholds)
    start, end = block.start_mark.index, block.end_mark.index
    if raw is None:
        first = block.start_mark
        if block.flow_style:
            replacements = [(start + 1, start + 1, f"raw: {written}, ")]
        else:
            line_end = "\r\n" if "\r\n" in text else "\n"
            indent = " " * first.column
            replacements = [(start, start, f"raw: {written}{line_end}{indent}")]
    else:
        drop, keep = _value(raw, "drop_below"), _value(raw, "keep_above")
        nodes = (raw, drop, keep)
        # An alias (`raw: *usual`) has the place of what it stands for: an edit would go there.
        if any(n is None or not start <= n.start_mark.index <= end for n in nodes):
            raise _by_hand(path, topic, thresholds)
        replacements = [
            (node.start_mark.index, node.end_mark.index, repr(value))
            for node, value in ((drop, thresholds.drop_below), (keep, thresholds.keep_above))
            if node is not None
        ]
    edited = text[mark:]
    for begin, stop, new in sorted(replacements, reverse=True):
        edited = edited[:begin] + new + edited[stop:]
    return text[:mark] + edited


def _value(node: yaml.Node | None, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    for key_node, value in node.value:
        if isinstance(key_node, yaml.ScalarNode) and key_node.value == key:
            return value  # type: ignore[no-any-return]  # PyYAML has no types
    return None


def _by_hand(path: Path, topic: str, thresholds: Thresholds) -> ConfigError:
    return ConfigError(
        f"{path}: topics.{topic}.raw: cannot be changed without changing more (an alias?): write "
        f"drop_below: {thresholds.drop_below!r}, keep_above: {thresholds.keep_above!r} by hand"
    )
