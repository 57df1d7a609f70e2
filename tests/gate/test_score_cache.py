"""The score cache: exact, bounded, and never of another model."""

from collections.abc import Sequence

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.gate.score_cache import ENTRY_BYTES, ScoreCache, text_digest


class CountingScorer:
    """A score for each text, by its digest; another for another model."""

    def __init__(self) -> None:
        self.model_id = "one"
        self.calls: list[list[str]] = []
        self.changes_to: str | None = None
        self.fails = False

    def truth(self, text: str) -> np.float32:
        return np.float32(text_digest(self.model_id + text)[0] / 255)

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.calls.append(list(texts))
        if self.fails:
            raise ScorerError("away")
        scores = np.array([self.truth(text) for text in texts], np.float32)
        if self.changes_to:
            self.model_id, self.changes_to = self.changes_to, None
        return scores


def ask(cache: ScoreCache, texts: Sequence[str]) -> list[float]:
    scores, _, _ = cache.score(texts, [text_digest(text) for text in texts])
    assert scores.dtype == np.float32
    return [float(score) for score in scores]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text("abc", max_size=3), max_size=8, unique=True), max_size=8),
    st.integers(0, 6),
)
def test_exact_and_bounded(batches: list[list[str]], entries: int) -> None:
    """However small the cache is, every score is the model's own, and it never grows past its
    bound."""
    scorer = CountingScorer()
    cache = ScoreCache(scorer, size_bytes=entries * ENTRY_BYTES)
    for texts in batches:
        assert ask(cache, texts) == [float(scorer.truth(text)) for text in texts]
        assert len(cache) <= max(1, entries)


def test_remembers() -> None:
    """A text is asked for once while there is room, and order is kept among old and new."""
    scorer = CountingScorer()
    cache = ScoreCache(scorer, size_bytes=100 * ENTRY_BYTES)
    ask(cache, ["a", "b"])
    assert ask(cache, ["c", "a", "d", "b"]) == [float(scorer.truth(t)) for t in "cadb"]
    assert scorer.calls == [["a", "b"], ["c", "d"]]


def test_another_model_clears() -> None:
    """When the model changes, no score of the old one is given again."""
    scorer = CountingScorer()
    cache = ScoreCache(scorer, size_bytes=100 * ENTRY_BYTES)
    ask(cache, ["a", "b"])
    scorer.model_id = "two"
    assert ask(cache, ["a"]) == [float(scorer.truth("a"))]
    assert len(cache) == 1
    assert cache.model_id == "two"


def test_change_during_a_call_is_not_remembered() -> None:
    """Scores of a model that changed while it read are given out and not remembered."""
    scorer = CountingScorer()
    cache = ScoreCache(scorer, size_bytes=100 * ENTRY_BYTES)
    scorer.changes_to = "two"
    ask(cache, ["a"])
    assert len(cache) == 0
    assert ask(cache, ["a"]) == [float(scorer.truth("a"))]


def test_failure_is_not_remembered() -> None:
    """A failure leaves NaN for what is not known, says why, and is asked again."""
    scorer = CountingScorer()
    cache = ScoreCache(scorer, size_bytes=100 * ENTRY_BYTES)
    ask(cache, ["a"])
    scorer.fails = True
    scores, asked, failure = cache.score(["a", "b"], [text_digest("a"), text_digest("b")])
    assert np.isnan(scores).tolist() == [False, True]
    assert (asked, str(failure)) == (1, "away")
    assert len(cache) == 1
    scorer.fails = False
    assert ask(cache, ["b"]) == [float(scorer.truth("b"))]


def test_digest_is_golden() -> None:
    """The ledger names texts by this digest: it never changes."""
    assert text_digest("took 0 ms").hex() == "3ed0febd24b6b90c48fb12e913fe1f76"
    assert len({text_digest(text) for text in ("", "a", "b", "ab")}) == 4
