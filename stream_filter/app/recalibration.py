"""From labels to thresholds that are bound to what they hold for."""

from pathlib import Path

from stream_filter.app.labels import Labels
from stream_filter.app.policy_edit import written_threshold
from stream_filter.core.calibration import Calibration
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Thresholds, TopicPolicy
from stream_filter.core.targets import CalibratedFor, Target
from stream_filter.models.pack import load_pack
from stream_filter.models.standby_scorer import require_pack_id


def thresholds_for(found: Calibration, rules: TopicPolicy | None) -> Thresholds:
    """Below the threshold: drop. The band above it stays as far as there is room."""
    drop_below = written_threshold(found.threshold)
    keep_above = rules.thresholds.keep_above if rules and not rules.is_uncalibrated else drop_below
    return Thresholds(drop_below=drop_below, keep_above=max(keep_above, drop_below))


def bind(
    thresholds: Thresholds,
    labels: Labels,
    rules: TopicPolicy,
    *,
    promise: Target,
    model_dir: Path,
    at_ms: int,
) -> CalibratedFor:
    """What the thresholds hold for: the pack of the labels, where they name one, which is to be
    the one that the policy's name leads to; this version's masks, the topic's text.

    Raises PackError where the pack cannot be read, ConfigError where it is another than the
    labels'.
    """
    pack = load_pack(Path(model_dir, rules.model))
    require_pack_id(rules.model, pack.model_id, rules.model_id)
    if labels.model_id not in {None, pack.model_id}:
        raise ConfigError(
            f"the labels' scores are of pack {labels.model_id}, and {rules.model} in {model_dir} "
            f"is {pack.model_id}: score the events with this pack, or restore that one"
        )
    return CalibratedFor(
        drop_below=thresholds.drop_below,
        recall=promise.recall,
        failure_probability=promise.failure_probability,
        model_id=pack.model_id,
        mask_set=MASK_SET_VERSION,
        reading_id=rules.reading_id,
        labels_id=labels.labels_id,
        positives=int(labels.important.sum()),
        at_ms=at_ms // 1000 * 1000,
    )
