"""What a topic is to be certified for, what happens when its certificate falls, and what its
thresholds were calibrated for."""

from dataclasses import dataclass
from enum import StrEnum

from stream_filter.core.checks import require_open_share
from stream_filter.core.template import FieldPath

MINUTE_MS = 60_000
DAY_MS = 86_400_000


class OnFailure(StrEnum):
    """What all workers do when a certificate is refuted or stale."""

    FORWARD_ALL = "forward_all"
    """Nothing of the topic is dropped, by score or by rule; scores are still given."""
    WIDEN = "widen"
    """The threshold is lowered to the one that the verdicts since the fall support; until there is
    one, as `FORWARD_ALL`."""
    SHADOW = "shadow"
    """As in shadow mode: decided as before, everything forwarded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecallTarget:
    """What is to be certified."""

    recall: float
    """γ, in (0, 1)."""
    failure_probability: float
    """α, in (0, 1)."""
    max_age_ms: int
    """Without a verdict for so long, a certificate is stale."""
    slice_floor: float | None = None
    """The recall that no slice may be below, in (0, 1): 95 % overall can hide 0 % of one."""

    def __post_init__(self) -> None:
        require_open_share("recall", self.recall)
        require_open_share("failure_probability", self.failure_probability)
        if self.slice_floor is not None:
            require_open_share("slice_floor", self.slice_floor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slices:
    """By which fields evidence is counted apart, and the recall that none of them may be below."""

    fields: tuple[FieldPath, ...]
    floor: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class SignLimits:
    """From where on a sign of drift that needs no verdict makes a certificate stale."""

    score_shift: float = 0.2
    """Total variation distance, in (0, 1], of the scores from those right after the policy."""
    novelty_growth: float = 0.2
    """In (0, 1]: by how much the share of events with new texts has grown."""
    window_ms: int = 10 * MINUTE_MS
    """The stretches that are compared."""


USUAL_SIGNS = SignLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A topic's recall target, as its policy states it."""

    recall: float = 0.95
    failure_probability: float = 0.05
    epoch_ms: int = 7 * DAY_MS
    max_age_ms: int = DAY_MS
    patience_ms: int = 10 * MINUTE_MS
    """An event that waits longer for its verdict counts against us."""
    on_failure: OnFailure = OnFailure.FORWARD_ALL
    slices: Slices | None = None

    @property
    def certified(self) -> RecallTarget:
        """What `certify` judges epochs by."""
        return RecallTarget(
            recall=self.recall,
            failure_probability=self.failure_probability,
            max_age_ms=self.max_age_ms,
            slice_floor=self.slices.floor if self.slices else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CalibratedFor:
    """What a topic's `drop_below` was calibrated for: it holds for nothing else."""

    drop_below: float
    recall: float
    failure_probability: float
    model_id: str
    """The pack whose scores the labels had."""
    mask_set: str
    reading_id: str
    """Digest of format and template: of what decides which text the model reads."""
    labels_id: str
    """Digest of the labels."""
    positives: int
    """Important events among them."""
    at_ms: int
