"""Writing thresholds: these two numbers change, and not a character besides."""

import math
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.app.policy_edit import write_thresholds, written_threshold
from stream_filter.app.policy_file import load_policy
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Thresholds

Write = Callable[[str | bytes], Path]
NEW = Thresholds(drop_below=0.12345, keep_above=0.75)

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


EDITS = {
    "block": (
        BLOCK,
        replaced(BLOCK, ("0.8    # s", "0.75    # s"), ("0.2  # n", "0.12345  # n")),
    ),
    "flow": (
        FLOW,
        replaced(FLOW, ('"drop_below" : 0.2', '"drop_below" : 0.12345'), (": .8 ", ": 0.75 ")),
    ),
    "one line": (
        ONE_LINE,
        replaced(ONE_LINE, ("0.2", "0.12345"), ("8.0e-1", "0.75")),
    ),
}  # fmt: skip


@pytest.mark.parametrize("ending", ["\n", "\r\n"], ids=["lf", "crlf"])
@pytest.mark.parametrize("start", ["", "\ufeff"], ids=["plain", "bom"])
@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=list(EDITS))
def test_only_the_numbers_change(
    write: Write, before: str, after: str, start: str, ending: str
) -> None:
    """Comments, order, quotes, spaces, line ends and a byte order mark stay as they are."""
    path = write((start + before).replace("\n", ending))
    policy = write_thresholds(path, "payments.logs", NEW)
    assert path.read_bytes().decode() == (start + after).replace("\n", ending)
    assert policy == load_policy(path)
    assert next(r for r in policy.topics if r.topic == "payments.logs").thresholds == NEW


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
    write_thresholds(path, "payments.logs", NEW)
    written = "raw: {drop_below: 0.12345, keep_above: 0.75}"
    expected = (
        text.replace('{model: p, text: "', f'{{{written}, model: p, text: "')
        if flow
        else text.replace("    model: p #", f"    {written}\n    model: p #")
    )
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
            write_thresholds(path, topic, NEW)
        assert path.read_text() == text
    assert os.listdir(path.parent) == [path.name]


def test_unknown_topic(write: Write) -> None:
    """A topic that is not in the policy is named, with those that are."""
    path = write(BLOCK)
    with pytest.raises(ConfigError, match=r"topics.typo: is not in the policy: it has other.logs"):
        write_thresholds(path, "typo", NEW)
    assert path.read_text() == BLOCK


def test_rights_and_links_stay(write: Write, tmp_path: Path) -> None:
    """The file keeps its rights, and a link to it stays one."""
    path = write(BLOCK)
    path.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    write_thresholds(link, "payments.logs", NEW)
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
