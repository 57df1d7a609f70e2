"""A pack's stages as one scorer: the scout reads all, the SLM what the scout is unsure of."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.models.onnx_scorer import OnnxScorer, load_slm
from stream_filter.models.pack import ModelPack
from stream_filter.models.scout import Scout, load_scout


class StagedScorer:
    """One pack in memory, ready to score: the `Scorer` port. Any thread may call.

    With two stages, a text that the scout is unsure of (`manifest.Band`) has the SLM's score,
    any other the scout's. A score still depends on its text alone.
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
        if self.slm is None or self._band is None:
            return self.scout.score(texts)
        logits, unseen = self.scout.read(texts)
        scores = self.scout.calibrated(logits)
        unsure = np.flatnonzero(unseen >= self._band.unseen)
        if len(unsure):
            scores[unsure] = self.slm.score([texts[index] for index in unsure.tolist()])
        return scores

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """What the scout alone says, whatever the band. Raises ScorerError where the pack has
        none."""
        if self.scout is None:
            raise ScorerError("the pack has no scout")
        return self.scout.score(texts)

    def score_by_stage(self, texts: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """What the scout, and the SLM, would say of all: empty for a pack of one stage. Raises
        ScorerError."""
        if self.scout is None or self.slm is None:
            return {}
        return {"its scout alone": self.scout.score(texts), "its SLM alone": self.slm.score(texts)}

    def unsure(self, texts: Sequence[str]) -> NDArray[np.bool_]:
        """Shape (n,): which texts the SLM reads."""
        if self.scout is None or self._band is None:
            return np.full(len(texts), self.scout is None)
        return self.scout.read(texts).unseen >= self._band.unseen
