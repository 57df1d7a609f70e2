"""The scout: character n-grams and a linear model, cheap enough to read every distinct text."""

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.errors import PackError
from stream_filter.models.manifest import Affine
from stream_filter.models.ngrams import Hashing, hashed_texts
from stream_filter.models.pack import ModelPack


class Scout:
    """Scores texts by their n-grams. Thread-safe; a score depends on its text alone.

    A text's logit is Σ w·r / √(Σ r²) over all its n-grams, where w is the weight and r the rarity
    of an n-gram's bucket: a linear model on rarity-weighted counts, scaled for the text's length.
    """

    def __init__(
        self,
        weights: NDArray[np.float32],
        rarities: NDArray[np.float32],
        hashing: Hashing,
        calibration: Affine,
    ) -> None:
        """`weights`, `rarities`: shape (buckets,). Rarities are ≥ 0."""
        # One more bucket, without weight, for places where no n-gram begins.
        self._products = np.append(weights * rarities, np.float32(0))
        self._squares = np.append(rarities * rarities, np.float32(0))
        self._hashing = hashing
        self._calibration = calibration

    def raw_logits(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Shape (n,): before calibration."""
        found = np.zeros(len(texts))
        for chunk in hashed_texts(texts, self._hashing):
            sums, norms = (
                np.add.reduceat(
                    sum(table[row] for row in chunk.codes), chunk.starts, dtype=np.float64
                )
                for table in (self._products, self._squares)
            )
            place = slice(chunk.first, chunk.first + len(chunk.starts))
            found[place] = sums / np.sqrt(np.maximum(norms, 1e-12))
        return found

    def score(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Scores of shape (n,), float32 in [0, 1], in the order of `texts`."""
        logits = self.raw_logits(texts) * self._calibration.slope + self._calibration.intercept
        scores: NDArray[np.float32] = (0.5 + 0.5 * np.tanh(0.5 * logits)).astype(np.float32)
        return scores


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
    return Scout(arrays[0], arrays[1], hashing, stage.calibration)


def written(weights: NDArray[np.float32], rarities: NDArray[np.float32]) -> bytes:
    """The bytes of a pack's scout file, as `load_scout` reads them."""
    buffer = io.BytesIO()
    np.save(buffer, np.stack([weights, rarities]).astype("<f4"), allow_pickle=False)
    return buffer.getvalue()


def _error(pack: ModelPack, file: str, problem: str) -> PackError:
    return PackError(
        pack=pack.manifest.name, file=file, problem=problem, way_out="build the pack again"
    )
