"""Writing calibrated thresholds: they and what they hold for are written, and not a character
besides changes."""

import math
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.app.policy_edit import write_calibration, written_threshold
from stream_filter.app.policy_file import load_policy
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy, Thresholds
from stream_filter.core.targets import CalibratedFor, Target

Write = Callable[[str | bytes], Path]
NEW = Thresholds(drop_below=0.12345, keep_above=0.75)
BINDING = """\
calibration:
  drop_below: 0.12345
  recall: 0.95
  failure_probability: 0.05
  pack: "0123456789012345"
  masks: "masks-2"
  reading: "READING"
  labels: "1234567890123e45"
  positives: 100
  at: "2026-01-31T12:00:00Z"
"""
"""As it is written in a block. The digests look like numbers."""
FLOW_BINDING = "calibration: {" + ", ".join(line.strip() for line in BINDING.splitlines()[1:]) + "}"
TARGET = "target: {recall: 0.95, failure_probability: 0.05}"


def write_new(path: Path, topic: str = "payments.logs", **known: dict[str, object]) -> Policy:
    """Write the new thresholds for a topic, bound to what it reads."""
    return write_calibration(path, topic, NEW, bound(path, topic), known)


def bound(path: Path, topic: str) -> CalibratedFor:
    """What the new thresholds hold for."""
    rules = next((r for r in load_policy(path).topics if r.topic == topic), None)
    return CalibratedFor(
        drop_below=NEW.drop_below,
        recall=0.95,
        failure_probability=0.05,
        model_id="0123456789012345",
        mask_set="masks-2",
        reading_id=rules.reading_id if rules else "",
        labels_id="1234567890123e45",
        positives=100,
        at_ms=1_769_860_800_000,
    )


def indented(text: str, column: int) -> str:
    """Lines of a block, each but the first at a column, with the column of the next one."""
    return text.replace("\n", "\n" + " " * column)


BLOCK = """\
# the shop's policy
version: 1            # of the format

defaults: {holdout: 0.02}
topics:
    other.logs:   {text: "{m}", model: p, raw: {drop_below: 0.2, keep_above: 0.8}}

    payments.logs:    # money
        text: "{level} {message}"   # drop_below: 0.2
        model: p
        # chosen by hand
        raw:
            keep_above: 0.8    # sure
            drop_below:   0.2  # never more
        mode: enforce
"""
FLOW = BLOCK.replace(
    BLOCK[BLOCK.index("        raw:") : BLOCK.index("        mode: enforce")],
    '        raw: { "drop_below" : 0.2, keep_above: .8 }  # by hand\n',
)
ONE_LINE = """\
version: 1
topics: {payments.logs: {text: "{m}", model: p, raw: {drop_below: 0.2, keep_above: 8.0e-1}}}
"""


def replaced(text: str, *pairs: tuple[str, str]) -> str:
    for old, new in pairs:
        assert text.count(old) == 1
        text = text.replace(old, new)
    return text


ADDED = indented(f"{TARGET}\n{BINDING}", 8)
EDITS = {
    "block": (
        BLOCK,
        replaced(
            BLOCK,
            ("0.8    # s", "0.75    # s"),
            ("0.2  # n", "0.12345  # n"),
            ('text: "{level}', ADDED + 'text: "{level}'),
        ),
    ),
    "flow": (
        FLOW,
        replaced(
            FLOW,
            ('"drop_below" : 0.2', '"drop_below" : 0.12345'),
            (": .8 ", ": 0.75 "),
            ('text: "{level}', ADDED + 'text: "{level}'),
        ),
    ),
    "one line": (
        ONE_LINE,
        replaced(
            ONE_LINE,
            ("0.2", "0.12345"),
            ("8.0e-1", "0.75"),
            ('{text: "', f'{{{TARGET}, {FLOW_BINDING}, text: "'),
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=list(EDITS))
def test_only_what_is_asked_for_changes(
    write: Write, before: str, after: str, start: str, ending: str
) -> None:
    """Comments, order, quotes, spaces, line ends and a byte order mark stay as they are; target and
    binding come first in the topic."""
    path = write((start + before).replace("\n", ending))
    expected = bound(path, "payments.logs")
    policy = write_new(path)
    after = after.replace("READING", expected.reading_id)
    assert path.read_bytes().decode() == (start + after).replace("\n", ending)
    assert policy == load_policy(path)
    rules = next(r for r in policy.topics if r.topic == "payments.logs")
    assert (rules.thresholds, rules.calibrated_for) == (NEW, expected)
    assert rules.target == Target(recall=0.95, failure_probability=0.05)


@pytest.mark.parametrize("before", [BLOCK, ONE_LINE], ids=["block", "one line"])
def test_written_again(write: Write, before: str) -> None:
    """A second calibration replaces the first, and comments around it stay."""
    path = write(before)
    write_new(path)
    once = path.read_text()
    path.write_text(once.replace("0.12345", "0.11111").replace("positives: 100", "positives: 9"))
    write_new(path)
    assert path.read_text() == once


def test_what_it_was_calibrated_for_may_be_gone(write: Write) -> None:
    """A policy that is refused, because its text changed since, can be calibrated again."""
    path = write(BLOCK)
    write_new(path)
    expected = path.read_text()
    binding = bound(path, "payments.logs")
    path.write_text(expected.replace(binding.reading_id, "0" * 16))
    with pytest.raises(ConfigError, match=r"calibrated for another `text`"):
        load_policy(path)
    write_calibration(path, "payments.logs", NEW, binding)
    assert path.read_text() == expected


def test_measured_entries(write: Write) -> None:
    """More that was measured is set whole, where it stood."""
    path = write(
        BLOCK.replace("mode: enforce", f"{TARGET}\n        holdout: {{certify_within: 24h}} # soon")
    )
    write_new(path, holdout={"certify_within": "24h", "rate": "5/s", "prevalence": 0.01})
    assert (
        'holdout: {certify_within: "24h", rate: "5/s", prevalence: 0.01} # soon' in path.read_text()
    )
    assert load_policy(path).topics[1].holdout > 0.01


def test_a_pack_is_bound_once(write: Write) -> None:
    """Thresholds of two topics cannot be bound to two packs of one name."""
    path = write(
        BLOCK.replace(
            '{text: "{m}", model: p,', '{text: "{m}", model: {pack: p, id: fedcba9876543210},'
        )
    )
    text = path.read_text().replace(
        "        model: p\n", "        model: {pack: p, id: fedcba9876543210}\n"
    )
    path.write_text(text)
    with pytest.raises(
        ConfigError, match=r"calibrated for pack 0123456789012345, and `model` names"
    ):
        write_new(path)
    assert path.read_text() == text


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("flow", [False, True], ids=["block", "flow"])
def test_own_thresholds_where_defaults_gave_them(write: Write, flow: bool, ending: str) -> None:
    """A topic that has its thresholds from `defaults` gets its own; the others keep theirs."""
    rules = '{model: p, text: "{m}"}' if flow else '\n    model: p # pack\n    text: "{m}"'
    text = (
        "version: 1\ndefaults: {raw: {drop_below: 0.2, keep_above: 0.8}}\ntopics:\n"
        f"  payments.logs: {rules}\n  other.logs: {{model: p, text: '{{m}}'}}\n"
    )
    path = write(text.replace("\n", ending))
    reading = bound(path, "payments.logs").reading_id
    write_new(path)
    written = "raw: {drop_below: 0.12345, keep_above: 0.75}"
    expected = (
        text.replace(
            '{model: p, text: "', f'{{{written}, {TARGET}, {FLOW_BINDING}, model: p, text: "'
        )
        if flow
        else text.replace(
            "model: p #",
            f"{written}\n    {TARGET}\n{indented(BINDING, 4)[:-4]}".replace(
                "calibration", "    calibration"
            )
            + "    model: p #",
        )
    ).replace("READING", reading)
    assert path.read_bytes().decode() == expected.replace("\n", ending)
    other = next(r for r in load_policy(path).topics if r.topic == "other.logs")
    assert other.thresholds == Thresholds(drop_below=0.2, keep_above=0.8)


def test_alias_is_left_alone(write: Write) -> None:
    """Thresholds that two topics share by an alias are not changed behind the other's back."""
    text = (
        "version: 1\ntopics:\n"
        "  a.logs: {model: p, text: '{m}', raw: &usual {drop_below: 0.2, keep_above: 0.8}}\n"
        "  b.logs: {model: p, text: '{m}', raw: *usual}\n"
    )
    path = write(text)
    for topic in ("a.logs", "b.logs"):
        with pytest.raises(ConfigError, match=r"cannot be changed without changing more"):
            write_new(path, topic)
        assert path.read_text() == text
    assert os.listdir(path.parent) == [path.name]


def test_unknown_topic(write: Write) -> None:
    """A topic that is not in the policy is named, with those that are."""
    path = write(BLOCK)
    with pytest.raises(ConfigError, match=r"topics.typo: is not in the policy: it has other.logs"):
        write_new(path, "typo")
    assert path.read_text() == BLOCK


def test_rights_and_links_stay(write: Write, tmp_path: Path) -> None:
    """The file keeps its rights, and a link to it stays one."""
    path = write(BLOCK)
    path.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    write_new(link)
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert "0.12345" in path.read_text()


@given(st.floats(0.0, 1.0, allow_subnormal=False))
def test_written_threshold_never_drops_more(threshold: float) -> None:
    """What is written has five digits, and lies at or below every score that prints, with six
    digits, as the threshold does."""
    written = written_threshold(threshold)
    assert written <= float(f"{threshold:.6g}") * (1 - 5e-6) or threshold < 1e-300
    assert math.isclose(written, threshold, rel_tol=1.2e-4)
    assert float(f"{written:.5g}") == written
