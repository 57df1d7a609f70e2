"""What `plan` foretells, done: labels drawn, a threshold calibrated, an epoch run until the
certificate is reached."""

from dataclasses import dataclass

import numpy as np

from stream_filter.core.bounds import kept_needed, missed_bounds
from stream_filter.core.planning import Stream
from stream_filter.simulation.calibrating import calibrate_from_labels
from stream_filter.simulation.setting import Setting

_FARTHEST = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Launched:
    """Medians over the streams."""

    recall: float
    forwarded_share: float
    """Of all events, the holdout included."""
    certified_after_s: float
    """Infinite where most streams did not get there."""


def launch(
    stream: Stream, setting: Setting, rng: np.random.Generator, *, positives: int
) -> Launched:
    """Calibrate each stream with labels of its own, then let important events come at their rate
    until the lower bound is at the target. The setting's holdout, prevalence and AUC count."""
    calibrated = calibrate_from_labels(setting, rng, positives=positives)
    recalls = np.minimum(calibrated.recalls, 1.0 - 1e-9)
    _, upper = missed_bounds(
        np.arange(_FARTHEST),
        setting.holdout,
        failure_probability=setting.failure_probability,
    )
    needed = np.array([kept_needed(float(m), setting.recall) for m in upper])
    per_kept = (1.0 - recalls) / recalls * setting.holdout
    gaps = rng.exponential(size=(setting.streams, _FARTHEST)) / per_kept[:, None]
    # With x found the certificate needs needed[x]: it is reached there if the next is found later.
    is_in_time = np.cumsum(gaps, axis=1) > needed
    kept = np.where(is_in_time.any(axis=1), needed[is_in_time.argmax(axis=1)], np.inf)
    share = calibrated.forwarded_share
    return Launched(
        recall=calibrated.recall,
        forwarded_share=share + (1.0 - share) * setting.holdout,
        certified_after_s=float(
            np.median(kept / (stream.events_per_s * stream.prevalence * recalls))
        ),
    )
