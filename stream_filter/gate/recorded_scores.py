"""Scores as the ledger has them: looked up, never invented."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.ledger import Block, BlockHeader
from stream_filter.core.policy import WhenOverloaded
from stream_filter.gate.score_cache import text_digest


def gives_scores(header: BlockHeader, model_id: str) -> bool:
    """Whether a block's scores are this pack's: what its scout alone has scored, the pack would
    score otherwise."""
    return header.model_id == model_id and header.overload != WhenOverloaded.SCOUT_ONLY


class RecordedScores:
    """The `Scorer` port over the scores that one pack gave and the ledger has. NaN for a text that
    it does not have: the gate forwards it as `degraded`. Thread-safe."""

    def __init__(
        self, model_id: str, digests: NDArray[np.uint64], scores: NDArray[np.float32]
    ) -> None:
        """Of each text the digest, each once, and the score, shape (n,) both."""
        order = np.argsort(digests)
        self._digests = digests[order]
        self._scores = scores[order]
        self.model_id = model_id

    def of(self, digests: NDArray[np.uint64]) -> NDArray[np.float32]:
        """Shape (n,)."""
        found = np.full(len(digests), np.nan, np.float32)
        if len(self._digests):
            at = np.minimum(np.searchsorted(self._digests, digests), len(self._digests) - 1)
            is_known = (self._digests[at] == digests) & (digests != 0)
            found[is_known] = self._scores[at[is_known]]
        return found

    def of_block(self, block: Block) -> NDArray[np.float32]:
        """Of a block's rows, shape (n,): as it says itself, where the pack gave them."""
        if not gives_scores(block.header, self.model_id):
            return self.of(block.text_digests)
        score = block.decisions.score
        missing = np.flatnonzero(np.isnan(score) & (block.text_digests != 0))
        if len(missing):
            score = score.copy()
            score[missing] = self.of(block.text_digests[missing])
        return score

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        digests = [int.from_bytes(text_digest(text)[:8], "little") for text in texts]
        return self.of(np.array(digests, np.uint64))

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Nothing: what the ledger has of a scout is not told apart."""
        return np.full(len(texts), np.nan, np.float32)
