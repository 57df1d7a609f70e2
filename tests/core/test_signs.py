"""The signs that need no verdict: quiet while the stream is as it was, up when it is not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from stream_filter.core.signs import KNOWN_TEXTS, Passing, SignState, watch_signs

WINDOW_MS = 60_000
NAMES = np.random.default_rng(7).integers(1, 1 << 64, 1_000_000, dtype=np.uint64)


def seen(at_ms: int, scores: NDArray[np.float64], digests: NDArray[np.uint64]) -> Passing:
    texts, events = np.unique(digests, return_counts=True)
    counts, _ = np.histogram(scores, bins=20, range=(0.0, 1.0))
    return Passing(at_ms=at_ms, scores=counts.astype(np.int64), texts=texts, events=events)


def texts(rng: np.random.Generator, size: int, *, of: int, first: int = 0) -> NDArray[np.uint64]:
    """Digests of texts, the first ones more frequent."""
    return NAMES[first + (of * rng.random(size) ** 2).astype(np.int64)]


def watched(
    rng: np.random.Generator,
    state: SignState,
    blocks: range,
    *,
    mean: float = 0.2,
    of: int = 300,
    first: int = 0,
) -> SignState:
    """Blocks of 500 events, ten of them a window."""
    for block in blocks:
        scores = np.clip(rng.normal(mean, 0.15, 500), 0.0, 1.0)
        now = seen(1 + block * WINDOW_MS // 10, scores, texts(rng, 500, of=of, first=first))
        state = watch_signs(state, now, window_ms=WINDOW_MS)
    return state


@pytest.mark.parametrize("of", [3, 300, 20_000])
def test_quiet_while_nothing_changes(of: int) -> None:
    """In 20 streams of eight windows no sign reads more than a tenth of its limit, whether texts
    repeat all day long or are new more often than not."""
    rng = np.random.default_rng(5)
    for _ in range(20):
        state = SignState()
        for first in range(0, 80, 10):
            state = watched(rng, state, range(first, first + 10), of=of)
            assert state.readings.score_shift < 0.02
            assert state.readings.novelty_growth < 0.02


def test_scores_that_are_spread_otherwise() -> None:
    """A shift shows within a window, is never overstated, and is gone one window after the scores
    are as they were."""
    rng = np.random.default_rng(6)
    state = watched(rng, SignState(), range(35))
    state = watched(rng, state, range(35, 50), mean=0.35)
    assert 0.2 < state.readings.score_shift < 0.39, "Φ says 0.383"
    assert state.readings.novelty_growth < 0.02
    assert watched(rng, state, range(50, 75)).readings.score_shift < 0.02


def test_texts_that_never_were() -> None:
    """New wording shows within a window, and is known two windows later."""
    rng = np.random.default_rng(8)
    state = watched(rng, SignState(), range(35))
    state = watched(rng, state, range(35, 50), first=200)
    assert 0.2 < state.readings.novelty_growth < 0.43, "42 % of the events"
    assert state.readings.score_shift < 0.02
    assert watched(rng, state, range(50, 85), first=200).readings.novelty_growth < 0.02


def test_the_memory_of_texts_is_bounded() -> None:
    """However many texts there are; the sampled ones speak for all of them."""
    rng = np.random.default_rng(9)
    state = watched(rng, SignState(), range(200), of=500_000)
    assert len(state.known) + len(state.recent) + len(state.fresh) <= 8 * KNOWN_TEXTS
    assert state.novel / state.texts > 0.5


@given(st.lists(st.integers(1, 40), min_size=1, max_size=30), st.integers(1, 7))
def test_how_it_is_cut_into_blocks_does_not_matter(codes: list[int], size: int) -> None:
    """Within a window the state is a function of the events alone."""
    digests, scores = np.array(codes, np.uint64), np.array(codes) / 40
    whole = watch_signs(SignState(), seen(5, scores, digests), window_ms=WINDOW_MS)
    state = SignState()
    for at in range(0, len(codes), size):
        part = seen(5 + at, scores[at : at + size], digests[at : at + size])
        state = watch_signs(state, part, window_ms=WINDOW_MS)
    assert state == whole


def test_a_window_waits_for_enough_events() -> None:
    """A stream of few events is not judged by a handful of them."""
    rng = np.random.default_rng(10)
    state = SignState()
    for minute in range(30):
        now = seen(1 + minute * WINDOW_MS, rng.random(20), texts(rng, 20, of=5))
        state = watch_signs(state, now, window_ms=WINDOW_MS)
    assert (state.window, sum(state.scores)) == (0, 600)
    assert state.readings == replace(state, window=0).readings
