"""Scorers: one contract for the real one and its twin; then the shipped pack's own promises."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Protocol

import numpy as np
import orjson
import pytest
from numpy.typing import NDArray

from stream_filter.core.canonical import canonicalize
from stream_filter.demo.generator import PlatformStream
from stream_filter.models.fixed_scorer import FixedScorer
from stream_filter.models.onnx_scorer import OnnxScorer, load_slm
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer

SHIPPED = Path(__file__).parents[2] / "models" / "demo-platform"
ODD = (
    "",
    " ",
    "\x00",
    "\ud800 lone surrogate",
    "\u200b\u202e\ufeff",
    "日本語のログ",
    "🔥" * 500,
    "é" * 3000,
    "a" * 100_000,
    "word " * 50_000,
    "[CLS] [SEP] [PAD] [MASK]",
)


class Scorer(Protocol):
    """The port, as this contract sees it."""

    model_id: str

    def score(self, texts: list[str]) -> NDArray[np.float32]: ...


@cache
def shipped() -> StagedScorer:
    """The shipped pack, loaded once."""
    return StagedScorer(load_pack(SHIPPED), threads=2)


def fixed() -> FixedScorer:
    """A twin with a few fixed scores."""
    return FixedScorer({"payments ERROR order ORD-0 charged twice": 0.9, "": 0.4}, default=0.1)


@cache
def stream() -> tuple[tuple[str, ...], NDArray[np.bool_], NDArray[np.bool_]]:
    """Canonical texts of a demo timeline, which are important, and which are of unseen kinds."""
    source = PlatformStream(seed=99, start_ms=1_700_000_000_000, duration_s=100)
    events = [event for second in range(100) for event in source.events(second, 200)]
    texts = tuple(
        canonicalize("{service} {level} {message}".format_map(orjson.loads(event.value)))
        for event in events
    )
    important = np.array([event.important for event in events])
    return texts, important, np.array([event.kind.startswith("unseen/") for event in events])


@pytest.fixture(params=[shipped, fixed], ids=["onnx", "fixed"])
def scorer(request: pytest.FixtureRequest) -> Scorer:
    """Each implementation of the port in turn."""
    make: Callable[[], Scorer] = request.param
    return make()


def test_no_texts(scorer: Scorer) -> None:
    """No texts give no scores, with the right shape and type."""
    scores = scorer.score([])
    assert scores.shape == (0,)
    assert scores.dtype == np.float32


def test_range_shape_and_type(scorer: Scorer) -> None:
    """Scores are float32 in [0, 1], one a text."""
    texts = list(stream()[0][:300])
    scores = scorer.score(texts)
    assert scores.shape == (300,)
    assert scores.dtype == np.float32
    assert ((scores >= 0) & (scores <= 1)).all()


def test_odd_texts(scorer: Scorer) -> None:
    """Empty, endless and odd texts are scored like any other."""
    scores = scorer.score(list(ODD))
    assert np.isfinite(scores).all()
    assert ((scores >= 0) & (scores <= 1)).all()


def test_order_is_kept(scorer: Scorer) -> None:
    """Scores come in the order of the texts, whatever that is."""
    texts = list(stream()[0][:200])
    forward, backward = scorer.score(texts), scorer.score(texts[::-1])
    np.testing.assert_allclose(forward, backward[::-1], atol=1e-5)


def test_score_depends_on_its_text_alone(scorer: Scorer) -> None:
    """A text scores the same alone and in any company: a cache by text is exact."""
    texts = [*sorted(set(stream()[0]))[::7], *ODD]
    alone = np.concatenate([scorer.score([text]) for text in texts])
    np.testing.assert_allclose(alone, scorer.score(texts), atol=1e-5)
    np.testing.assert_allclose(alone, scorer.score([*texts, *texts])[: len(texts)], atol=1e-5)


def test_same_call_same_scores(scorer: Scorer) -> None:
    """The same call gives the same bits."""
    texts = list(stream()[0][:200])
    assert scorer.score(texts).tobytes() == scorer.score(texts).tobytes()


def test_threads_do_not_disturb_each_other(scorer: Scorer) -> None:
    """Calls from several threads at once give what one thread gives."""
    texts = stream()[0]
    parts = [list(texts[start : start + 150]) for start in range(0, 1200, 150)]
    expected = [scorer.score(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(scorer.score, parts))
    for one, other in zip(expected, found, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_model_id(scorer: Scorer) -> None:
    """A scorer says which model it is."""
    assert scorer.model_id


def test_two_sessions_agree() -> None:
    """Another session, with other threads and batches, gives the same scores."""
    texts = sorted(set(stream()[0]))
    other = load_slm(load_pack(SHIPPED), threads=1, batch_size=7)
    np.testing.assert_allclose(shipped().score(texts), other.score(texts), atol=1e-5)


def test_a_long_text_is_read_in_windows() -> None:
    """With a window the score is the highest of any window's, wherever in the text it is; without
    one it is the first window's."""
    pack = load_pack(SHIPPED)
    stage = pack.manifest.slm
    assert stage is not None
    assert stage.window is not None
    windows = load_slm(pack, threads=1)
    head_only = OnnxScorer(stage.model_copy(update={"window": None}), pack.read, threads=1)
    calm = "frontend INFO page rendered in 0 ms " * 30
    trouble = "payments ERROR order ORD-0 charged twice"
    low, high = windows.score([calm, trouble])
    assert high - low > 0.5
    for text in (f"{calm} {trouble}", f"{calm} {trouble} {calm}"):
        (found,) = windows.score([text])
        assert found - low > 0.2
        assert head_only.score([text]) == head_only.score([calm])


@pytest.mark.parametrize(("threads", "batch_size"), [(0, 64), (1, 0), (-1, 1)])
def test_bad_arguments(threads: int, batch_size: int) -> None:
    """Threads and batch size below one are refused."""
    with pytest.raises(ValueError, match="at least 1"):
        load_slm(load_pack(SHIPPED), threads=threads, batch_size=batch_size)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_fixed_scores_must_be_scores(score: float) -> None:
    """The twin refuses what the real scorer could never say."""
    with pytest.raises(ValueError, match=r"not in \[0, 1\]"):
        FixedScorer({}, default=score)


def auc(truth: NDArray[np.bool_], scores: NDArray[np.float32]) -> float:
    """P(an important event outscores an unimportant one), ties half."""
    positive, negative = scores[truth], np.sort(scores[~truth])
    below = np.searchsorted(negative, positive, "left")
    upto = np.searchsorted(negative, positive, "right")
    return float((below + upto).mean() / 2 / len(negative))


def test_quality_on_the_demo_stream() -> None:
    """On a demo stream the pack ranks, catches and spares as its card says."""
    texts, important, unseen = stream()
    scores = shipped().score(list(texts))
    known, boring = important & ~unseen, ~important
    assert auc(important[~unseen], scores[~unseen]) >= 0.98
    assert (scores[known] >= 0.2).mean() >= 0.97
    assert (scores[boring] < 0.2).mean() >= 0.90


def test_unseen_failures_are_harder() -> None:
    """Failures of unseen kinds rank above the routine on average, and are not all caught."""
    texts, important, unseen = stream()
    scores = shipped().score(list(texts))
    ranked = auc(unseen[unseen | ~important], scores[unseen | ~important])
    assert 0.6 < ranked < 1.0
    assert (scores[unseen] >= 0.2).mean() < 1.0
