"""The scores of a batch's texts, and values by record from values by text."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import ScorerError
from stream_filter.core.policy import WhenOverloaded
from stream_filter.gate.ports import Texts
from stream_filter.gate.score_cache import ScoreCache

_Scalar = TypeVar("_Scalar", np.float32, np.uint64, np.bool_)


def score_texts(
    cache: ScoreCache,
    texts: Texts,
    digests: Sequence[bytes],
    rule: NDArray[np.int16] | None,
    *,
    overload: WhenOverloaded | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_], int, ScorerError | None]:
    """Scores, shape (m,), NaN for none; which of them are the scout's alone, shape (m,); how many
    texts the model read; and why it could not.

    Texts that stand only in records that a rule decides get no score. `overload`: what is done with
    those that the model would have to read; None: it reads them.
    """
    if overload not in (WhenOverloaded.FORWARD, WhenOverloaded.SCOUT_ONLY):
        scores, texts_read, failure = _score_undecided(cache, texts, digests, rule)
        return scores, np.zeros(len(scores), np.bool_), texts_read, failure
    scores = cache.remembered(digests)
    missing = np.isnan(scores)
    at = np.flatnonzero(missing)
    if overload is WhenOverloaded.FORWARD or not len(at):
        return scores, np.zeros(len(scores), np.bool_), 0, None
    try:
        # Not remembered: the model's own would be others.
        scores[at] = cache.scorer.score_by_scout([texts.distinct[index] for index in at.tolist()])
    except ScorerError as error:
        return scores, np.zeros(len(scores), np.bool_), 0, error
    return scores, missing, 0, None


def _score_undecided(
    cache: ScoreCache,
    texts: Texts,
    digests: Sequence[bytes],
    rule: NDArray[np.int16] | None,
) -> tuple[NDArray[np.float32], int, ScorerError | None]:
    """As `ScoreCache.score`, but for texts that stand only in records that a rule decides."""
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
