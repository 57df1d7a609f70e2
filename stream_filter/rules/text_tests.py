"""Tests of texts: `startsWith`, `endsWith`, `contains` and `matches`.

The first three are loops in C that keep the interpreter's lock: another thread that got it in
between could keep it for milliseconds. `matches` is RE2, in linear time whatever the text.
"""

import operator
from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

TextTest: TypeAlias = Callable[[Sequence[str], str], NDArray[np.bool_]]


def check_pattern(pattern: str) -> str | None:
    """What is wrong with a regular expression; None where nothing is."""
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        return str(error).removeprefix("Invalid regular expression: ")
    return None


def _loop(test: Callable[[str, str], bool]) -> TextTest:
    def run(texts: Sequence[str], argument: str) -> NDArray[np.bool_]:
        return np.fromiter(map(test, texts, repeat(argument)), np.bool_, len(texts))

    return run


def _matches(texts: Sequence[str], pattern: str) -> NDArray[np.bool_]:
    try:
        column = pa.array(texts, pa.string())
    except UnicodeEncodeError:  # a lone surrogate (an escape like \ud800) has no UTF-8 form
        column = pa.array([text.encode("utf-8", "replace").decode() for text in texts])
    found: NDArray[np.bool_] = pc.match_substring_regex(column, pattern).to_numpy(
        zero_copy_only=False
    )
    return found


TEXT_TESTS: dict[str, TextTest] = {
    "startsWith": _loop(str.startswith),
    "endsWith": _loop(str.endswith),
    "contains": _loop(operator.contains),
    "matches": _matches,
}
