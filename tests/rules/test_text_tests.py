"""Tests of texts: linear time, and no text that stops a batch."""

from time import process_time

import pytest

from stream_filter.rules.text_tests import TEXT_TESTS, check_pattern

QUADRATIC = ["(a*)*b", "(a|aa)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$", "a*a*a*a*a*a*b"]
"""Patterns on which a backtracking engine takes quadratic or exponential time."""


def seconds(pattern: str, size: int) -> float:
    """The least time of several tries on a text of so many characters that does not match."""
    text = ["a" * size + "!", "x" * size]
    times = []
    for _ in range(5):
        begun = process_time()
        assert not TEXT_TESTS["matches"](text, pattern).any() or pattern == QUADRATIC[1]
        times.append(process_time() - begun)
    return min(times)


@pytest.mark.parametrize("pattern", QUADRATIC)
def test_matching_takes_linear_time(pattern: str) -> None:
    """Sixteen times the text takes about sixteen times the time: quadratic would be 256 times."""
    assert check_pattern(pattern) is None
    assert seconds(pattern, 1_600_000) < 80 * seconds(pattern, 100_000)


@pytest.mark.parametrize("function", TEXT_TESTS)
def test_no_text_stops_a_batch(function: str) -> None:
    """A lone surrogate, NUL, an empty or a long text: each has an answer."""
    texts = ["\ud800x", "\0", "", "x" * 100_000, "é\n"]
    assert TEXT_TESTS[function](texts, "x").tolist()[1:3] == [False, False]
    assert TEXT_TESTS[function]([], "x").tolist() == []
