"""What the evidence of an epoch, or of one slice of it, shows: intervals that hold together.

*Silence counts against us*, whichever way we lean: for the lower end a held-out event without
verdict is important and a forwarded one is not; for the upper end, which alone can refute, it
is the other way round.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from stream_filter.core.bounds import missed_bounds, recall_bound
from stream_filter.core.evidence import Stratum


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """Both ends hold together with probability ≥ 1 − α."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What the evidence of an epoch, or of one slice of it, shows."""

    kept: Interval
    """K: important events forwarded for any reason but the holdout."""
    missed: Interval
    """M: important events among the would-be drops, the held-out ones included."""
    found: int
    """x: of these, found in the holdout."""
    silent: int
    """Shown, behind the watermark, and without verdict."""
    recall: Interval
    """K / (K + M)."""
    miss_rate: Interval
    """M / drops."""


def assess(
    forwarded: Sequence[Stratum], dropped: Sequence[Stratum], *, failure_probability: float
) -> Finding:
    """What strata show, whatever their slices. α is shared by those that were seen by chance."""
    kept_strata, missed_strata = _merged(forwarded), _merged(dropped)
    parts = sum(0.0 < s.probability < 1.0 for s in (*kept_strata, *missed_strata))
    alpha = failure_probability / max(parts, 1)
    kept = _total([_count(stratum, alpha) for stratum in kept_strata])
    missed = _total([_count(stratum, alpha) for stratum in missed_strata])
    drops = max(sum(s.events for s in missed_strata), 1)
    return Finding(
        kept=kept,
        missed=missed,
        found=sum(s.important for s in missed_strata),
        silent=sum(s.silent for s in (*kept_strata, *missed_strata)),
        recall=Interval(
            lower=recall_bound(kept.lower, missed.upper),
            upper=recall_bound(kept.upper, missed.lower),
        ),
        miss_rate=Interval(lower=missed.lower / drops, upper=missed.upper / drops),
    )


def _merged(strata: Sequence[Stratum]) -> list[Stratum]:
    """One stratum for each chance: a bound on a sum is tighter than a sum of bounds."""
    by_chance: dict[float, list[Stratum]] = {}
    for stratum in strata:
        by_chance.setdefault(stratum.probability, []).append(stratum)
    return [
        Stratum(
            probability=chance,
            events=sum(s.events for s in alike),
            shown=sum(s.shown for s in alike),
            judged=sum(s.judged for s in alike),
            important=sum(s.important for s in alike),
        )
        for chance, alike in sorted(by_chance.items())
    ]


def _count(stratum: Stratum, alpha: float) -> Interval:
    """How many of a stratum's events are important."""
    not_ruled_out = float(stratum.events - (stratum.judged - stratum.important))
    if stratum.probability == 0.0:
        return Interval(lower=0.0, upper=not_ruled_out)
    lower, upper = missed_bounds(
        [stratum.important, stratum.important + stratum.silent],
        stratum.probability,
        failure_probability=alpha,
    )
    return Interval(lower=float(lower[0]), upper=min(float(upper[1]), not_ruled_out))


def _total(counts: Sequence[Interval]) -> Interval:
    return Interval(lower=sum(c.lower for c in counts), upper=sum(c.upper for c in counts))
