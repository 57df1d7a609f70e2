"""What hides or dresses an important event must not make the committed packs drop it."""

import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stream_filter.app.evasion import ATTACKS, dropped_by_attack
from tests.evasion.packs import BEYOND_THE_LIMIT, dropped

PAGE = Path(__file__).parents[2] / "docs" / "packs.md"
PACKS = ("triage-starter", "demo-platform")
MENDED_WHOLLY = (
    "look-alike letters",
    "full-width letters",
    "an accent on each letter",
    "zero-width characters",
    "reading direction turned",
    "control characters",
    *BEYOND_THE_LIMIT,
)
"""Canonical text undoes them, or the gate forwards what it has not read whole."""
MENDED_MOSTLY = (
    "padding before, 500 characters",
    "padding after, 500 characters",
    "the most routine event, 20 times",
    "mixed case",
    "an instruction before",
    "an instruction after",
)
"""Windows bound what they do."""
MOST = 0.5


@pytest.mark.parametrize("attack", MENDED_WHOLLY)
@pytest.mark.parametrize("pack", PACKS)
def test_dressed_events_are_dropped_no_more(pack: str, attack: str) -> None:
    """Whatever letters are dressed in, as many important events are kept as without."""
    shares = dropped()[pack]
    assert shares[attack] == shares["none"]


@pytest.mark.parametrize("pack", PACKS)
def test_long_texts_may_be_scored(pack: str) -> None:
    """Where the policy lets head and tail decide, the end of a long text is still mostly found."""
    shares = dropped("score")[pack]
    assert shares["at the end of a text beyond the limit"] <= shares["none"] + MOST
    assert dropped()[pack].keys() == shares.keys()


@pytest.mark.parametrize("attack", MENDED_MOSTLY)
@pytest.mark.parametrize("pack", PACKS)
def test_hidden_events_are_mostly_kept(pack: str, attack: str) -> None:
    """Whatever an important event is hidden behind, most of what was kept still is."""
    shares = dropped()[pack]
    assert shares[attack] <= shares["none"] + MOST


def test_the_docs_show_every_attack() -> None:
    """The table of docs/packs.md has a row for each attack, in order: `make evasion` again."""
    rows = re.findall(r"^\| (.+?) \| \d+% \| \d+% \|$", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [*ATTACKS, *(f"{name}, `long_texts: score`" for name in BEYOND_THE_LIMIT)]


def test_shares_are_of_weight() -> None:
    """A text that stands for more events counts for more, and without important ones there is no
    share."""

    def score(texts: list[str]) -> NDArray[np.float32]:
        return np.array([0.9 if "lost" in text else 0.1 for text in texts], np.float32)

    texts, routine = ["disk lost", "disk", "all well"], np.array([0.0, 0.0, 5.0])
    shares = dropped_by_attack(score, texts, np.array([3.0, 1.0, 0.0]), routine, 0.5)
    assert shares["none"] == 0.25
    assert shares["look-alike letters"] == 0.25
    assert shares["spaced letters"] == 1.0
    assert set(shares) == set(ATTACKS)
    none = dropped_by_attack(score, texts, np.zeros(3), routine, 0.5)
    assert np.isnan(list(none.values())).all()
