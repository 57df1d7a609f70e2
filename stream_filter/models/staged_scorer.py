"""A pack's stages as one scorer: the scout reads all, the SLM what the scout is unsure of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.models.manifest import Blend
from stream_filter.models.onnx_scorer import OnnxScorer, load_slm
from stream_filter.models.pack import ModelPack
from stream_filter.models.scout import Scout, load_scout

_LEAST = 1e-6


class StagedScorer:
    """One pack in memory, ready to score: the `Scorer` port. Any thread may call.

    With two stages, a text whose scout score lies in the pack's band [low, high) has the SLM's
    score, or that of both together, any other the scout's. A score still depends on its text alone.
    """

    def __init__(self, pack: ModelPack, threads: int, batch_size: int = 64) -> None:
        """Load every stage; PackError if one does not do what the manifest says.

        `threads` bounds the threads of the SLM; the scout has one.
        """
        self.model_id = pack.model_id
        self.scout: Scout | None = load_scout(pack) if pack.manifest.scout else None
        self.slm: OnnxScorer | None = (
            load_slm(pack, threads, batch_size) if pack.manifest.slm else None
        )
        self._band = pack.manifest.band

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores of shape (n,), float32 in [0, 1], in the order of `texts`. Raises ScorerError."""
        if self.scout is None:
            assert self.slm is not None, "a pack has at least one stage"
            return self.slm.score(texts)
        scores = self.scout.score(texts)
        unsure = self.unsure(scores)
        if self.slm is not None and len(unsure):
            second = self.slm.score([texts[index] for index in unsure.tolist()])
            blend = self._band.blend if self._band else None
            scores[unsure] = second if blend is None else blended(scores[unsure], second, blend)
        return scores

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the scout alone says, whatever the band. Raises ScorerError where the pack has
        none."""
        if self.scout is None:
            raise ScorerError("the pack has no scout")
        return self.scout.score(texts)

    def unsure(self, scout_scores: NDArray[np.float32]) -> NDArray[np.intp]:
        """The places of the texts that the SLM reads, by what the scout says of them."""
        if self.scout is None:
            return np.arange(len(scout_scores))
        if self._band is None:
            return np.zeros(0, np.intp)
        inside = (scout_scores >= self._band.low) & (scout_scores < self._band.high)
        return np.flatnonzero(inside)


def blended(
    first: NDArray[np.floating], second: NDArray[np.floating], blend: Blend
) -> NDArray[np.float32]:
    """One score of two, all of shape (n,): their log-odds, weighed, added and calibrated."""
    odds = blend.scout * log_odds(first) + blend.slm * log_odds(second) + blend.intercept
    scores: NDArray[np.float32] = (0.5 + 0.5 * np.tanh(0.5 * odds)).astype(np.float32)
    return scores


def log_odds(scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Of scores in [0, 1], kept finite: float32 reaches 1 where a sigmoid does not."""
    inside = np.clip(scores.astype(np.float64), _LEAST, 1 - _LEAST)
    return np.log(inside) - np.log1p(-inside)
