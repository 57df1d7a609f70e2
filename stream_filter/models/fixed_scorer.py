"""The scorer's in-memory twin: scores looked up in a table."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray


class FixedScorer:
    """Scores texts from a mapping, `default` for all others. Scores must lie in [0, 1].

    For tests and dry runs; keeps the promises of `StagedScorer`: order is kept,
    a score depends on nothing but its text, any thread may call.
    """

    def __init__(
        self, scores: Mapping[str, float], default: float, model_id: str = "fixed"
    ) -> None:
        for score in (default, *scores.values()):
            if not 0.0 <= score <= 1.0:
                raise ValueError(f"score {score} is not in [0, 1]")
        self.model_id = model_id
        self._scores = dict(scores)
        self._default = default

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores of shape (n,), float32, in the order of `texts`."""
        return np.array([self._scores.get(text, self._default) for text in texts], np.float32)

    def score_by_scout(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """As `score`: the table is its own scout."""
        return self.score(texts)
