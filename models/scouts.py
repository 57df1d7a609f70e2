"""Makes the project's own scout packs: fits, calibrates, measures what was held out, writes.

For texts whose every template is at hand. A stream's own pack comes from `stream-filter train`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.models.manifest import CARD_NAME, SCOUT_NAME, Affine, Quality, Speed, Training
from stream_filter.models.manifest import License as PackLicense
from stream_filter.models.ngrams import Hashing
from stream_filter.models.pack import ModelPack
from stream_filter.models.pack_writing import manifest_of, write_pack
from stream_filter.models.scout import Scout, load_scout, written
from stream_filter.models.scout_fitting import (
    FittedScout,
    Ngrams,
    fit_calibration,
    fit_scout,
    ngrams_of,
)

SEED = 7
_FOLDS = 5

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeScout:
    """A scout fitted to all texts, its calibration, and its scores of texts held out."""

    hashing: Hashing
    window: int
    fitted: FittedScout
    calibration: Affine
    held_out: Floats
    """Shape (n,): each text's calibrated score by a scout that never saw its group."""

    @property
    def scout(self) -> Scout:
        return Scout(
            self.fitted.weights,
            self.fitted.rarities,
            self.hashing,
            self.calibration,
            self.window,
        )


def make_scout(
    texts: Sequence[str],
    important: Floats,
    groups: Sequence[str],
    *,
    hashing: Hashing,
    window: int,
    strength: float,
    known_share: float,
) -> MadeScout:
    """`important`: shape (n,), the share of each text's events that are.

    Calibrated on texts held out by group and on learned ones, the latter weighing `known_share`: 0
    for streams that it has never seen, 1/2 for one whose templates it mostly knows.
    """
    ngrams = ngrams_of(texts, hashing)
    folds = _folds(groups)
    logits = np.zeros(len(texts))
    for fold in range(_FOLDS):
        fitted = _fit(ngrams, important, folds != fold, hashing, strength)
        logits[folds == fold] = fitted.read(texts, hashing, window).logits[folds == fold]
    fitted = _fit(ngrams, important, np.ones(len(texts), np.bool_), hashing, strength)
    slope, intercept = fit_calibration(
        np.concatenate([logits, fitted.read(texts, hashing, window).logits]),
        np.concatenate([important, important]) > 0.5,
        np.repeat([1 - known_share, known_share], len(texts)),
    )
    return MadeScout(
        hashing=hashing,
        window=window,
        fitted=fitted,
        calibration=Affine(
            method="platt", slope=slope, intercept=intercept + slope * fitted.offset
        ),
        held_out=0.5 + 0.5 * np.tanh(0.5 * (slope * logits + intercept)),
    )


def _fit(
    ngrams: Ngrams, important: Floats, rows: NDArray[np.bool_], hashing: Hashing, strength: float
) -> FittedScout:
    return fit_scout(
        ngrams.of(rows),
        important[rows],
        np.ones(int(rows.sum())),
        buckets=hashing.buckets,
        strength=strength,
    )


def _folds(groups: Sequence[str]) -> NDArray[np.int64]:
    """Shape (n,): 0 to 4, equal for equal groups, drawn by `SEED`."""
    names, codes = np.unique(np.array(groups), return_inverse=True)
    return (np.random.default_rng(SEED).permutation(len(names)) % _FOLDS)[codes]


def write_scout(
    folder: Path,
    made: MadeScout,
    *,
    description: str,
    card: str,
    training: Training,
    quality: Sequence[Quality],
    speed: Sequence[Speed],
) -> ModelPack:
    """Write the pack at `folder`; one that is there is replaced."""
    files = {
        CARD_NAME: card.encode(),
        SCOUT_NAME: written(made.fitted.weights, made.fitted.rarities),
    }
    facts: Mapping[str, Any] = {
        "name": folder.name,
        "description": description,
        "stages": [
            {
                "kind": "scout",
                "shortest": made.hashing.shortest,
                "longest": made.hashing.longest,
                "bits": made.hashing.bits,
                "window": made.window,
                "calibration": made.calibration.model_dump(),
            }
        ],
        "mask_set": MASK_SET_VERSION,
        "labels": ("unimportant", "important"),
        "training": training.model_dump(),
        "quality": [figure.model_dump() for figure in quality],
        "speed": [figure.model_dump() for figure in speed],
        "license": PackLicense(pack="Apache-2.0", base_weights="none").model_dump(),
    }
    manifest = manifest_of(facts, files)
    rmtree(folder, ignore_errors=True)
    pack = write_pack(folder, manifest, files)
    load_scout(pack)
    return pack


def figure(metric: str, value: float, split: str) -> Quality:
    """One figure, rounded to four digits."""
    return Quality(metric=metric, value=round(float(value), 4), split=split)
