"""What can be wrong with a topic's target beside its keys: a threshold that was calibrated for
something else, a holdout that cannot be had. And what is not wrong, but should be known."""

import math
from collections.abc import Iterator
from typing import Any

from stream_filter.app.durations import duration_text
from stream_filter.app.target_model import TARGET_KEYS
from stream_filter.app.yaml_lines import Place, YamlDocument
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.holdout_choice import (
    CertifyWithin,
    choose_holdout,
    drops_forwarded_per_day,
)
from stream_filter.core.policy import Format, Policy, TopicPolicy
from stream_filter.core.targets import Target

RECALIBRATE = (
    "calibrate again (`stream-filter calibrate … --write`), or remove `calibration` and answer "
    "for `raw` yourself"
)


def target_problems(rules: TopicPolicy, document: YamlDocument) -> list[str]:
    """A line for each: file, line, key, and the way out."""
    found = [*_calibration_problems(rules, document), *_holdout_problems(rules)]
    if rules.redact and rules.format is Format.TEXT:
        found.append(("redact", "plain text has no fields: leave it out, or use format: json"))
    if rules.target and rules.target.slices and rules.format is Format.TEXT:
        found.append(("slices", "plain text has no fields: leave it out, or use format: json"))
    if rules.target is None:
        own = document.values["topics"][rules.topic]
        found += [
            (key, "says nothing without a target: give `target: {recall: 0.95}`, or leave it out")
            for key in TARGET_KEYS
            if own.get(key) is not None
        ]
    return [document.problem(_place(rules.topic, key, document), text) for key, text in found]


def target_notes(policy: Policy) -> list[str]:
    """What is in order and forwards more than one may think, or promises less."""
    return [f"topics.{rules.topic}.{note}" for rules in policy.topics for note in _notes(rules)]


def positives_needed(target: Target) -> int:
    """Important events among labels drawn at random, to calibrate anything."""
    return math.ceil(math.log(target.failure_probability) / math.log(target.recall))


def _notes(rules: TopicPolicy) -> Iterator[str]:
    target = rules.target
    if target is None:
        return
    if rules.is_uncalibrated:
        yield (
            f"target: no threshold is calibrated for recall {target.recall:g}: nothing is dropped "
            f"for its score until `stream-filter calibrate … --write`, which needs "
            f"{positives_needed(target):,} important labels or more"
        )
    elif rules.calibrated_for is None:
        yield (
            "raw: chosen by hand: nothing says that it meets the target until a certificate does"
        )
    wanted = rules.certify_within
    if wanted is None:
        return
    within = duration_text(wanted.within_ms)
    if not wanted.is_known:
        yield (
            f"holdout: certify_within {within}: the stream's rate and prevalence are not known: "
            f"{rules.holdout:g} until `calibrate --from-evidence --write` measures them, or you "
            "give them here"
        )
        return
    per_day = drops_forwarded_per_day(wanted, rules.holdout)
    yield (
        f"holdout: {rules.holdout:g} certifies within {within} as likely as not; it forwards up to "
        f"{per_day:,.0f} drops a day"
    )


def _calibration_problems(rules: TopicPolicy, document: YamlDocument) -> Iterator[tuple[str, str]]:
    bound, target = rules.calibrated_for, rules.target
    if bound is None:
        return
    key = "calibration"
    if target is None:
        yield key, "belongs to a target: give `target: {recall: …}`, or remove it"
        return
    if rules.is_uncalibrated:
        yield key, f"belongs to `raw` thresholds, and there are none: {RECALIBRATE}"
        return
    if bound.mask_set != MASK_SET_VERSION:
        yield (
            f"{key}.masks",
            f"the threshold was calibrated on mask set {bound.mask_set!r}, this version reads "
            f"{MASK_SET_VERSION!r}: {RECALIBRATE}",
        )
    if bound.reading_id != rules.reading_id:
        yield (
            f"{key}.reading",
            f"the threshold was calibrated for another `text` or `format` ({bound.reading_id}, "
            f"here it is {rules.reading_id}): {RECALIBRATE}",
        )
    if rules.model_id not in {None, bound.model_id}:
        yield (
            f"{key}.pack",
            f"the threshold was calibrated for pack {bound.model_id}, and `model` names "
            f"{rules.model_id}: {RECALIBRATE}",
        )
    if rules.thresholds.drop_below > bound.drop_below:
        yield (
            "raw.drop_below",
            f"{rules.thresholds.drop_below!r} lies above {bound.drop_below!r}, which was "
            f"calibrated: lower it, {RECALIBRATE}",
        )
    if bound.recall < target.recall or bound.failure_probability > target.failure_probability:
        yield (
            key,
            f"was made for recall {bound.recall:g} at failure probability "
            f"{bound.failure_probability:g}, less than the target's {target.recall:g} at "
            f"{target.failure_probability:g}: {RECALIBRATE}",
        )


def _holdout_problems(rules: TopicPolicy) -> Iterator[tuple[str, str]]:
    wanted, target = rules.certify_within, rules.target
    if wanted is None:
        return
    if target is None:
        yield "holdout.certify_within", "needs a target to certify: give `target: {recall: 0.95}`"
        return
    if wanted.recall is not None and wanted.recall <= target.recall:
        yield (
            "holdout.recall",
            f"{wanted.recall:g} is not above the target {target.recall:g}: a gate that runs there "
            "is never certified; calibrate for more",
        )
        return
    yield from _too_much(wanted, target)


def _too_much(wanted: CertifyWithin, target: Target) -> Iterator[tuple[str, str]]:
    chosen = choose_holdout(wanted, target)
    if not wanted.is_known or (chosen is not None and chosen <= wanted.at_most):
        return
    within = duration_text(wanted.within_ms)
    a_day = 86_400 * wanted.kept_per_s
    takes = "no holdout does" if chosen is None else f"that takes {chosen:g} of the drops"
    yield (
        "holdout.certify_within",
        f"{within} is too soon at {a_day:,.0f} important events a day: {takes}, and at_most is "
        f"{wanted.at_most:g}: give it longer" + ("" if chosen is None else ", or spend more"),
    )


def _place(topic: str, dotted: str, document: YamlDocument) -> Place:
    """Where a key of a topic is written: with the topic, or in the defaults."""
    path = tuple(dotted.split("."))
    own: Any = document.values["topics"][topic]
    return ("topics", topic, *path) if path[0] in own else ("defaults", *path)
