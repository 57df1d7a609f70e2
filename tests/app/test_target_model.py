"""The keys that speak of recall: what is sound is frozen, what does not fit is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest

from stream_filter.app.policy_file import load_policy
from stream_filter.app.target_problems import target_notes
from stream_filter.core.errors import ConfigError
from stream_filter.core.holdout_choice import CertifyWithin
from stream_filter.core.policy import Thresholds
from stream_filter.core.targets import CalibratedFor, OnFailure, Slices, Target

Write = Callable[[str | bytes], Path]

RAW = "raw: {drop_below: 0.2, keep_above: 0.8}"
TOPIC = """\
version: 1
topics:
  payments.logs:
    text: "{level} {message}"
    model: triage-starter
    """
READING = "2549b9f37f470e47"
CALIBRATION = (
    "calibration: {drop_below: 0.2, recall: 0.95, failure_probability: 0.05, "
    f'pack: 0123456789abcdef, masks: masks-2, reading: "{READING}", labels: 0123456789abcdef, '
    'positives: 100, at: "2026-01-31T12:00:00Z"}'
)
TARGET = "target: {recall: 0.95}"
SOUND = TOPIC + "\n    ".join((RAW, TARGET, CALIBRATION)) + "\n"
HERE = "topics.payments.logs"


def test_everything_is_frozen(write: Write) -> None:
    """Each key has its place in the frozen policy."""
    (rules,) = load_policy(
        write(
            SOUND.replace(TARGET, "target: {recall: 0.9, failure_probability: 0.1}")
            + "    epoch: 30d\n    max_age: 6h\n    on_failure: widen\n"
            + "    slices: {by: [service, 'a[0].b'], recall: 0.8}\n"
        )
    ).topics
    assert rules.target == Target(
        recall=0.9,
        failure_probability=0.1,
        epoch_ms=30 * 86_400_000,
        max_age_ms=6 * 3_600_000,
        on_failure=OnFailure.WIDEN,
        slices=Slices(fields=(("service",), ("a", 0, "b")), floor=0.8),
    )
    assert rules.calibrated_for == CalibratedFor(
        drop_below=0.2,
        recall=0.95,
        failure_probability=0.05,
        model_id="0123456789abcdef",
        mask_set="masks-2",
        reading_id=READING,
        labels_id="0123456789abcdef",
        positives=100,
        at_ms=1_769_860_800_000,
    )
    assert not rules.is_uncalibrated


def test_the_least_target(write: Write) -> None:
    """A target alone: nothing is dropped for its score, and the rest has its documented value."""
    (rules,) = load_policy(write(TOPIC + TARGET + "\n    slices: [service]\n")).topics
    assert rules.thresholds == Thresholds(drop_below=0.0, keep_above=1.0)
    assert rules.is_uncalibrated
    assert rules.target == Target(slices=Slices(fields=(("service",),), floor=0.5))
    (note,) = target_notes(load_policy(write(TOPIC + TARGET + "\n")))
    assert "nothing is dropped for its score" in note
    assert "59 important labels" in note


def test_thresholds_bind_their_pack(write: Write) -> None:
    """The pack of a calibration is the only one accepted, for all topics that name it."""
    other = f'  other: {{text: "{{m}}", model: triage-starter, {RAW}}}\n'
    policy = load_policy(write(SOUND + other))
    assert [rules.model_id for rules in policy.topics] == ["0123456789abcdef"] * 2


def test_without_a_target_nothing_changes(write: Write) -> None:
    """Policies without the new keys keep their ids."""
    assert load_policy(write(TOPIC + RAW + "\n")).policy_id == "314d61e7225067ba"


def test_defaults_go_where_there_is_a_target(write: Write) -> None:
    """What belongs to a target is not applied to topics that have none."""
    policy = load_policy(
        write(
            "version: 1\ndefaults: {model: p, text: '{m}', epoch: 14d, slices: [s]}\ntopics:\n"
            f"  a: {{{TARGET}}}\n  b: {{{RAW}}}\n"
        )
    )
    with_target, without = policy.topics
    assert with_target.target is not None
    assert with_target.target.epoch_ms == 14 * 86_400_000
    assert without.target is None


KNOWN = "holdout: {certify_within: 24h, rate: 50000/s, prevalence: 0.001}\n"


def test_holdout_follows_from_the_wanted_time(write: Write) -> None:
    """Stated inputs give one number; without them the usual holdout, and a note says so."""
    with_target = TOPIC + f"{RAW}\n    {TARGET}\n    "
    policy = load_policy(write(with_target + KNOWN))
    assert policy.topics[0].holdout == pytest.approx(9.92e-05)
    assert policy.topics[0].certify_within == CertifyWithin(
        within_ms=86_400_000, events_per_s=50_000.0, prevalence=0.001
    )
    by_hand, cost = target_notes(policy)
    assert "chosen by hand" in by_hand
    assert "up to 428,544 drops a day" in cost
    policy = load_policy(write(with_target + "holdout: {certify_within: 24h}\n"))
    assert policy.topics[0].holdout == 0.01
    assert "are not known: 0.01 until" in target_notes(policy)[1]


BROKEN = {
    "neither": (TOPIC + "mode: shadow\n", f"{HERE}: raw: is missing: give raw thresholds, or a ta"),
    "recall in percent": (
        TOPIC + "target: {recall: 95}\n",
        f":6: {HERE}.target.recall: input should be less than 1, not 95",
    ),
    "recall 1": (TOPIC + "target: {recall: 1}\n", "recall: input should be less than 1"),
    "no recall": (TOPIC + "target: {}\n", f"{HERE}.target.recall: is missing"),
    "confidence": (
        TOPIC + "target: {recall: 0.9, confidence: 0.9}\n",
        "target.confidence: unknown key: known are failure_probability, recall",
    ),
    "epoch without target": (
        TOPIC + RAW + "\n    epoch: 7d\n",
        f":7: {HERE}.epoch: says nothing without a target",
    ),
    "slices without target": (TOPIC + RAW + "\n    slices: [a]\n", "slices: says nothing without"),
    "epoch of years": (SOUND + "    epoch: 400d\n", "longer than a year: the most is 366d"),
    "no such action": (SOUND + "    on_failure: panic\n", "'forward_all', 'widen' or 'shadow'"),
    "slices a word": (SOUND + "    slices: service\n", f"{HERE}.slices: input should be a valid"),
    "slices of nothing": (SOUND + "    slices: []\n", "slices: list should have at least 1"),
    "no path": (SOUND + "    slices: [a..b]\n", "slices.0: cannot read the field path 'a..b'"),
    "slices of lines": (
        SOUND.replace('text: "{level} {message}"', "format: text") + "    slices: [a]\n",
        "slices: plain text has no fields",
    ),
    "floor of 2": (SOUND + "    slices: {by: [a], recall: 2}\n", "slices.recall: input should be"),
    "holdout a word": (SOUND + "    holdout: little\n", f"{HERE}.holdout: input should be a valid"),
    "holdout misspelt": (
        SOUND + "    holdout: {certify_witin: 24h}\n",
        "certify_witin: unknown key: did you mean certify_within?",
    ),
    "half known": (
        SOUND + "    holdout: {certify_within: 24h, rate: 5/s}\n",
        "prevalence: is missing: rate and prevalence belong together",
    ),
    "no rate": (
        SOUND + "    holdout: {certify_within: 24h, rate: 0/s, prevalence: 0.1}\n",
        "'0/s' is no rate",
    ),
    "too soon": (
        SOUND + "    holdout: {certify_within: 1h, rate: 10/day, prevalence: 0.1}\n",
        "1h is too soon at 1 important events a day: no holdout does",
    ),
    "too dear": (
        SOUND + "    " + KNOWN.replace("0.001}", "0.00001, at_most: 0.001}"),
        "is too soon at 43,200 important events a day: that takes 0.00996",
    ),
    "never": (
        SOUND + "    " + KNOWN.replace("}", ", recall: 0.95}"),
        "holdout.recall: 0.95 is not above the target 0.95",
    ),
    "nothing to certify": (TOPIC + RAW + "\n    " + KNOWN, "certify_within: needs a target"),
    "other masks": (
        SOUND.replace("masks-2", "masks-0"),
        f":8: {HERE}.calibration.masks: the threshold was calibrated on mask set 'masks-0', this",
    ),
    "other text": (
        SOUND.replace("{level} ", ""),
        f":8: {HERE}.calibration.reading: the threshold was calibrated for another `text`",
    ),
    "other pack": (
        SOUND.replace("model: triage-starter", "model: {pack: p, id: fedcba9876543210}"),
        f":8: {HERE}.calibration.pack: the threshold was calibrated for pack 0123456789abcdef, and",
    ),
    "raised by hand": (
        SOUND.replace("{drop_below: 0.2, keep", "{drop_below: 0.21, keep"),
        f":6: {HERE}.raw.drop_below: 0.21 lies above 0.2, which was calibrated",
    ),
    "a higher target": (
        SOUND.replace(TARGET, "target: {recall: 0.99}"),
        "calibration: was made for recall 0.95 at failure probability 0.05, less than the target's",
    ),
    "calibration without target": (
        SOUND.replace("    " + TARGET + "\n", ""),
        "calibration: belongs to a target",
    ),
    "calibration without raw": (
        SOUND.replace(RAW + "\n    ", ""),
        "calibration: belongs to `raw` thresholds, and there are none",
    ),
    "no time": (SOUND.replace("T12:00:00Z", ""), "calibration.at: '2026-01-31' is no time like"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(write: Write, name: str) -> None:
    """One line with file, line, key, what is wrong and the way out."""
    text, said = BROKEN[name]
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        load_policy(path)
    matching = [p for p in caught.value.problems if said in p]
    assert matching, caught.value.problems
    assert len(caught.value.problems) <= 2
    for problem in caught.value.problems:
        assert problem.startswith(f"{path}:")
        assert len(problem) < 400 + len(str(path))
        assert "Model" not in problem


def test_a_lower_threshold_keeps_the_promise(write: Write) -> None:
    """Forwarding more than was calibrated is always allowed."""
    text = SOUND.replace("{drop_below: 0.2, keep", "{drop_below: 0.1, keep")
    assert load_policy(write(text)).topics[0].thresholds.drop_below == 0.1
