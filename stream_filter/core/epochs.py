"""Epochs: the stretches of a topic for which evidence is counted together."""

from dataclasses import dataclass

from stream_filter.core.policy import TopicPolicy
from stream_filter.core.targets import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """When an epoch begins and when no verdict counts for it any more, Unix milliseconds."""

    opened_ms: int
    closes_ms: int


NO_EPOCH = Span(opened_ms=0, closes_ms=0)


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Epoch:
    """A stretch of one topic under one entry of the policy and one model pack."""

    topic: str
    policy_id: str
    """Of the topic's own entry (`TopicPolicy.entry_id`): what is pushed for another topic changes
    nothing here."""
    model_id: str
    """Empty where the gate had no score to give: paused, or degraded."""
    opened_ms: int
    closes_ms: int


def epoch_span(rules: TopicPolicy, at_ms: int) -> Span:
    """The epoch into which decisions made at `at_ms` fall. `NO_EPOCH` where there is no target.

    Epochs of equal length follow each other, from the calibration on, or from 1970. An epoch
    takes verdicts until the patience with the analyst has passed after its end.
    """
    target = rules.target
    if target is None:
        return NO_EPOCH
    first_ms = rules.calibrated_for.at_ms if rules.calibrated_for else 0
    opened_ms = at_ms - (at_ms - first_ms) % target.epoch_ms
    return Span(opened_ms=opened_ms, closes_ms=_closes_ms(opened_ms, target))


def _closes_ms(opened_ms: int, target: Target) -> int:
    return opened_ms + target.epoch_ms + target.patience_ms
