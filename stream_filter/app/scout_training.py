"""Trains a scout from labelled events: chooses on held-out groups, calibrates, measures, fits."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.splits import held_out_folds
from stream_filter.core.ranking import auc, forwarded_share
from stream_filter.models.manifest import Affine
from stream_filter.models.ngrams import Hashing
from stream_filter.models.scout import Scout, ScoutReading
from stream_filter.models.scout_fitting import (
    FittedScout,
    Ngrams,
    fit_calibration,
    fit_scout,
    ngrams_of,
)

HASHING = Hashing(shortest=2, longest=5, bits=18)
WINDOW = 128
"""Bytes. At recall 0.99 it forwards 0.01 more of loghub's held-out texts than none does, one of 64
bytes 0.08 more; the narrower, the less padding hides."""
STRENGTHS = (10.0, 1.0, 0.1)
"""Tried in this order: how freely the weights may grow."""
START_SHARE = 0.5
"""How much of what another scout says is taken as the start: of 0.25, 0.5 and 1 on 40 splits of
loghub by template, with 500 labels, the one with the fewest bad cases."""
_CLEARLY_LESS = 0.8
"""A later strength must forward so many times less: on few labels all else is chance."""

MOST_TEXTS = 20_000
"""Distinct texts that are fitted at once: some 400 MB and minutes of work."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """What a scout says of events that it was not trained on."""

    tested: NDArray[np.bool_]
    """Shape (n,): which events were held out at all."""
    logits: Floats
    """Shape (n,): 0 where not tested."""
    unseen: Floats
    """Shape (n,): the share of n-grams that the scout had not seen; 0 where not tested."""
    strength: float
    split: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedScout:
    """A scout fitted to all events, and what was held out on the way."""

    fitted: FittedScout
    slope: float
    intercept: float
    held_out: HeldOut
    scores: Floats
    """Shape (n,): calibrated, of the held-out events."""
    tried_all: bool
    """False where the time was up before every setting was tried."""
    from_scratch_auc: float | None
    """Of held-out events, without the start; None where it has none."""
    fit_s: float
    """Seconds that the fit to all labels took."""

    @property
    def calibration(self) -> Affine:
        return Affine(method="platt", slope=self.slope, intercept=self.intercept)

    def scout(self) -> Scout:
        """As a pack has it."""
        weights, rarities = self.fitted.weights, self.fitted.rarities
        return Scout(weights, rarities, HASHING, self.calibration, WINDOW)


def train_scout(
    events: LabelledEvents,
    *,
    recall: float,
    seed: int,
    seconds: float,
    start: Scout | None = None,
    clock_s: Callable[[], float] = time.monotonic,
    told: Callable[[str], None] = lambda _: None,
) -> TrainedScout:
    """`recall`: a strength that forwards clearly less at it is taken, else the first. `seconds`:
    after these none is begun any more but the first. `start`: a scout trained elsewhere, with the
    same n-grams, that is begun from where that ranks the held-out events better. Raises ConfigError
    where there are too few labels.

    Fitting, choice, calibration and figures all weigh events. On held-out templates of public logs
    a fit with one vote a text was no better on the whole, and at times far worse.
    """
    folds, split = held_out_folds(events, seed=seed)
    ngrams = ngrams_of(events.texts, HASHING)
    until = clock_s() + seconds
    best: tuple[float, float, HeldOut] | None = None
    tried = 0
    for strength in STRENGTHS:
        if tried and clock_s() > until:
            break
        tried += 1
        found = _held_out(events, ngrams, folds, strength, split)
        share, area = _measured(events, found, recall)
        told(f"strength {strength:g}: forwards {share:.1%} at recall {recall:g}, AUC {area:.4f}")
        if best is None or share < best[0] * _CLEARLY_LESS:
            best = share, area, found
    assert best is not None, "the first strength is always tried"
    _, before, held_out = best
    products, from_scratch_auc = None, None
    if start is not None and clock_s() <= until:
        products = START_SHARE * start.products
        found = _held_out(events, ngrams, folds, held_out.strength, split, products)
        share, area = _measured(events, found, recall)
        told(f"from the start: forwards {share:.1%} at recall {recall:g}, AUC {area:.4f}")
        if area > before:
            held_out, from_scratch_auc = found, before
        else:
            products = None
    everything, began_s = np.ones(len(events.codes), np.bool_), clock_s()
    counts = counted_by_text(events, everything)
    fitted = fit_counted(ngrams, *counts, held_out.strength, products)
    platt = calibrated(events, held_out)
    return TrainedScout(
        fitted=fitted,
        slope=platt.slope,
        intercept=platt.intercept + platt.slope * fitted.offset,
        held_out=held_out,
        scores=platt.scores,
        tried_all=tried == len(STRENGTHS),
        from_scratch_auc=from_scratch_auc,
        fit_s=clock_s() - began_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibrated:
    """Raw logits of held-out events as chances."""

    slope: float
    intercept: float
    scores: Floats
    """Shape (n,): of the held-out events."""


def calibrated(events: LabelledEvents, held_out: HeldOut) -> Calibrated:
    """By what is true of the held-out events."""
    rows = held_out.tested
    slope, intercept = fit_calibration(
        held_out.logits[rows], events.important[rows] == 1, events.weights[rows]
    )
    scores = 0.5 + 0.5 * np.tanh(0.5 * (slope * held_out.logits + intercept))
    return Calibrated(slope=slope, intercept=intercept, scores=scores)


def counted_by_text(events: LabelledEvents, rows: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """`by_text`, with weights of which an event of average weight has 1, so that the penalty means
    the same everywhere."""
    important, mass = events.by_text(rows)
    return important, mass * (rows.sum() / mass.sum())


def _measured(events: LabelledEvents, found: HeldOut, recall: float) -> tuple[float, float]:
    """Forwarded share at the recall, and AUC."""
    rows = found.tested
    columns = found.logits[rows], events.important[rows] == 1, events.weights[rows]
    return forwarded_share(*columns, recall), auc(*columns)


def _held_out(
    events: LabelledEvents,
    ngrams: Ngrams,
    folds: list[NDArray[np.bool_]],
    strength: float,
    split: str,
    start: Floats | None = None,
) -> HeldOut:
    logits, unseen = np.zeros(len(events.codes)), np.zeros(len(events.codes))
    tested = np.zeros(len(events.codes), np.bool_)
    for fold in folds:
        fitted = fit_counted(ngrams, *counted_by_text(events, ~fold), strength, start)
        logits[fold], unseen[fold] = read_events(fitted, events, fold)
        tested |= fold
    return HeldOut(tested=tested, logits=logits, unseen=unseen, strength=strength, split=split)


def read_events(
    fitted: FittedScout, events: LabelledEvents, rows: NDArray[np.bool_] | NDArray[np.int64]
) -> ScoutReading:
    """What it says of these events, each text read once."""
    codes, text = np.unique(events.codes[rows], return_inverse=True)
    texts = [events.texts[code] for code in codes.tolist()]
    logits, unseen = fitted.read(texts, HASHING, WINDOW)
    return ScoutReading(logits[text], unseen[text])


def fit_counted(
    ngrams: Ngrams,
    important: Floats,
    mass: Floats,
    strength: float,
    start: Floats | None = None,
) -> FittedScout:
    """From the texts that count, all of shape (texts,)."""
    there = mass > 0
    return fit_scout(
        ngrams.of(there),
        important[there],
        mass[there],
        buckets=HASHING.buckets,
        strength=strength,
        start=start,
    )
