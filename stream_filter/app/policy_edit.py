"""Writing calibrated thresholds into a policy file, with what they were calibrated for, and
nothing else: comments, order and layout stay."""

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal
from pathlib import Path
from typing import Any

from stream_filter.app.policy_file import freeze_policy
from stream_filter.app.target_model import calibration_values
from stream_filter.app.yaml_edit import with_entries
from stream_filter.app.yaml_lines import parse_yaml, read_yaml
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy, Thresholds, TopicPolicy
from stream_filter.core.targets import CalibratedFor


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


def policy_to_calibrate(path: Path, topic: str) -> Policy:
    """The policy as if the topic had never been calibrated: what it was calibrated for may no
    longer be in force, which is why it is calibrated again. Raises ConfigError."""
    document = read_yaml(path)
    for block in (document.values.get("defaults"), _entry(document.values, topic)):
        if isinstance(block, dict):
            block.pop("calibration", None)
    return freeze_policy(document)


def write_calibration(
    path: Path,
    topic: str,
    thresholds: Thresholds,
    bound: CalibratedFor,
    known: Mapping[str, Mapping[str, Any]] | None = None,
) -> Policy:
    """Put thresholds in force for one topic of a policy file, with what they were calibrated for,
    in one step, and return the policy that it then holds. Where the topic takes them from
    `defaults`, it gets its own; where it has no target, that of the calibration. `known`: more
    entries of the topic to set, whole, like a holdout's measured rate.

    Raises ConfigError where the file is no policy, has no such topic, is not writable, or is laid
    out so that an edit would change more than this: then it is left as it is.
    """
    before = policy_to_calibrate(path, topic)
    rules = rules_of(before, topic, path)
    entries: dict[str, Mapping[str, Any]] = {**(known or {})}
    if rules.target is None:
        entries["target"] = {
            "recall": bound.recall,
            "failure_probability": bound.failure_probability,
        }
    entries["calibration"] = calibration_values(bound)
    text = path.read_bytes().decode("utf-8")  # as it stands: line ends and byte order mark too
    numbers = {"drop_below": thresholds.drop_below, "keep_above": thresholds.keep_above}
    edited = with_entries(text, topic, numbers, entries)
    if edited is None:
        raise _by_hand(path, topic, thresholds)
    after = freeze_policy(parse_yaml(str(path), edited.encode()))
    if not _differs_only_in(topic, after, before, thresholds, bound):
        raise _by_hand(path, topic, thresholds)
    _replace(path, edited)
    return after


def _entry(values: Mapping[str, Any], topic: str) -> Any:
    topics = values.get("topics")
    return topics.get(topic) if isinstance(topics, dict) else None


def _differs_only_in(
    topic: str, after: Policy, before: Policy, thresholds: Thresholds, bound: CalibratedFor
) -> bool:
    """Whether the edit did what it should: these thresholds and this binding in that topic, with
    what may follow from them, and nothing elsewhere but the id of a pack that it shares."""
    if [r.topic for r in after.topics] != [r.topic for r in before.topics]:
        return False
    for new, old in zip(after.topics, before.topics, strict=True):
        expected = replace(old, model_id=new.model_id)
        if old.topic == topic:
            if new.thresholds != thresholds or new.calibrated_for != bound:
                return False
            expected = replace(
                expected,
                thresholds=thresholds,
                calibrated_for=bound,
                is_uncalibrated=False,
                target=old.target or new.target,
                holdout=new.holdout,
                certify_within=new.certify_within,
            )
        if new != expected:
            return False
    return True


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text.encode("utf-8"))
        draft.chmod(path.stat().st_mode & 0o7777)
        draft.replace(path.resolve())
    finally:
        draft.unlink(missing_ok=True)


def _by_hand(path: Path, topic: str, thresholds: Thresholds) -> ConfigError:
    return ConfigError(
        f"{path}: topics.{topic}.raw: cannot be changed without changing more (an alias?): write "
        f"drop_below: {thresholds.drop_below!r}, keep_above: {thresholds.keep_above!r} by hand"
    )
