"""The mask set: which parts of a text the model never sees.

A mask set is data, so that a column engine can apply it a batch at a time and
this module's `canonicalize` can say, one string at a time, what must come out.
Every pattern is written in the common subset of Python's `re` (ASCII) and RE2:
no look-around, no back-references, explicit classes. RE2 runs it in linear
time, whatever the input.

Before the masks, `plain` undoes what only hides a word (`core.plain_text`); of
a long text `clipped` leaves head and tail.

The first mask collapses each run of digits to one `0`. It is by far the
cheapest and makes most variants of a line equal, so an engine may remove
duplicates once digits are equal and run all else on what is left.
"""

import re
from dataclasses import dataclass

from stream_filter.core.plain_text import plain

MASK_SET_VERSION = "masks-2"

TEXT_LIMIT_CHARS = 2048
"""Of a longer text only head and tail are read: bounds the cost of a hostile record. What was not
read may be what matters: `decision.decide` does not drop it."""

TAIL_CHARS = 512
"""Of them at the end: what somebody appends to a long text is read, too."""

_GAP = " ... "


@dataclass(frozen=True, slots=True, kw_only=True)
class Mask:
    """One step: every match of `pattern` becomes `replacement` (`\\1` = first group)."""

    name: str
    pattern: str
    replacement: str


COLLAPSE = Mask(name="digits", pattern=r"[0-9]+", replacement="0")
"""The step that runs on every text; the typed steps below see its output."""

TYPED = (
    # 2026-11-24T01:02:03.456+01:00, 2026/11/24 01:02:03,456
    Mask(
        name="timestamp",
        pattern=(
            r"\b0[-/.]0[-/.]0[T _-]+0[:.]0[:.]0(?:[.,]0)?"
            r"(?: ?(?:Z\b|UTC\b|GMT\b|[+-]0(?::0)?))?"
        ),
        replacement="<time>",
    ),
    # Tue Nov 24 01:02:03 2026, Nov 24 01:02:03, 24/Nov/2026:01:02:03 +0100
    Mask(
        name="timestamp_named",
        pattern=(
            r"\b(?:(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun),? +)?"
            r"(?:0[ /-])?(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(?:[ /-]+0)?"
            r"[ :]+0:0(?::0)?(?:[.,]0)?(?: [+-]?0\b)?"
        ),
        replacement="<time>",
    ),
    Mask(name="time", pattern=r"\b0:0:0(?:[.,]0)?\b", replacement="<time>"),
    Mask(name="date", pattern=r"\b0(?:-0-0|/0/0)\b", replacement="<time>"),
    Mask(
        name="email",
        pattern=r"\b[A-Za-z0._%+-]+@[A-Za-z0-]+(?:\.[A-Za-z0-]+)+",
        replacement="<email>",
    ),
    # The scheme, host and path stay; the query and the fragment go.
    Mask(
        name="url_query",
        pattern=r"(://[^\t\n\f\r \"'<>?#]*)[?#][^\t\n\f\r \"'<>]*",
        replacement=r"\1?<query>",
    ),
    Mask(
        name="uuid",
        pattern=r"\b[0a-fA-F]+-[0a-fA-F]+-[0a-fA-F]+-[0a-fA-F]+-[0a-fA-F]+\b",
        replacement="<uuid>",
    ),
    Mask(name="ipv4", pattern=r"\b0\.0\.0\.0(?::0)?(?:/0)?\b", replacement="<ip>"),
    # IPv6 with or without a bracketed port, and MAC addresses.
    Mask(
        name="ipv6",
        pattern=r"\[?\b[0a-fA-F]{1,4}(?:::?[0a-fA-F]{1,4}){3,7}\b(?:\]:0)?",
        replacement="<ip>",
    ),
    Mask(name="hex_prefixed", pattern=r"\b0[xX][0a-fA-F]+\b", replacement="<hex>"),
    Mask(
        name="hex",
        pattern=r"\b(?:[a-fA-F]+0[0a-fA-F]*|0[a-fA-F][0a-fA-F]*)\b",
        replacement="<hex>",
    ),
    # A quoted value without spaces that is long: a token, not a word.
    Mask(
        name="quoted",
        pattern=r"\"[^\"\t\n\f\r ]{24,}\"|'[^'\t\n\f\r ]{24,}'",
        replacement="<blob>",
    ),
    Mask(name="base64_padded", pattern=r"\b[A-Za-z0+/]{16,}={1,2}", replacement="<blob>"),
    # Letters and digits taking turns four times or more: a random id, not a name.
    Mask(
        name="id",
        pattern=r"\b[A-Za-z]*(?:0[A-Za-z_+/]+){3,}0?[A-Za-z_+/=]*",
        replacement="<id>",
    ),
    Mask(name="number", pattern=r"0(?:[.,]0)+", replacement="0"),
    Mask(name="space", pattern=r"[\t\n\f\r ]+", replacement=" "),
)

_REFERENCE = tuple(
    (re.compile(mask.pattern, re.ASCII), mask.replacement) for mask in (COLLAPSE, *TYPED)
)


def canonicalize(text: str) -> str:
    """The canonical text of one raw text: the reference that column engines must equal."""
    # Clipped twice: compatibility forms may make a text longer.
    text = clipped(plain(clipped(text)))
    for pattern, replacement in _REFERENCE:
        text = pattern.sub(replacement, text)
    return text.strip(" ")


def is_cut(text: str) -> bool:
    """Whether the canonical text of this raw text leaves out what stood in its middle."""
    return len(text) > TEXT_LIMIT_CHARS or len(plain(text)) > TEXT_LIMIT_CHARS


def clipped(text: str) -> str:
    """A text of at most `TEXT_LIMIT_CHARS`: of a longer one, head and tail."""
    if len(text) <= TEXT_LIMIT_CHARS:
        return text
    return text[: TEXT_LIMIT_CHARS - TAIL_CHARS - len(_GAP)] + _GAP + text[-TAIL_CHARS:]
