"""Trains an SLM on the folds that chose a scout: fine-tunes, measures, calibrates, quantizes.

Imports of the [train] extra stand inside: a scout can be trained without it.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.splits import held_out_folds
from stream_filter.models.scout_fitting import fit_calibration

FEWEST_LABELS = 1_000
"""Below, n-grams are the better model on every log set that was tried: no SLM is trained."""
MOST_EPOCHS = 10
_STEPS = 330
"""Enough for a few thousand labels; fewer distinct texts are read more often for it."""
_BATCH = 32
_LAST_FIT = 1.6
"""What is left for the fit on all labels and for the export, in times of the fit of a fold."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlmChoice:
    """What is trained, and how long."""

    encoder: str
    layers: int
    seed: int
    until_s: float
    """By `time.monotonic`."""
    workspace: Path
    """Checkpoints of a training that was broken off lie here."""
    told: Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedSlm:
    """A float32 classifier of all labels, and what its twin said of held-out events."""

    graph: bytes
    """ONNX, float32, calibrated."""
    tokenizer: bytes
    max_tokens: int
    tokens: list[list[int]]
    """Of texts of the stream, to find the ranges of int8 activations."""
    slope: float
    intercept: float
    folds: list[NDArray[np.bool_]]
    """Each of shape (n,): which events were held out together."""
    scores: Floats
    """Shape (n,): calibrated, of the held-out events."""
    base: str
    libraries: dict[str, str]
    notes: list[str]


def train_slm(events: LabelledEvents, choice: SlmChoice) -> TrainedSlm:
    """Fine-tune without each fold, as many folds as the time allows, calibrate and measure there,
    then fit again on all labels; where not even that fits in, the first fit is what is kept.

    Raises ConfigError where there is no such encoder.
    """
    from stream_filter.models.manifest import Affine
    from stream_filter.training.fine_tuning import (
        Classifier,
        Recipe,
        Schedule,
        fine_tune,
        pretrained,
    )
    from stream_filter.training.slm_graph import exported, finished

    folds, _ = held_out_folds(events, seed=choice.seed)
    planned = len(folds)
    batches = -(-len(events.texts) // _BATCH)
    recipe = Recipe(
        encoder=choice.encoder,
        layers=choice.layers,
        epochs=min(MOST_EPOCHS, max(3, -(-_STEPS // batches))),
        batch=_BATCH,
        seed=choice.seed,
    )
    workspace = _workspace(events, choice, recipe.epochs)

    def fit(important: Floats, mass: Floats, until_s: float, name: str) -> Classifier:
        folder, there = workspace / name, mass > 0
        folder.mkdir(parents=True, exist_ok=True)
        texts = [text for text, used in zip(events.texts, there.tolist(), strict=True) if used]
        classifier = pretrained(recipe, events.texts)
        choice.told(f"slm: {name}: {len(texts):,} texts, {recipe.epochs} epochs")
        schedule = Schedule(until_s=until_s, folder=folder, told=choice.told)
        # What comes more often counts more, but a storm is not the whole stream.
        fine_tune(classifier, texts, important[there], np.sqrt(mass[there]), recipe, schedule)
        return classifier

    logits = np.zeros(len(events.codes))
    took_s = 0.0
    for number, fold in enumerate(folds, 1):
        began_s = time.monotonic()
        left_s = choice.until_s - began_s
        if number > 1 and left_s < took_s * (1 + _LAST_FIT):
            folds = folds[: number - 1]
            break
        until_s = began_s + left_s / (1 + _LAST_FIT)
        name = f"without fold {number} of {planned}"
        classifier = fit(*events.by_text(~fold), until_s, name)
        held_out = np.unique(events.codes[fold])
        by_text = np.zeros(len(events.texts))
        by_text[held_out] = classifier.logits([events.texts[code] for code in held_out.tolist()])
        logits[fold] = by_text[events.codes[fold]]
        took_s = max(took_s, time.monotonic() - began_s)
    tested = np.logical_or.reduce(folds)
    columns = events.important[tested] == 1, events.weights[tested]
    slope, intercept = fit_calibration(logits[tested], *columns)
    scores = 0.5 + 0.5 * np.tanh(0.5 * (slope * logits + intercept))
    notes = [
        f"SLM: {choice.encoder}, first {choice.layers} layers, {recipe.epochs} epochs; measured on "
        f"{len(folds)} of {planned} folds."
    ]
    if choice.until_s - time.monotonic() > 0.5 * took_s:
        classifier = fit(*events.by_text(), choice.until_s, "with all texts")
    else:
        notes.append("The time was up before the SLM was fitted with all texts: some are left out.")
    graph = finished(
        exported(classifier.net),
        Affine(method="platt", slope=slope, intercept=intercept),
        important=1,
    )
    rng = np.random.default_rng(choice.seed)
    shown = rng.permutation(len(events.texts))[:256].tolist()
    return TrainedSlm(
        graph=graph.SerializeToString(deterministic=True),
        tokenizer=classifier.tokenizer_json.encode(),
        max_tokens=recipe.max_tokens,
        tokens=classifier.tokens([events.texts[code] for code in shown]),
        slope=slope,
        intercept=intercept,
        folds=folds,
        scores=scores,
        base=f"{choice.encoder}, first {choice.layers} layers",
        libraries={name: version(name) for name in ("torch", "transformers", "optimum", "onnx")},
        notes=notes,
    )


def _workspace(events: LabelledEvents, choice: SlmChoice, epochs: int) -> Path:
    """The folder of checkpoints; emptied where they are of another training."""
    told = {
        "events": events.sha256,
        # The same events, labelled by a teacher, are another training.
        "labels": hashlib.sha256(events.important.tobytes() + events.weights.tobytes()).hexdigest(),
        "texts": len(events.texts),
        "encoder": choice.encoder,
        "layers": choice.layers,
        "seed": choice.seed,
        "epochs": epochs,
    }
    note = choice.workspace / "training.json"
    try:
        is_same = json.loads(note.read_text()) == told
    except (OSError, ValueError):
        is_same = False
    if not is_same:
        shutil.rmtree(choice.workspace, ignore_errors=True)
        choice.workspace.mkdir(parents=True)
        note.write_text(json.dumps(told))
    return choice.workspace
