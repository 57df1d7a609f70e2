"""Fits a scout: rarities from texts, weights by logistic regression. Numpy alone, deterministic."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.models.manifest import Affine
from stream_filter.models.ngrams import Hashing, hashed_texts
from stream_filter.models.scout import Scout, ScoutReading

Floats = NDArray[np.float64]
_MEMORY = 12  # pairs of steps that L-BFGS remembers
_MOST_STEPS = 150
_CALIBRATION_STEPS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Ngrams:
    """The n-grams of n texts, one entry for each occurrence, in the order of the texts."""

    rows: NDArray[np.int32]
    codes: NDArray[np.int32]
    texts: int

    def of(self, chosen: NDArray[np.bool_]) -> "Ngrams":
        """Those of some texts, shape (texts,), numbered anew."""
        entries = chosen[self.rows]
        number = np.cumsum(chosen, dtype=np.int32) - 1
        return Ngrams(
            rows=number[self.rows[entries]], codes=self.codes[entries], texts=int(chosen.sum())
        )


def ngrams_of(texts: Sequence[str], hashing: Hashing) -> Ngrams:
    """8 bytes for each n-gram of each text."""
    rows, codes = [], []
    for chunk in hashed_texts(texts, hashing):
        lengths = np.diff(chunk.starts, append=chunk.codes.shape[1])
        row = np.repeat(np.arange(len(lengths), dtype=np.int32) + np.int32(chunk.first), lengths)
        # Byte by byte, so that entries stay in the order of the texts.
        code = chunk.codes.T
        there = code != hashing.buckets
        rows.append(np.repeat(row, there.sum(axis=1)))
        codes.append(code[there].astype(np.int32))
    return Ngrams(rows=np.concatenate(rows), codes=np.concatenate(codes), texts=len(texts))


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedScout:
    """Arrays of shape (buckets,), as `Scout` takes them, and the raw logits' offset."""

    weights: NDArray[np.float32]
    rarities: NDArray[np.float32]
    offset: float

    def read(self, texts: Sequence[str], hashing: Hashing, window: int) -> ScoutReading:
        """As a pack's scout with this window says; offset included."""
        scout = Scout(self.weights, self.rarities, hashing, Affine(method="none"), window)
        logits, unseen = scout.read(texts)
        return ScoutReading(logits + self.offset, unseen)


def fit_scout(
    ngrams: Ngrams,
    important: Floats,
    weights: Floats,
    *,
    buckets: int,
    strength: float,
    start: Floats | None = None,
) -> FittedScout:
    """Logistic regression with a quadratic penalty of 1 / (2 · strength), as scikit-learn's C.

    `important`: shape (texts,), in [0, 1], the share of the text's events that are. `weights`:
    shape (texts,). N-grams that no text has get rarity 0: they say nothing.

    `start`: shape (buckets,), what each n-gram says (weight · rarity) in a scout that was trained
    elsewhere. The penalty then is on how far the weights move from there (a Gaussian prior with
    that mean; Chelba and Acero, 2006), and n-grams that the other scout alone knows keep what
    they say.
    """
    rarities = _rarities(ngrams, buckets)
    mean = np.zeros(buckets)
    if start is not None:
        rarities[(rarities == 0) & (start != 0)] = np.log(1 + ngrams.texts) + 1  # of none
        np.divide(start, rarities, out=mean, where=rarities > 0)
    rarity = rarities[ngrams.codes]
    seen, codes = np.unique(ngrams.codes, return_inverse=True)
    norms = np.sqrt(np.maximum(np.bincount(ngrams.rows, rarity * rarity, ngrams.texts), 1e-12))
    values = rarity / norms[ngrams.rows]
    began = mean[seen]

    def loss(point: Floats) -> tuple[float, Floats]:
        inner = np.bincount(ngrams.rows, values * point[codes], ngrams.texts) + point[-1]
        slope = weights * (_sigmoid(inner) - important)
        gradient = np.append(
            np.bincount(codes, values * slope[ngrams.rows], len(seen)), slope.sum()
        )
        moved = point[:-1] - began
        gradient[:-1] += moved / strength
        value = (weights * (np.logaddexp(0, inner) - important * inner)).sum()
        return float(value + moved @ moved / (2 * strength)), gradient

    found = minimize(loss, np.append(began, 0.0))
    all_weights = mean.astype(np.float32)
    all_weights[seen] = found[:-1]
    return FittedScout(
        weights=all_weights,
        rarities=rarities.astype(np.float32),
        offset=float(found[-1]),
    )


def fit_calibration(
    logits: Floats, important: NDArray[np.bool_], weights: Floats
) -> tuple[float, float]:
    """Slope > 0 and intercept with which the logits become probabilities (Platt, 1999, with his
    softened labels), by Newton's method."""
    positive, negative = weights[important].sum(), weights[~important].sum()
    target = np.where(important, (positive + 1) / (positive + 2), 1 / (negative + 2))
    slope, intercept = 1.0, 0.0
    for _ in range(_CALIBRATION_STEPS):
        chance = _sigmoid(slope * logits + intercept)
        error, spread = weights * (chance - target), weights * chance * (1 - chance)
        gradient = np.array([error @ logits, error.sum()])
        cross = spread @ logits
        hessian = np.array([[spread @ logits**2, cross], [cross, spread.sum()]])
        step = np.linalg.solve(hessian + 1e-9 * np.trace(hessian) * np.eye(2), gradient)
        step /= max(1.0, float(np.abs(step).max()))
        slope, intercept = slope - step[0], intercept - step[1]
        if np.abs(step).max() < 1e-9:
            break
    # Scores that point the wrong way are no calibration's to turn round.
    return max(float(slope), 1e-3), float(intercept)


def minimize(loss: Callable[[Floats], tuple[float, Floats]], start: Floats) -> Floats:
    """L-BFGS with backtracking (Nocedal and Wright, 2006, algorithms 7.4 and 3.1)."""
    point = start
    value, gradient = loss(point)
    steps: list[tuple[Floats, Floats, float]] = []
    for _ in range(_MOST_STEPS):
        direction = -_two_loops(gradient, steps)
        descent = float(direction @ gradient)
        size = 1.0 if steps else 1.0 / max(1.0, float(np.linalg.norm(gradient)))
        while True:
            moved = point + size * direction
            new_value, new_gradient = loss(moved)
            if new_value <= value + 1e-4 * size * descent or size < 1e-10:
                break
            size /= 2
        step, change = moved - point, new_gradient - gradient
        if (curvature := float(step @ change)) > 1e-12:
            steps = [*steps[1 - _MEMORY :], (step, change, curvature)]
        done = abs(value - new_value) <= 1e-7 * max(1.0, abs(value))
        point, value, gradient = moved, new_value, new_gradient
        if done:
            break
    return point


def _two_loops(gradient: Floats, steps: Sequence[tuple[Floats, Floats, float]]) -> Floats:
    direction = gradient.copy()
    shares = []
    for step, change, curvature in reversed(steps):
        shares.append(float(step @ direction) / curvature)
        direction -= shares[-1] * change
    if steps:
        _, change, curvature = steps[-1]
        direction *= curvature / float(change @ change)
    for (step, change, curvature), share in zip(steps, reversed(shares), strict=True):
        direction += step * (share - float(change @ direction) / curvature)
    return direction


def _rarities(ngrams: Ngrams, buckets: int) -> Floats:
    """log((1 + texts) / (1 + texts with the n-gram)) + 1, as scikit-learn's smooth idf; 0 where no
    text has it."""
    once = np.unique(ngrams.rows.astype(np.int64) * buckets + ngrams.codes) % buckets
    holding = np.bincount(once, minlength=buckets)
    rarities: Floats = np.log((1 + ngrams.texts) / (1 + holding)) + 1
    rarities[holding == 0] = 0.0
    return rarities


def _sigmoid(logits: Floats) -> Floats:
    return 0.5 + 0.5 * np.tanh(0.5 * logits)
