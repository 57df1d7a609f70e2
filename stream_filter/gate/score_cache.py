"""Scores of canonical texts, remembered. Exact: a score is a function of text and model alone."""

import hashlib
import threading
from collections.abc import Sequence

import numpy as np
from cachebox import LRUCache
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.gate.ports import Scorer

ENTRY_BYTES = 185
"""Resident memory of one entry, measured: 126 to 184 bytes, by how full the table is."""


def text_digest(text: str) -> bytes:
    """BLAKE2b-128 of a canonical text: the cache's key, so that equal keys mean equal texts even
    where somebody chooses the texts. Its first 8 bytes identify the text in the ledger."""
    return hashlib.blake2b(text.encode(), digest_size=16).digest()


class ScoreCache:
    """A scorer that asks the model only for texts that it has not seen lately. Thread-safe."""

    def __init__(self, scorer: Scorer, *, size_bytes: int) -> None:
        self._scorer = scorer
        self._size_bytes = size_bytes
        self._scores: LRUCache[bytes, float] = LRUCache(max(1, size_bytes // ENTRY_BYTES))
        self._model_id = scorer.model_id
        self._lock = threading.Lock()

    @property
    def scorer(self) -> Scorer:
        return self._scorer

    @property
    def size_bytes(self) -> int:
        return self._size_bytes

    @property
    def model_id(self) -> str:
        return self._scorer.model_id

    def __len__(self) -> int:
        return len(self._scores)

    def score(
        self, texts: Sequence[str], digests: Sequence[bytes]
    ) -> tuple[NDArray[np.float32], int, ScorerError | None]:
        """Scores, shape (n,), how many texts the model had to read, and why it could not.

        Where the model fails, the remembered scores stand and the others are NaN.
        """
        scores, missing = self._remembered(digests)
        if not missing:
            return scores, 0, None
        try:
            model_id_before = self._scorer.model_id
            fresh = self._scorer.score([texts[index] for index in missing])
        except ScorerError as error:
            return scores, len(missing), error
        with self._lock:
            # Scores of another model are forgotten, and those of a model that changed on the way
            # are not remembered.
            if self._scorer.model_id == model_id_before == self._model_id:
                self._scores.update(
                    (digests[index], float(value))
                    for index, value in zip(missing, fresh, strict=True)
                )
        scores[missing] = fresh
        return scores, len(missing), None

    def remembered(self, digests: Sequence[bytes]) -> NDArray[np.float32]:
        """Scores, shape (n,), without asking the model: NaN where it would have to read."""
        return self._remembered(digests)[0]

    def _remembered(self, digests: Sequence[bytes]) -> tuple[NDArray[np.float32], list[int]]:
        with self._lock:
            if self._scorer.model_id != self._model_id:
                self._scores.clear()
                self._model_id = self._scorer.model_id
            get = self._scores.get
            found = [get(digest) for digest in digests]
        missing = [index for index, value in enumerate(found) if value is None]
        scores = np.array(found, np.float32)  # None becomes NaN
        return scores, missing
