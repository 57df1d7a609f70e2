"""The plain form: words read the same however they are dressed, and other languages stay."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_filter.core.canonical import canonicalize
from stream_filter.core.plain_text import LOOK_ALIKES, plain


@pytest.mark.parametrize(
    "dressed",
    [
        "d\u0456sk f\u0430\u0456l\u0435d",  # Cyrillic
        "d\u03b9sk fa\u03b9l\u03b5d",  # Greek
        "\uff44\uff49\uff53\uff4b\u3000\uff46\uff41\uff49\uff4c\uff45\uff44",  # full width
        "\U0001d589\U0001d58e\U0001d598\U0001d590 failed",  # mathematical
        "\u24d3\u24d8\u24e2\u24da failed",  # circled
        "\u1d05\u026as\u1d0b \ua730\u1d00\u026a\u029f\u1d07\u1d05",  # small capitals
        "d\u00efsk f\u00e1iled",  # accents
        "d\u0336i\u0336s\u0336k\u0336 f\u20ddailed",  # strokes and rings
        "di\u200bsk fa\u00adil\u2060ed\ufeff",  # invisible
        "\u202edisk\u202c \u2066failed\u2069",  # reading direction
        "di\ufe0fsk fai\U000e0041led",  # variants, tags
        "d\x08i\x00sk\u2028\x1bfailed\x7f",  # controls, a separator
    ],
)
def test_dressed_words_read_plain(dressed: str) -> None:
    """However its letters are dressed, the text is the same to the model."""
    assert canonicalize(dressed) == "disk failed"


@pytest.mark.parametrize(
    "text",
    [
        "\u043e\u0448\u0438\u0431\u043a\u0430 \u0434\u0438\u0441\u043a\u0430 sda",  # Russian
        "\u03c3\u03c6\u03b1\u03bb\u03bc\u03b1 sda",  # Greek
        "\u65e5\u672c\u8a9e\u306e\u30ed\u30b0\u304c",  # Japanese, with a voiced sound
        "\ud55c\uad6d\uc5b4 \ub85c\uadf8",  # Korean
        "stra\u00dfe",
        "plain ASCII [x] {y} <z>",
    ],
)
def test_other_languages_stay(text: str) -> None:
    """A word that is wholly of another script is no disguise of a Latin one."""
    assert plain(text) == text


@given(st.text(st.characters(max_codepoint=0x7E, min_codepoint=0x20)))
def test_printable_ascii_is_plain(text: str) -> None:
    """What nearly all texts are costs nothing and changes nothing."""
    assert plain(text) == text


@given(st.text())
def test_plain_shows_no_controls(text: str) -> None:
    """No control but white space, and no zero-width character, is left."""
    left = {letter for letter in plain(text) if unicodedata.category(letter) == "Cc"}
    assert left <= set("\t\n\f\r")
    assert not set(plain(text)) & set("\u200b\u200d\u202e\u2060\ufeff\u00ad")


def test_the_table_is_of_other_letters() -> None:
    """Each look-alike stands once, is no ASCII, and becomes an ASCII letter."""
    pairs = [
        pair
        for alikes, letters in LOOK_ALIKES.items()
        for pair in zip(alikes, letters, strict=True)
    ]
    assert len({alike for alike, _ in pairs}) == len(pairs)
    assert all(not alike.isascii() and letter.isascii() for alike, letter in pairs)
    assert all(len(alikes) == len(letters) for alikes, letters in LOOK_ALIKES.items())
