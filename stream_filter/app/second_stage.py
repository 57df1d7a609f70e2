"""The stage after the scout: an SLM, where it pays, and which texts it reads."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.labelled_events import LabelledEvents
from stream_filter.app.scout_training import TrainedScout
from stream_filter.app.slm_export import ExportedSlm, export_slm
from stream_filter.app.slm_training import SlmChoice, train_slm
from stream_filter.core.banding import Fold, choose_band
from stream_filter.core.ranking import forwarded_share, threshold_at
from stream_filter.models.manifest import Affine, Band, Quality

MOST_AUC_LOSS = 0.005
"""What the band may cost against an SLM that reads all, on events of kinds that neither has seen.
In a stream most are of known kinds: there it costs a tenth of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondStage:
    """A trained and exported SLM, and what both stages together said of held-out events."""

    exported: ExportedSlm
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
    events: LabelledEvents, scout: TrainedScout, choice: SlmChoice, *, recall: float, is_asked: bool
) -> tuple[SecondStage | None, str | None]:
    """An SLM and its band; or None and why it is not worth its cost, unless it `is_asked` for."""
    trained = train_slm(events, choice)
    folds = [_fold(events, scout, trained.scores, rows) for rows in trained.folds]
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
    chosen = choose_band(folds, most_loss=MOST_AUC_LOSS)
    tested = np.logical_or.reduce(trained.folds)
    reads = scout.held_out.unseen >= chosen.unseen
    codes, at = np.unique(events.codes[tested], return_index=True)
    band = Band(
        unseen=chosen.unseen,
        read_share=round(float(reads[tested][at].mean()), 4),
        auc_loss=round(chosen.auc_loss, 5),
    )
    choice.told(
        f"the SLM reads texts with at least {band.unseen:.1%} of n-grams that the scout has not "
        f"seen: {band.read_share:.1%} of the held-out ones"
    )
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
    return SecondStage(
        exported=exported,
        band=band,
        tested=tested,
        scores=np.where(tested, np.where(reads, trained.scores, scout.scores), 0.0),
        base=trained.base,
        libraries=trained.libraries,
        notes=[*trained.notes, *exported.notes],
    ), None


def _fold(
    events: LabelledEvents,
    scout: TrainedScout,
    scores: NDArray[np.float64],
    rows: NDArray[np.bool_],
) -> Fold:
    weights = events.weights[rows]
    text = np.unique(events.codes[rows], return_inverse=True)[1]
    return Fold(
        first=scout.scores[rows],
        second=scores[rows],
        unseen=scout.held_out.unseen[rows],
        important=events.important[rows] == 1,
        # By events, and by texts: each counts the same.
        weightings=(weights, weights / np.bincount(text, weights)[text]),
    )
