"""A scout learns from the SLM what texts say that nobody has labelled; and what that costs.

What was taught is no longer new to the scout: of a stream's own kinds of texts the SLM then reads
few.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.scout_training import (
    HASHING,
    HeldOut,
    TrainedScout,
    calibrated,
    counted_by_text,
    fit_counted,
    read_events,
)
from stream_filter.app.stage_folds import stage_folds
from stream_filter.app.unlabelled_texts import UnlabelledTexts
from stream_filter.core.banding import ALL, auc_loss, choose_band
from stream_filter.models import manifest
from stream_filter.models.scout_fitting import FittedScout, ngrams_of

MOST_TAUGHT = 10_000
"""Distinct texts: half a minute of fitting."""
MASS = 3.0
"""Of all that is taught, in times of all that is labelled. Of 0.3, 1, 3 and 10, that with which
loghub's scout followed the SLM best on other texts of taught kinds, and lost nothing elsewhere."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """What is to be taught, and how long."""

    unlabelled: UnlabelledTexts
    seed: int
    until_s: float
    """By `clock_s`. What does not fit is left out, and said."""
    clock_s: Callable[[], float] = time.monotonic


@dataclass(frozen=True, slots=True, kw_only=True)
class Teacher:
    """An SLM, and what its twins said of events that they were not trained on."""

    score: Callable[[Sequence[str]], NDArray[np.float32]]
    texts_per_s: float
    folds: Sequence[NDArray[np.bool_]]
    """Each of shape (n,): which events were held out together."""
    scores: Floats
    """Shape (n,): of the held-out events."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaughtScout:
    """A scout that was taught, and what that costs."""

    scout: TrainedScout
    """What its taught twins said of held-out events is its `held_out`."""
    unseen: float
    """The share of new n-grams from which on the SLM reads a text."""
    facts: manifest.Taught


def taught_scout(
    events: LabelledEvents,
    scout: TrainedScout,
    teacher: Teacher,
    lesson: Lesson,
    *,
    unseen: float,
    most_loss: float,
) -> tuple[TaughtScout | None, list[str]]:
    """`scout`, fitted again to its labels and to what the SLM says of the lesson's texts; or None;
    and what there is to tell. It is not taught where that would lose more than `most_loss` of AUC
    against an SLM that reads all, on kinds that were taught. `unseen`: the band of the scout as it
    was, whose figure for kinds that nobody taught holds on.
    """
    given = lesson.unlabelled

    def not_taught(reason: str) -> tuple[None, list[str]]:
        return None, [*given.notes, f"The scout was not taught by unlabelled events: {reason}."]

    known = set(events.texts)
    texts = [text for text in given.texts if text not in known]
    if not texts:
        return not_taught("all of their texts have labels")
    if unseen == ALL:
        return not_taught("the SLM reads every text")
    wanted = min(len(texts), MOST_TAUGHT)
    room = _room(scout.fit_s, len(events.texts), teacher, lesson)
    if room <= 0:
        return not_taught("the time was up")
    held_out = rehearsed(events, scout.held_out, teacher, seed=lesson.seed)
    found = calibrated(events, held_out)
    folds = stage_folds(
        events,
        teacher.folds,
        first=found.scores,
        second=teacher.scores,
        unseen=held_out.unseen,
    )
    known_enough = choose_band(folds, most_loss=most_loss).unseen
    if known_enough == ALL:
        loss = auc_loss(folds, unseen)
        return not_taught(f"it would lose {loss:.4f} of AUC against the SLM")
    unseen = min(unseen, known_enough)
    order = np.random.default_rng(lesson.seed).permutation(len(texts)).tolist()
    lessons = [texts[at] for at in order[: min(room, wanted)]]
    fitted = fit_taught(
        events, lessons, teacher.score(lessons).astype(np.float64), strength=held_out.strength
    )
    tested = held_out.tested
    at = np.unique(events.codes[tested], return_index=True)[1]
    facts = manifest.Taught(
        texts=len(lessons),
        data_sha256=given.sha256,
        read_share=round(float((held_out.unseen >= unseen)[tested][at].mean()), 4),
        auc_loss=round(auc_loss(folds, unseen), 5),
    )
    few = " (the time was up before more)" if room < wanted else ""
    return TaughtScout(
        scout=replace(
            scout,
            fitted=fitted,
            slope=found.slope,
            intercept=found.intercept + found.slope * fitted.offset,
            held_out=held_out,
            scores=found.scores,
        ),
        unseen=unseen,
        facts=facts,
    ), [
        *given.notes,
        f"The SLM taught the scout {len(lessons):,} of {len(texts):,} distinct texts without a "
        f"label{few}, of {given.events:,} events. On held-out events, of which one half was "
        f"taught and the other read, both stages lose {facts.auc_loss:.4f} of AUC against the SLM, "
        f"which reads {facts.read_share:.1%}.",
    ]


def _room(fit_s: float, labelled: int, teacher: Teacher, lesson: Lesson) -> int:
    """How many texts can be taught in the time that is left. `fit_s`: what the fit to the
    `labelled` texts took."""
    left_s = lesson.until_s - lesson.clock_s()
    # Two twins a fold, and the labels' part of the last fit.
    left_s -= fit_s * (2 * len(teacher.folds) + 1)
    return int(left_s / (fit_s / labelled + 1 / teacher.texts_per_s))


def rehearsed(events: LabelledEvents, untaught: HeldOut, teacher: Teacher, *, seed: int) -> HeldOut:
    """What taught twins of the scout say of held-out events.

    In each fold, the SLM that has not seen it teaches the texts of one half of the events, beside
    the labels of the other folds, and the twin reads the other half; then they change places. So of
    what is read some texts were taught, as in a stream that goes on, and others are new.
    """
    ngrams = ngrams_of(events.texts, HASHING)
    said = np.zeros(len(events.texts))
    said[events.codes] = teacher.scores
    rng = np.random.default_rng(seed)
    logits, unseen = np.zeros(len(events.codes)), np.zeros(len(events.codes))
    for fold in teacher.folds:
        important, mass = counted_by_text(events, ~fold)
        labelled = mass.sum()
        rows = rng.permutation(np.flatnonzero(fold))
        codes = np.unique(events.codes[rows])
        important[codes] = said[codes]
        for shown, read in ((rows[::2], rows[1::2]), (rows[1::2], rows[::2])):
            lessons = np.unique(events.codes[shown])
            mass[codes] = 0.0
            mass[lessons] = MASS * labelled / max(1, len(lessons))
            fitted = fit_counted(ngrams, important, mass, untaught.strength)
            logits[read], unseen[read] = read_events(fitted, events, read)
    return HeldOut(
        tested=np.logical_or.reduce(teacher.folds),
        logits=logits,
        unseen=unseen,
        strength=untaught.strength,
        split=f"{untaught.split}; of these the SLM had taught the texts of one half, the other was "
        "read",
    )


def fit_taught(
    events: LabelledEvents, texts: Sequence[str], scores: Floats, *, strength: float
) -> FittedScout:
    """From all labels, and what the SLM says of `texts`, shape (texts,): none of them labelled."""
    important, mass = counted_by_text(events, np.ones(len(events.codes), np.bool_))
    return fit_counted(
        ngrams_of([*events.texts, *texts], HASHING),
        np.append(important, scores),
        np.append(mass, np.full(len(texts), MASS * mass.sum() / len(texts))),
        strength,
    )
