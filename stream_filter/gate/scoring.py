"""The scores of a batch's texts, and values by record from values by text."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.gate.ports import Texts
from stream_filter.gate.score_cache import ScoreCache

_Scalar = TypeVar("_Scalar", np.float32, np.uint64)


def score_texts(
    cache: ScoreCache,
    texts: Texts,
    digests: Sequence[bytes],
    rule: NDArray[np.int16] | None,
    *,
    only_remembered: bool,
) -> tuple[NDArray[np.float32], int, ScorerError | None]:
    """As `ScoreCache.score`, but for texts that stand only in records that a rule decides: these
    get no score. `only_remembered`: nor do those that the model would have to read."""
    if only_remembered:
        return cache.remembered(digests), 0, None
    if rule is None:
        return cache.score(texts.distinct, digests)
    # The last is no text: the code -1 leads there.
    wanted = np.zeros(len(digests) + 1, np.bool_)
    wanted[texts.codes[rule < 0]] = True
    at = np.flatnonzero(wanted[:-1]).tolist()
    scores = np.full(len(digests), np.nan, np.float32)
    scores[at], texts_read, failure = cache.score(
        [texts.distinct[index] for index in at], [digests[index] for index in at]
    )
    return scores, texts_read, failure


def by_code(
    values: NDArray[_Scalar], codes: NDArray[np.int32], missing: _Scalar
) -> NDArray[_Scalar]:
    """`values[codes]`, and `missing` where the code is -1."""
    return np.append(values, missing)[codes]
