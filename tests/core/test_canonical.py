"""The mask set: what the model never sees, and that a change of it gets a new version."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_filter.core.canonical import (
    COLLAPSE,
    MASK_SET_VERSION,
    TAIL_CHARS,
    TEXT_LIMIT_CHARS,
    TYPED,
    canonicalize,
    clipped,
)
from stream_filter.core.plain_text import CONTROLS, LOOK_ALIKES, SPACES, UNSEEN

GOLDEN = Path(__file__).parent / "golden" / "mask_sets.json"

EXAMPLES = [
    # numbers
    ("took 153 ms", "took 0 ms"),
    ("3.14 and 1,000,000", "0 and 0"),
    ("v1.2.3", "v0"),
    ("user42 ORD-123456 blk_-1608999687919862906", "user0 ORD-0 blk_-0"),
    ("1700000000123", "0"),
    # digits of other scripts are words to the model, not numbers
    ("\u0664\u0662 日 12 ж", "\u0664\u0662 日 0 ж"),
    # hex
    ("at 0x7FFDEADBEEF", "at <hex>"),
    ("commit 5d41402abc4b2a76b9719d911017c592 ok", "commit <hex> ok"),
    ("cafe decade feed", "cafe decade feed"),
    # UUIDs
    ("req 550e8400-e29b-41d4-a716-446655440000 done", "req <uuid> done"),
    ("req=550E8400-E29B-41D4-A716-446655440000", "req=<uuid>"),
    # addresses
    ("from 10.0.0.1:8080 to 192.168.7.254", "from <ip> to <ip>"),
    ("10.0.0.0/8", "<ip>"),
    ("2001:db8:85a3:0:0:8a2e:370:7334 up", "<ip> up"),
    ("[2001:db8:85a3:0:0:8a2e:370:7334]:443 up", "<ip> up"),
    ("00:1A:2b:3c:4d:5e", "<ip>"),
    # e-mail
    ("to ann.lee+x9@mail7.example.com failed", "to <email> failed"),
    # URLs: scheme, host and path stay
    ("GET https://a.b/c/d?x=1&y=2#f HTTP", "GET https://a.b/c/d?<query> HTTP"),
    ("https://a.b/c#frag", "https://a.b/c?<query>"),
    ("https://a.b/c/d", "https://a.b/c/d"),
    # timestamps
    ("2026-11-24T01:02:03.456+01:00 up", "<time> up"),
    ("2026-11-24 01:02:03,456 up", "<time> up"),
    ("2026-11-24T01:02:03Z up", "<time> up"),
    ("2026/11/24 01:02:03 UTC up", "<time> up"),
    ("Tue Nov 24 01:02:03 2026", "<time>"),
    ("Nov  4 01:02:03 host", "<time> host"),
    ("24/Nov/2026:01:02:03 +0100 GET", "<time> GET"),
    ("01:02:03.5 up", "<time> up"),
    ("2026-11-24 up", "<time> up"),
    ("11/24/2026 up", "<time> up"),
    # quoted and base64 blobs
    ('token "abcdefghijklmnopqrstuvwxyz" ok', "token <blob> ok"),
    ("'abcdefghijklmnopqrstuvwxyz'", "<blob>"),
    ('"short" stays', '"short" stays'),
    ('"a quoted sentence with many words stays"', '"a quoted sentence with many words stays"'),
    ("QUJDREVGR0hJSktMTU5PUA== ok", "<blob> ok"),
    # ids
    ("key ya29A0b1C2d3E4f5 ok", "key <id> ok"),
    ("k8s node", "k0s node"),
    # white space
    ("a\t\r\nb   c  ", "a b c"),
    ("  \t ", ""),
    ("", ""),
]


@pytest.mark.parametrize(("raw", "expected"), EXAMPLES, ids=[repr(raw)[:40] for raw, _ in EXAMPLES])
def test_examples(raw: str, expected: str) -> None:
    """Each kind of variable part is masked as the table says, and nothing around it."""
    assert canonicalize(raw) == expected


def test_mask_set_digest_is_golden() -> None:
    """Whoever changes a mask gives the mask set a new version: packs are bound to it."""
    content = [asdict(mask) for mask in (COLLAPSE, *TYPED)]
    content.append({"limit": TEXT_LIMIT_CHARS, "tail": TAIL_CHARS, "look_alikes": LOOK_ALIKES})
    content.append({"unseen": UNSEEN.pattern, "spaces": SPACES.pattern, "controls": [*CONTROLS]})
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    golden = json.loads(GOLDEN.read_text())
    assert golden.get(MASK_SET_VERSION) == digest, (
        f"the masks changed: raise MASK_SET_VERSION and add its digest {digest} to {GOLDEN.name}"
    )


def test_mask_names_are_unique() -> None:
    """Each mask has a name of its own, so that the docs can speak of it."""
    names = [mask.name for mask in (COLLAPSE, *TYPED)]
    assert len(set(names)) == len(names)


WORDS = st.sampled_from(
    [
        *("error", "user", "42", "3.14", "10.0.0.1:80", "deadbeef01", "2026-11-24T01:02:03Z", "<-"),
        *("->", "=", "[x]", "(y)", "a@b.cd", "550e8400-e29b-41d4-a716-446655440000", "0x1f", "é"),
        *("https://h/p/q", "ya29A0b1C2d3E4f5"),
    ]
)


@given(st.lists(WORDS, max_size=12).map(" ".join))
def test_idempotent_on_log_lines(line: str) -> None:
    """A canonical text of words and masked values is its own canonical text."""
    once = canonicalize(line)
    assert canonicalize(once) == once


@given(st.text(max_size=300))
def test_no_digit_run_survives(text: str) -> None:
    """No ASCII digit but 0, and no two in a row, reaches the model."""
    canonical = canonicalize(text)
    assert not set(canonical) & set("123456789")
    assert "00" not in canonical


@given(st.text(max_size=40), st.integers(0, 10**30), st.integers(0, 10**30))
def test_numbers_do_not_matter(text: str, one: int, other: int) -> None:
    """Texts that differ in one number only are one canonical text."""
    assert canonicalize(f"{text} n={one} {text}") == canonicalize(f"{text} n={other} {text}")


@settings(deadline=None)
@given(st.text(alphabet="0a", min_size=1, max_size=50))
def test_head_and_tail_count(middle: str) -> None:
    """Of a text beyond the limit head and tail are read, and nothing between them."""
    head, tail = "x y " * (TEXT_LIMIT_CHARS // 4), "z " * (TAIL_CHARS // 2)
    read = canonicalize(head + middle + tail + "disk lost")
    assert read.startswith("x y x y ")
    assert read.endswith(" z z disk lost")
    assert read == canonicalize(head + tail + "disk lost")
    assert len(clipped(head + middle + tail)) == TEXT_LIMIT_CHARS


@pytest.mark.parametrize(
    "unit",
    ["a.", "0-", "a@", "a0", "0:", "f:", "://", "a@a.", "'x", '"', "%", "0.0.", "[0:", "Jan ", "="],
)
def test_hostile_repetition_ends(unit: str) -> None:
    """A megabyte of what a pattern could backtrack over is masked like any other text."""
    hostile = unit * (1_000_000 // len(unit))
    assert canonicalize(hostile) == canonicalize(clipped(hostile))
