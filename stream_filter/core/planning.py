"""What a recall target will cost, before anything runs.

The model of the stream is the coarsest that an AUC can name: scores of important and of other
events are normal with equal variance, d = √2 Φ⁻¹(AUC) apart. A stream's own labels are better
than this; it is for the first decision, not for the promise.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from stream_filter.core.binomial import binomial_upper, most_below
from stream_filter.core.checks import require_open_share, require_probability
from stream_filter.core.forecast import kept_until_certified, least_holdout

_NORMAL = NormalDist()
_DAY_S = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """What is known, or guessed, about a stream and its model."""

    prevalence: float
    """Share of important events, in (0, 1)."""
    auc: float
    """Chance that an important event scores above another one, in [0.5, 1)."""
    events_per_s: float

    def __post_init__(self) -> None:
        require_open_share("prevalence", self.prevalence)
        require_open_share("auc", self.auc)
        if self.auc < 0.5:
            raise ValueError(f"auc: {self.auc!r} is worse than chance: turn the scores round")
        if not (math.isfinite(self.events_per_s) and self.events_per_s > 0.0):
            raise ValueError(f"events_per_s: must be above 0, not {self.events_per_s!r}")

    def forwarded_share(self, recall: float) -> float:
        """Share of all events at or above the threshold with that recall, the holdout apart."""
        if recall >= 1.0:
            return 1.0
        apart = math.sqrt(2.0) * _NORMAL.inv_cdf(self.auc)
        others = _NORMAL.cdf(_NORMAL.inv_cdf(recall) - apart)
        return self.prevalence * recall + (1.0 - self.prevalence) * others


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """What happens as likely as not, and between which values nine times in ten."""

    low: float
    median: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What to expect of a threshold calibrated with so many labels."""

    positives: int
    """Important events labelled, out of `labelled_events` taken at random."""
    positives_needed: int
    """Fewer certify no threshold: everything would be forwarded."""
    labelled_events: int
    recall: Range
    """At which the gate will run: above the target, for the labels are a sample."""
    forwarded_share: Range
    """Of all events, the holdout included."""
    holdout: float | None
    """π; None where no π up to 0.5 certifies in time."""
    certified_after_s: Range | None
    """Until the lower bound is at the target for the first time, at the median recall; infinite
    where that is not in sight. None without a holdout."""
    events_per_day: Range
    """Forwarded."""


def plan(
    stream: Stream,
    *,
    recall: float,
    failure_probability: float,
    positives: int,
    certify_within_s: float | None = None,
    holdout: float | None = None,
) -> Plan:
    """Calibrate with `positives` important events, labelled at random, and certify.

    Give `holdout`, or the median time `certify_within_s` by which the certificate is wanted: the
    least holdout that keeps it is chosen. Raises ValueError, naming what is wrong.
    """
    gamma = require_open_share("recall", recall)
    alpha = require_open_share("failure_probability", failure_probability)
    if (holdout is None) == (certify_within_s is None):
        raise ValueError("holdout and certify_within_s: give one of them")
    if holdout is not None:
        require_probability("holdout", holdout)
    needed = math.ceil(math.log(alpha) / math.log(gamma))
    order = most_below(positives, 1.0 - gamma, alpha)
    if order < 0:
        everything = Range(low=1.0, median=1.0, high=1.0)
        return _plan(stream, positives, needed, everything, None, None)

    # Recall at the k-th of n positives is 1 − Beta(k, n − k + 1).
    at = Range(
        low=1.0 - binomial_upper(order, positives, 0.05),
        median=1.0 - binomial_upper(order, positives, 0.5),
        high=1.0 - binomial_upper(order, positives, 0.95),
    )

    kept_per_s = stream.events_per_s * stream.prevalence * at.median
    if certify_within_s is not None:
        holdout = least_holdout(
            recall=gamma,
            failure_probability=alpha,
            true_recall=at.median,
            kept=kept_per_s * certify_within_s,
        )
    if holdout is None:
        return _plan(stream, positives, needed, at, None, None)
    after = []
    for quantile in (0.05, 0.5, 0.95):
        kept = kept_until_certified(
            recall=gamma,
            failure_probability=alpha,
            holdout=holdout,
            true_recall=at.median,
            quantile=quantile,
        )
        after.append(math.inf if kept is None else kept / kept_per_s)
    low, median, high = after
    certified = Range(low=low, median=median, high=high)
    return _plan(stream, positives, needed, at, holdout, certified)


def _plan(
    stream: Stream,
    positives: int,
    needed: int,
    recall: Range,
    holdout: float | None,
    certified_after_s: Range | None,
) -> Plan:
    def share(at: float) -> float:
        above = stream.forwarded_share(at)
        return above + (1.0 - above) * (holdout or 0.0)

    shares = Range(low=share(recall.low), median=share(recall.median), high=share(recall.high))
    per_day = stream.events_per_s * _DAY_S
    return Plan(
        positives=positives,
        positives_needed=needed,
        labelled_events=math.ceil(positives / stream.prevalence),
        recall=recall,
        forwarded_share=shares,
        holdout=holdout,
        certified_after_s=certified_after_s,
        events_per_day=Range(
            low=shares.low * per_day, median=shares.median * per_day, high=shares.high * per_day
        ),
    )
