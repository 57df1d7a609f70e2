"""The scout: character n-grams and a linear model, cheap enough to read every distinct text."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import PackError
from stream_filter.models.manifest import Affine
from stream_filter.models.ngrams import HashedTexts, Hashing, hashed_texts
from stream_filter.models.pack import ModelPack

Places = NDArray[np.int64]


class ScoutReading(NamedTuple):
    """What a scout says of n texts."""

    logits: NDArray[np.float64]
    """Shape (n,): before calibration."""
    unseen: NDArray[np.float64]
    """Shape (n,), in [0, 1]: the share of n-grams that no text had when it was trained, in the
    window with the most. Of these it knows nothing, however sure it is of the rest."""


class Scout:
    """Scores texts by their n-grams. Thread-safe; a score depends on its text alone.

    A text's logit is Σ w·r / √(Σ r²) over all its n-grams, where w is the weight and r the rarity
    of an n-gram's bucket: a linear model on rarity-weighted counts, scaled for the text's length.
    With a window, it is the highest such sum of any `window` bytes in a row, in steps of half a
    window: what else stands in the text does not hide them.
    """

    def __init__(
        self,
        weights: NDArray[np.float32],
        rarities: NDArray[np.float32],
        hashing: Hashing,
        calibration: Affine,
        window: int | None = None,
    ) -> None:
        """`weights`, `rarities`: shape (buckets,). Rarities are ≥ 0."""
        # One more bucket, without weight, for places where no n-gram begins.
        self._products = np.append(weights * rarities, np.float32(0))
        self._squares = np.append(rarities * rarities, np.float32(0))
        self._unseen = np.append(rarities == 0, False).astype(np.float32)
        self._hashing = hashing
        self._calibration = calibration
        self._window = window

    @property
    def products(self) -> NDArray[np.float64]:
        """Shape (buckets,): what each n-gram says, weight times rarity."""
        return self._products[:-1].astype(np.float64)

    def read(self, texts: Sequence[str]) -> ScoutReading:
        """In the order of `texts`."""
        logits, unseen = np.zeros(len(texts)), np.zeros(len(texts))
        for chunk in hashed_texts(texts, self._hashing):
            starts, ends, first = _windows(chunk, self._window)
            sums, norms, strange = (
                _sums(sum(table[row] for row in chunk.codes), starts, ends)
                for table in (self._products, self._squares, self._unseen)
            )
            place = slice(chunk.first, chunk.first + len(chunk.starts))
            logits[place] = np.maximum.reduceat(sums / np.sqrt(np.maximum(norms, 1e-12)), first)
            # About as many n-grams as places and lengths: those cut off at the end are few.
            places = (ends - starts) * len(chunk.codes)
            unseen[place] = np.maximum.reduceat(strange / places, first)
        return ScoutReading(logits, unseen)

    def calibrated(self, logits: NDArray[np.float64]) -> NDArray[np.float32]:
        """Raw logits of shape (n,) as scores, float32 in [0, 1]."""
        odds = logits * self._calibration.slope + self._calibration.intercept
        scores: NDArray[np.float32] = (0.5 + 0.5 * np.tanh(0.5 * odds)).astype(np.float32)
        return scores

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores of shape (n,), float32 in [0, 1], in the order of `texts`."""
        return self.calibrated(self.read(texts).logits)


def _windows(chunk: HashedTexts, window: int | None) -> tuple[Places, Places, Places]:
    """Where each window of each text begins and ends, shape (windows,), and each text's first
    window, shape (texts,)."""
    starts = chunk.starts
    ends = np.append(starts[1:], chunk.codes.shape[1])
    if window is None:
        return starts, ends, np.arange(len(starts))
    step = window // 2
    counts = 1 + np.maximum(0, -((window - (ends - starts)) // step))
    first = np.cumsum(counts) - counts
    nth = np.arange(counts.sum()) - np.repeat(first, counts)
    # The last one is as long as the others: it begins earlier, not later.
    latest = np.maximum(starts, ends - window)
    begin = np.minimum(np.repeat(starts, counts) + nth * step, np.repeat(latest, counts))
    return begin, np.minimum(begin + window, np.repeat(ends, counts)), first


def _sums(values: NDArray[np.float32], starts: Places, ends: Places) -> NDArray[np.float64]:
    """Of each window. Exact to float64 whatever stands beside it: a text's score is its own."""
    bounds = np.stack([starts, ends], axis=1).ravel()
    return np.add.reduceat(np.append(values, np.float32(0)), bounds, dtype=np.float64)[::2]


def load_scout(pack: ModelPack) -> Scout:
    """The scout of a pack that has one. Raises PackError where its arrays are not what they
    should be; never unpickles."""
    stage = pack.manifest.scout
    assert stage is not None, "the caller looks whether the pack has a scout"
    hashing = Hashing(shortest=stage.shortest, longest=stage.longest, bits=stage.bits)
    data = pack.read(stage.weights)
    try:
        arrays = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise _error(pack, stage.weights, "is not a plain numpy array") from error
    if not isinstance(arrays, np.ndarray) or arrays.dtype != np.dtype("<f4"):
        raise _error(pack, stage.weights, "is not one array of float32")
    if arrays.shape != (2, hashing.buckets):
        raise _error(
            pack, stage.weights, f"has shape {arrays.shape}, expected (2, {hashing.buckets})"
        )
    if not np.isfinite(arrays).all() or (arrays[1] < 0).any():
        raise _error(pack, stage.weights, "holds numbers that are no weights")
    return Scout(arrays[0], arrays[1], hashing, stage.calibration, stage.window)


def written(weights: NDArray[np.float32], rarities: NDArray[np.float32]) -> bytes:
    """The bytes of a pack's scout file, as `load_scout` reads them."""
    buffer = io.BytesIO()
    np.save(buffer, np.stack([weights, rarities]).astype("<f4"), allow_pickle=False)
    return buffer.getvalue()


def _error(pack: ModelPack, file: str, problem: str) -> PackError:
    return PackError(
        pack=pack.manifest.name, file=file, problem=problem, way_out="build the pack again"
    )
