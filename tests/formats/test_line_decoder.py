"""Plain text lines."""

from hypothesis import given
from hypothesis import strategies as st

from stream_filter.formats.line_decoder import LineDecoder


def decode(values: list[bytes]) -> list[str]:
    decoded = LineDecoder().decode(values)
    assert decoded.causes == {}
    (lines,) = decoded.columns
    return lines


def test_lines_read_whole() -> None:
    """A value is its text, with line breaks, quotes and NULs as they are."""
    texts = ["plain", "", "two\nlines", '{"a":1}', "x\x00y", "é€\U0001f600"]
    assert decode([text.encode() for text in texts]) == texts


def test_odd_bytes_are_replaced() -> None:
    """A byte that is not UTF-8 reads as U+FFFD, and its neighbours as they are."""
    assert decode([b"before", b"a\xffb\xed\xa0\x80", b"after"])[0::2] == ["before", "after"]
    assert decode([b"a\xffb"]) == ["a\ufffdb"]


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_values_do_not_matter_to_each_other(values: list[bytes]) -> None:
    """Nothing is undecodable, and each value reads in a batch as it reads alone."""
    assert decode(values) == [decode([value])[0] for value in values]


def test_no_values() -> None:
    """No values give an empty column."""
    assert decode([]) == []
