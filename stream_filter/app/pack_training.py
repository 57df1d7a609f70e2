"""From labelled events to a pack: what `stream-filter train` does."""

import platform
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from stream_filter import __version__
from stream_filter.app.figures import Figures, figures
from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.model_card import model_card
from stream_filter.app.pack_bench import measure_speed
from stream_filter.app.sampling import sampled
from stream_filter.app.scout_training import HASHING, MOST_TEXTS, WINDOW, TrainedScout, train_scout
from stream_filter.app.second_stage import second_stage
from stream_filter.app.slm_training import FEWEST_LABELS, SlmChoice
from stream_filter.app.splits import unsplit_groups
from stream_filter.app.teaching import Lesson
from stream_filter.app.unlabelled_texts import UnlabelledTexts
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.errors import ConfigError
from stream_filter.core.ranking import reliability
from stream_filter.models.manifest import CARD_NAME, SCOUT_NAME, Quality, Training
from stream_filter.models.manifest import License as PackLicense
from stream_filter.models.ngrams import Hashing
from stream_filter.models.pack import ModelPack
from stream_filter.models.pack_writing import manifest_of, write_pack
from stream_filter.models.scout import Scout, load_scout, written
from stream_filter.models.staged_scorer import StagedScorer
from stream_filter.training.extra import DEFAULT_ENCODER, INSTALL, missing_modules, require_extra

_SCOUT_SECONDS = 0.25
"""Of the time: for the scout, where an SLM comes after it."""
_TEACHING_SECONDS = 0.15
"""Of the time: for what the SLM teaches the scout, where there are unlabelled texts."""


class Stages(StrEnum):
    """Which stages a pack gets. `auto`: those that forward the least at the wanted recall."""

    AUTO = "auto"
    SCOUT = "scout"
    BOTH = "both"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOrder:
    """What is asked of a training."""

    data: str
    """What the events are, for the card."""
    license_name: str
    recall: float
    seed: int
    seconds: float
    stages: Stages
    encoder: str
    layers: int
    told: Callable[[str], None]
    start: ModelPack | None = None
    """A pack whose scout one that stands alone may begin from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPack:
    """A pack on disk, and how good its scores were on held-out events."""

    pack: ModelPack
    held_out: Figures
    split: str
    tried_all: bool
    notes: list[str]


def train_pack(
    folder: Path,
    events: LabelledEvents,
    order: TrainingOrder,
    unlabelled: UnlabelledTexts | None = None,
) -> TrainedPack:
    """Train a scout, and where it pays an SLM, and write them as a pack at `folder`. The SLM
    teaches the scout what the `unlabelled` texts say.

    The same events, seed and libraries give the same pack, if the time suffices for all that is
    tried. Raises ConfigError where the labels do not suffice, or the extra that an SLM needs is not
    there and an SLM was asked for; PackError where `folder` cannot be written.
    """
    until_s = time.monotonic() + order.seconds
    if order.stages is Stages.BOTH:
        require_extra("an SLM")
    read = len(events.texts)
    events = sampled(events, most_texts=MOST_TEXTS, seed=order.seed)
    reason = _why_no_slm(events, order)
    trained = train_scout(
        events,
        recall=order.recall,
        seed=order.seed,
        seconds=order.seconds * (1.0 if reason else _SCOUT_SECONDS),
        # An SLM reads what is new to the stream: for what another scout knows of other streams it
        # is the better judge.
        start=_start_of(order) if reason else None,
        told=order.told,
    )
    second, every_fold = None, trained.held_out.tested
    if reason is None:
        choice = SlmChoice(
            encoder=order.encoder,
            layers=order.layers,
            seed=order.seed,
            until_s=until_s - (order.seconds * _TEACHING_SECONDS if unlabelled else 0.0),
            workspace=_workspace(folder),
            told=order.told,
        )
        second, reason = second_stage(
            events,
            trained,
            choice,
            recall=order.recall,
            is_asked=order.stages is Stages.BOTH,
            lesson=Lesson(unlabelled=unlabelled, seed=order.seed, until_s=until_s)
            if unlabelled
            else None,
        )
    if reason:
        order.told(f"the scout alone: {reason}")
    if second:
        trained = second.scout
    rows = second.tested if second else trained.held_out.tested
    scores = second.scores if second else trained.scores
    important = events.important == 1
    columns = scores[rows], important[rows], events.weights[rows]
    measured = figures(*columns, unsplit_groups(events)[rows], seed=order.seed)
    split = trained.held_out.split
    if not (rows == every_fold).all():
        split = f"some folds of: {split}"
    quality = (*quality_of(measured, split), *(second.parity if second else ()))
    start = order.start if trained.from_scratch_auc is not None else None
    training = Training(
        base=second.base if second else _base_of(start),
        data=order.data,
        data_sha256=events.sha256,
        texts=len(events.texts),
        important_texts=len(np.unique(events.codes[important])),
        templates=int(unsplit_groups(events).max()) + 1,
        seed=order.seed,
        libraries={
            "stream-filter": __version__,
            "numpy": np.__version__,
            **(second.libraries if second else {}),
        },
    )
    notes = _notes(events, trained, start, read)
    if reason:
        notes.append(f"The scout alone: {reason}.")
        if unlabelled:
            notes.append(
                "The unlabelled events were not used: only an SLM can say what they mean, and the "
                "pack has none."
            )
    if second:
        notes += second.notes
    description = "P(important) of an event, by its character n-grams" + (
        ", and by a small transformer where these are new." if second else "."
    )
    card = model_card(
        name=folder.name,
        description=description,
        stages="a scout, and an SLM for what is new to it" if second else "a scout alone",
        mask_set=MASK_SET_VERSION,
        training=training,
        quality=quality,
        reliability=reliability(*columns),
        notes=notes,
    )
    files = {
        CARD_NAME: card.encode(),
        SCOUT_NAME: written(trained.fitted.weights, trained.fitted.rarities),
        **(second.exported.files if second else {}),
    }
    speed = [
        *measure_speed(scout=trained.scout(), slm=None, threads=1, machine=platform.machine()),
        *(second.exported.speed if second else ()),
    ]
    facts: dict[str, Any] = {
        "name": folder.name,
        "description": description,
        "stages": [
            {
                "kind": "scout",
                "shortest": HASHING.shortest,
                "longest": HASHING.longest,
                "bits": HASHING.bits,
                "window": WINDOW,
                "calibration": trained.calibration.model_dump(),
            },
            *([second.exported.stage] if second else []),
        ],
        "band": second.band.model_dump() if second else None,
        "mask_set": MASK_SET_VERSION,
        "labels": ("unimportant", "important"),
        "training": training.model_dump(),
        "quality": [figure.model_dump() for figure in quality],
        "speed": [each.model_dump() for each in speed],
        "license": PackLicense(
            pack=order.license_name,
            base_weights=_license_of(order.encoder)
            if second
            else (start.manifest.license.pack if start else "none"),
        ).model_dump(),
    }
    pack = write_pack(folder, manifest_of(facts, files), files)
    StagedScorer(pack, threads=1)
    shutil.rmtree(_workspace(folder), ignore_errors=True)
    return TrainedPack(
        pack=pack,
        held_out=measured,
        split=split,
        tried_all=trained.tried_all,
        notes=notes,
    )


def _why_no_slm(events: LabelledEvents, order: TrainingOrder) -> str | None:
    """Before any training."""
    if order.stages is Stages.SCOUT:
        return "asked for"
    if order.stages is Stages.BOTH:
        return None
    if len(events.codes) < FEWEST_LABELS:
        return f"with fewer than {FEWEST_LABELS:,} labels it is the better model"
    if missing := missing_modules():
        return f"an SLM needs the train extra ({missing[0]} is missing): {INSTALL}"
    return None


def _start_of(order: TrainingOrder) -> Scout | None:
    """Raises ConfigError where the pack has no scout, or one of other n-grams."""
    if order.start is None:
        return None
    name, stage = order.start.manifest.name, order.start.manifest.scout
    if stage is None:
        raise ConfigError(f"pack {name}: has no scout to start from: give another --start-from")
    if Hashing(shortest=stage.shortest, longest=stage.longest, bits=stage.bits) != HASHING:
        raise ConfigError(
            f"pack {name}: its scout reads other n-grams than this version trains: give another "
            "--start-from"
        )
    return load_scout(order.start)


def _base_of(start: ModelPack | None) -> str:
    if start is None:
        return "none: character n-grams"
    return f"the scout of {start.manifest.name} ({start.model_id})"


def _workspace(folder: Path) -> Path:
    """Where a training that is broken off leaves what it has."""
    return folder.parent / f".{folder.name}-training"


def _license_of(encoder: str) -> str:
    return "Apache-2.0" if encoder == DEFAULT_ENCODER else f"as {encoder} says"


def quality_of(measured: Figures, split: str) -> tuple[Quality, ...]:
    """The figures as a manifest has them."""
    area = measured.auc
    values = {
        f"forwarded share at recall {recall:g}": share
        for recall, share in measured.forwarded.items()
    } | {"calibration error": measured.calibration_error}
    return (
        Quality(
            metric="auc",
            value=round(area.value, 4),
            low=round(area.low, 4),
            high=round(area.high, 4),
            split=split,
        ),
        *(Quality(metric=name, value=round(v, 4), split=split) for name, v in values.items()),
    )


def _notes(
    events: LabelledEvents, trained: TrainedScout, start: ModelPack | None, read: int
) -> list[str]:
    notes = [
        f"Penalty chosen by the forwarded share at the wanted recall: strength "
        f"{trained.held_out.strength:g}.",
    ]
    if start is not None:
        notes.append(
            f"The weights start halfway to those of {_base_of(start)}: without that the AUC on the "
            f"same held-out events is {trained.from_scratch_auc:.4f}."
        )
    if read > len(events.texts):
        notes.append(
            f"Of {read:,} distinct texts {len(events.texts):,} were drawn, important ones with the "
            "greater chance; weights make up for it."
        )
    if events.contradicted:
        notes.append(f"{events.contradicted:,} texts have both labels; they were kept.")
    if events.without_text:
        notes.append(f"{events.without_text:,} events had no text to read and were left out.")
    if not trained.tried_all:
        notes.append("The time was up before every setting was tried.")
    return notes
