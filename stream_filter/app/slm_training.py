"""Trains an SLM on the folds that chose a scout: fine-tunes, measures, calibrates, quantizes.

Imports of the [train] extra stand inside: a scout can be trained without it.
"""

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
from stream_filter.core.ranking import auc, forwarded_share
from stream_filter.models.scout_fitting import fit_calibration

FEWEST_LABELS = 1_000
"""Below, n-grams are the better model on every log set that was tried: no SLM is trained."""
MOST_EPOCHS = 10
_STEPS = 330
"""Enough for a few thousand labels; fewer distinct texts are read more often for it."""
_BATCH = 32
_SECOND_FIT = 0.45
"""Of the time: for the last fit, on all labels."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class SlmChoice:
    """What is trained, and how long."""

    encoder: str
    layers: int
    recall: float
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
    tested: NDArray[np.bool_]
    """Shape (n,): which events were held out."""
    scores: Floats
    """Shape (n,): calibrated, of the held-out events."""
    base: str
    libraries: dict[str, str]
    notes: list[str]


def train_slm(events: LabelledEvents, choice: SlmChoice) -> TrainedSlm:
    """Fine-tune on all folds but the first, calibrate and measure there, then fit again on all
    labels, if the time allows; else the first fit is what is kept.

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
    tested = folds[0]
    batches = -(-len(events.texts) // _BATCH)
    recipe = Recipe(
        encoder=choice.encoder,
        layers=choice.layers,
        epochs=min(MOST_EPOCHS, max(3, -(-_STEPS // batches))),
        batch=_BATCH,
        seed=choice.seed,
    )
    workspace = _workspace(events, choice, recipe.epochs)
    truth, mass = _by_text(events, ~tested)
    rows = events.codes[tested]
    columns = events.important[tested] == 1, events.weights[tested]

    def fit(important: Floats, there: NDArray[np.bool_], until_s: float, name: str) -> Classifier:
        folder = workspace / name
        folder.mkdir(parents=True, exist_ok=True)
        texts = [text for text, used in zip(events.texts, there.tolist(), strict=True) if used]
        classifier = pretrained(recipe, events.texts)
        choice.told(f"slm: {name}: {len(texts):,} texts, {recipe.epochs} epochs")
        schedule = Schedule(until_s=until_s, folder=folder, told=choice.told)
        fine_tune(classifier, texts, important[there], np.ones(len(texts)), recipe, schedule)
        return classifier

    began_s = time.monotonic()
    first_until_s = began_s + (choice.until_s - began_s) * (1 - _SECOND_FIT)
    classifier = fit(truth, mass > 0, first_until_s, "without the held-out texts")
    took_s = time.monotonic() - began_s
    at = np.unique(rows)
    logits = np.zeros(len(events.texts))
    logits[at] = classifier.logits([events.texts[code] for code in at.tolist()])
    share = forwarded_share(logits[rows], *columns, choice.recall)
    area = auc(logits[rows], *columns)
    choice.told(f"slm: forwards {share:.1%} at recall {choice.recall:g}, AUC {area:.4f}")
    slope, intercept = fit_calibration(logits[rows], *columns)
    scores = np.zeros(len(events.codes))
    scores[tested] = 0.5 + 0.5 * np.tanh(0.5 * (slope * logits[rows] + intercept))
    notes = [f"SLM: {choice.encoder}, first {choice.layers} layers, {recipe.epochs} epochs."]
    if choice.until_s - time.monotonic() > 0.5 * took_s:
        classifier = fit(*_everything(events), choice.until_s, "with all texts")
    else:
        notes.append("The time was up before the SLM was fitted again with the held-out texts.")
    graph = finished(
        exported(classifier.model),
        Affine(method="platt", slope=slope, intercept=intercept),
        important=1,
    )
    shutil.rmtree(workspace, ignore_errors=True)
    rng = np.random.default_rng(choice.seed)
    shown = rng.permutation(len(events.texts))[:256].tolist()
    return TrainedSlm(
        graph=graph.SerializeToString(deterministic=True),
        tokenizer=classifier.tokenizer_json.encode(),
        max_tokens=recipe.max_tokens,
        tokens=classifier.tokens([events.texts[code] for code in shown]),
        slope=slope,
        intercept=intercept,
        tested=tested,
        scores=scores,
        base=f"{choice.encoder}, first {choice.layers} layers",
        libraries={name: version(name) for name in ("torch", "transformers", "optimum", "onnx")},
        notes=notes,
    )


def _by_text(events: LabelledEvents, rows: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Of each distinct text among `rows`: the share of its events that is important, and its
    weight. Both of shape (texts,)."""
    count = len(events.texts)
    mass = np.bincount(events.codes[rows], events.weights[rows], count)
    yes = np.bincount(
        events.codes[rows], events.weights[rows] * (events.important[rows] == 1), count
    )
    return yes / np.maximum(mass, 1e-300), mass


def _everything(events: LabelledEvents) -> tuple[Floats, NDArray[np.bool_]]:
    truth, mass = _by_text(events, np.ones(len(events.codes), np.bool_))
    return truth, mass > 0


def _workspace(events: LabelledEvents, choice: SlmChoice, epochs: int) -> Path:
    """The folder of checkpoints; emptied where they are of another training."""
    told = {
        "events": events.sha256,
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
