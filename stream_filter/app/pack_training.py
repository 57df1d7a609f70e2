"""From labelled events to a pack: what `stream-filter train` does."""

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stream_filter import __version__
from stream_filter.app.figures import Figures, figures
from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.model_card import model_card
from stream_filter.app.pack_bench import measure_speed
from stream_filter.app.sampling import sampled
from stream_filter.app.scout_training import HASHING, MOST_TEXTS, TrainedScout, train_scout
from stream_filter.app.splits import unsplit_groups
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.ranking import reliability
from stream_filter.models.manifest import CARD_NAME, SCOUT_NAME, Affine, Quality, Training
from stream_filter.models.manifest import License as PackLicense
from stream_filter.models.pack import ModelPack
from stream_filter.models.pack_writing import manifest_of, write_pack
from stream_filter.models.scout import Scout, load_scout, written


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedPack:
    """A pack on disk, and how good its scores were on held-out events."""

    pack: ModelPack
    held_out: Figures
    split: str
    tried_all: bool


def train_pack(
    folder: Path,
    events: LabelledEvents,
    *,
    data: str,
    license_name: str,
    recall: float,
    seed: int,
    seconds: float,
    told: Callable[[str], None],
) -> TrainedPack:
    """Train a scout and write it as a pack at `folder`. `data`, `license_name`: for the card.

    The same events, seed and numpy give the same scout, if the time suffices for all that is tried.
    Raises ConfigError where the labels do not suffice, or `folder` cannot be written.
    """
    read = len(events.texts)
    events = sampled(events, most_texts=MOST_TEXTS, seed=seed)
    trained = train_scout(events, recall=recall, seed=seed, seconds=seconds, told=told)
    rows = trained.held_out.tested
    important = events.important == 1
    columns = trained.scores[rows], important[rows], events.weights[rows]
    measured = figures(*columns, unsplit_groups(events)[rows], seed=seed)
    quality = quality_of(measured, trained.held_out.split)
    training = Training(
        base="none: character n-grams",
        data=data,
        data_sha256=events.sha256,
        texts=len(events.texts),
        important_texts=len(np.unique(events.codes[important])),
        templates=int(unsplit_groups(events).max()) + 1,
        seed=seed,
        libraries={"stream-filter": __version__, "numpy": np.__version__},
    )
    weights = written(trained.fitted.weights, trained.fitted.rarities)
    description = "P(important) of an event, by its character n-grams."
    card = model_card(
        name=folder.name,
        description=description,
        stages="a scout alone",
        mask_set=MASK_SET_VERSION,
        training=training,
        quality=quality,
        reliability=reliability(*columns),
        notes=_notes(events, trained, read),
    )
    files = {CARD_NAME: card.encode(), SCOUT_NAME: weights}
    affine = Affine(method="platt", slope=trained.slope, intercept=trained.intercept)
    facts: dict[str, Any] = {
        "name": folder.name,
        "description": description,
        "stages": [
            {
                "kind": "scout",
                "shortest": HASHING.shortest,
                "longest": HASHING.longest,
                "bits": HASHING.bits,
                "calibration": affine.model_dump(),
            }
        ],
        "mask_set": MASK_SET_VERSION,
        "labels": ("unimportant", "important"),
        "training": training.model_dump(),
        "quality": [figure.model_dump() for figure in quality],
        "speed": [],
        "license": PackLicense(pack=license_name, base_weights="none").model_dump(),
    }
    scout = Scout(trained.fitted.weights, trained.fitted.rarities, HASHING, affine)
    speed = measure_speed(scout=scout, slm=None, threads=1, machine=platform.machine())
    facts["speed"] = [each.model_dump() for each in speed]
    pack = write_pack(folder, manifest_of(facts, files), files)
    load_scout(pack)
    return TrainedPack(
        pack=pack,
        held_out=measured,
        split=trained.held_out.split,
        tried_all=trained.tried_all,
    )


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


def _notes(events: LabelledEvents, trained: TrainedScout, read: int) -> list[str]:
    notes = [
        f"Penalty chosen by the forwarded share at the wanted recall: strength "
        f"{trained.held_out.strength:g}.",
        "In fitting, a text counts once; figures and calibration weigh events.",
    ]
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
