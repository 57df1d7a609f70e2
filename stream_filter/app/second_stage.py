"""The stage after the scout: an SLM, where it pays, what it teaches, and which texts it reads."""

import os
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.scout_training import TrainedScout
from stream_filter.app.slm_export import ExportedSlm, export_slm
from stream_filter.app.slm_training import SlmChoice, train_slm
from stream_filter.app.stage_folds import stage_folds
from stream_filter.app.teaching import Lesson, Teacher, taught_scout
from stream_filter.core.banding import auc_loss, choose_band
from stream_filter.core.ranking import forwarded_share, threshold_at
from stream_filter.models.manifest import Affine, Band, Quality, SlmStage
from stream_filter.models.onnx_scorer import OnnxScorer

MOST_AUC_LOSS = 0.005
"""What the band may cost against an SLM that reads all, on events of kinds that neither has seen.
In a stream most are of known kinds: there it costs a tenth of that."""
MOST_TAUGHT_AUC_LOSS = 2 * MOST_AUC_LOSS
"""What a taught scout may cost so: the band's loss on what is new to it even then, and as much
again on what it was taught."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondStage:
    """A trained and exported SLM, and what both stages together said of held-out events."""

    exported: ExportedSlm
    scout: TrainedScout
    """The first stage: as it was, or taught by the SLM."""
    band: Band
    tested: NDArray[np.bool_]
    """Shape (n,): the events that the SLM was not trained on."""
    scores: NDArray[np.float64]
    """Shape (n,): of both stages together; 0 where not tested."""
    base: str
    libraries: dict[str, str]
    notes: list[str]

    @property
    def parity(self) -> tuple[Quality, ...]:
        """int8 beside float32."""
        return self.exported.parity.figures


def second_stage(
    events: LabelledEvents,
    scout: TrainedScout,
    choice: SlmChoice,
    *,
    recall: float,
    is_asked: bool,
    lesson: Lesson | None,
) -> tuple[SecondStage | None, str | None]:
    """An SLM and its band; or None and why it is not worth its cost, unless it `is_asked` for.
    `lesson`: texts of which the SLM then tells the scout what it says."""
    trained = train_slm(events, choice)
    folds = stage_folds(
        events,
        trained.folds,
        first=scout.scores,
        second=trained.scores,
        unseen=scout.held_out.unseen,
    )
    # Fold by fold: scores of models that were trained apart do not rank each other's events.
    shares = np.mean(
        [
            [forwarded_share(s, f.important, f.weightings[0], recall) for s in (f.first, f.second)]
            for f in folds
        ],
        axis=0,
    ).tolist()
    said = f"at recall {recall:g} it forwards {shares[0]:.1%} of the held-out events, "
    choice.told(f"the scout: {said}with the SLM {shares[1]:.1%}")
    if not is_asked and shares[0] <= shares[1]:
        return None, f"{said}with an SLM {shares[1]:.1%}"
    tested = np.logical_or.reduce(trained.folds)
    codes, at = np.unique(events.codes[tested], return_index=True)
    exported = export_slm(
        trained.graph,
        trained.tokenizer,
        max_tokens=trained.max_tokens,
        calibration=Affine(method="platt", slope=trained.slope, intercept=trained.intercept),
        tokens=trained.tokens,
        texts=[events.texts[code] for code in codes.tolist()],
        threshold=threshold_at(
            trained.scores[tested],
            events.important[tested] == 1,
            events.weights[tested],
            recall,
        ),
    )
    unseen = choose_band(folds, most_loss=MOST_AUC_LOSS).unseen
    notes = [*trained.notes, *exported.notes]
    taught = None
    if lesson is not None:
        teacher = Teacher(
            score=_slm(exported).score,
            texts_per_s=min(speed.texts_per_s for speed in exported.speed),
            folds=trained.folds,
            scores=trained.scores,
        )
        taught, said_of_it = taught_scout(
            events, scout, teacher, lesson, unseen=unseen, most_loss=MOST_TAUGHT_AUC_LOSS
        )
        notes += said_of_it
    if taught is not None:
        unseen = taught.unseen
    read_share = float((scout.held_out.unseen >= unseen)[tested][at].mean())
    choice.told(
        f"the SLM reads texts with at least {unseen:.1%} of n-grams that the scout has not "
        f"seen: {read_share:.1%} of the held-out ones"
    )
    if taught is not None:
        scout = taught.scout
    reads = scout.held_out.unseen >= unseen
    return SecondStage(
        exported=exported,
        scout=scout,
        band=Band(
            unseen=unseen,
            read_share=round(read_share, 4),
            auc_loss=round(auc_loss(folds, unseen), 5),
            taught=taught.facts if taught else None,
        ),
        tested=tested,
        scores=np.where(tested, np.where(reads, trained.scores, scout.scores), 0.0),
        base=trained.base,
        libraries=trained.libraries,
        notes=notes,
    ), None


def _slm(exported: ExportedSlm) -> OnnxScorer:
    stage = SlmStage.model_validate(exported.stage)
    return OnnxScorer(stage, exported.files.__getitem__, threads=os.cpu_count() or 1)
