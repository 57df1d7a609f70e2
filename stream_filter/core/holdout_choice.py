"""The holdout that certifies a recall target by a wanted time, and what it costs."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from stream_filter.core.forecast import kept_until_certified, least_holdout
from stream_filter.core.targets import Target

_DAY_S = 86_400.0
_DIGITS = 3
_MOST = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifyWithin:
    """By when a certificate is wanted, and what is known of the stream."""

    within_ms: int
    events_per_s: float | None = None
    """None: not known yet. Given together with `prevalence`."""
    prevalence: float | None = None
    """Share of important events, in (0, 1)."""
    recall: float | None = None
    """At which the gate runs, in (0, 1); None: halfway from the target to 1."""
    at_most: float = 0.5
    """The greatest share of the drops that may be spent, in (0, 0.5]."""

    @property
    def is_known(self) -> bool:
        """Whether a holdout follows from it."""
        return self.events_per_s is not None and self.prevalence is not None

    @property
    def kept_per_s(self) -> float:
        """Important events a second; where it `is_known`."""
        return (self.events_per_s or 0.0) * (self.prevalence or 0.0)

    def operating_recall(self, target: Target) -> float:
        return (1.0 + target.recall) / 2.0 if self.recall is None else self.recall


def choose_holdout(wanted: CertifyWithin, target: Target) -> float | None:
    """The least π, to three digits upwards, by which the certificate will as likely as not have
    been reached in time; None where no π up to 0.5 will do, or nothing is known of the stream.

    A function of its arguments alone: a policy has one holdout wherever it is read.
    """
    if not wanted.is_known:
        return None
    recall = wanted.operating_recall(target)
    return _least(
        target.recall,
        target.failure_probability,
        recall,
        wanted.kept_per_s * recall * wanted.within_ms / 1000.0,
    )


def drops_forwarded_per_day(wanted: CertifyWithin, holdout: float) -> float:
    """The most that this holdout forwards beside: as if all events were drops."""
    return (wanted.events_per_s or 0.0) * _DAY_S * holdout


@cache
def _least(gamma: float, alpha: float, recall: float, kept: float) -> float | None:
    found = least_holdout(recall=gamma, failure_probability=alpha, true_recall=recall, kept=kept)
    if found is None:
        return None
    # A median jumps where one more miss is as likely as not: a little more may not do.
    for share in _rounded_up(found):
        needed = kept_until_certified(
            recall=gamma, failure_probability=alpha, holdout=share, true_recall=recall
        )
        if needed is not None and needed <= kept:
            return share
    return None


def _rounded_up(share: float) -> Iterator[float]:
    """What is not below a share and has three digits, up to 0.5."""
    step = 10.0 ** (math.floor(math.log10(share)) - _DIGITS + 1)
    steps = math.ceil(share / step - 1e-9)
    while (rounded := float(f"{steps * step:.{_DIGITS}g}")) <= _MOST:
        yield rounded
        steps += 1
