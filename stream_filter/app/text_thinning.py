"""A sample of texts drawn while a file is read, so that memory is bounded however many it holds.

A text is kept if its hash lies below a limit, which is halved whenever there are too many (Gibbons,
2001, distinct sampling). Important events have a limit of their own, so few of them are not lost
among many others. An event's weight, divided by its limit, keeps all figures unbiased.
"""

from collections.abc import Sequence
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_HASHES = float(1 << 32)


class TextThinning:
    """The limits, for events that are not important (0) and that are (1)."""

    def __init__(self, most_texts: int) -> None:
        """At most so many distinct texts are kept."""
        self.most_texts = most_texts
        self._limits = np.ones(2)

    @property
    def is_active(self) -> bool:
        return bool((self._limits < 1).any())

    def chances(self, important: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Shape (n,): the chance with which each event was kept."""
        return self._limits[important.astype(np.intp)]

    def kept(
        self, texts: Sequence[str], codes: NDArray[np.int32], important: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """Which of the events, shape (n,), stay; lowers the limits until few enough texts do."""
        at = np.fromiter(map(_place, texts), np.float64, len(texts))[codes]
        while True:
            kept = at < self.chances(important)
            if len(np.unique(codes[kept])) <= self.most_texts:
                return kept
            counts = [len(np.unique(codes[kept & (important == kind)])) for kind in (False, True)]
            self._limits[int(np.argmax(counts))] /= 2


def _place(text: str) -> float:
    """In [0, 1), by the text alone."""
    digest = blake2b(text.encode("utf-8", "replace"), digest_size=4).digest()
    return int.from_bytes(digest, "big") / _HASHES
