"""What the evidence of an epoch, or of one slice of it, shows: intervals that hold together.

*Silence counts against us*, whichever way we lean: for the lower end a held-out event without
verdict is important and a forwarded one is not; for the upper end, which alone can refute, it
is the other way round.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

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


Strata: TypeAlias = Sequence[Stratum]


def assess(forwarded: Strata, dropped: Strata, *, failure_probability: float) -> Finding:
    """What strata show, whatever their slices. α is shared by those that were seen by chance."""
    (finding,) = assess_each([(forwarded, dropped)], failure_probability=failure_probability)
    return finding


def assess_each(
    groups: Sequence[tuple[Strata, Strata]], *, failure_probability: float
) -> list[Finding]:
    """`assess` of many, each at `failure_probability`. Their bounds are worked out together: one by
    one, a hundred slices take the time of a batch."""
    merged = [(_merged(forwarded), _merged(dropped)) for forwarded, dropped in groups]
    alphas = [
        failure_probability / max(sum(0.0 < s.probability < 1.0 for s in (*kept, *missed)), 1)
        for kept, missed in merged
    ]
    bounds = _Bounds(
        (stratum, alpha)
        for (kept, missed), alpha in zip(merged, alphas, strict=True)
        for stratum in (*kept, *missed)
    )
    return [_finding(*both, alpha, bounds) for both, alpha in zip(merged, alphas, strict=True)]


class _Bounds:
    """On how many of a stratum's events are important, if so many were found."""

    def __init__(self, wanted: Iterable[tuple[Stratum, float]]) -> None:
        found: dict[tuple[float, float], set[int]] = {}
        for stratum, alpha in wanted:
            if stratum.probability > 0.0:
                counts = found.setdefault((stratum.probability, alpha), set())
                counts |= {stratum.important, stratum.important + stratum.silent}
        self._found: dict[tuple[float, float, int], tuple[float, float]] = {}
        for (chance, alpha), counts in found.items():
            lower, upper = missed_bounds(list(counts), chance, failure_probability=alpha)
            for count, *ends in zip(counts, lower.tolist(), upper.tolist(), strict=True):
                self._found[chance, alpha, count] = (ends[0], ends[1])

    def count(self, stratum: Stratum, alpha: float) -> Interval:
        """How many of a stratum's events are important."""
        not_ruled_out = float(stratum.events - (stratum.judged - stratum.important))
        if stratum.probability == 0.0:
            return Interval(lower=0.0, upper=not_ruled_out)
        lower, _ = self._found[stratum.probability, alpha, stratum.important]
        most = stratum.important + stratum.silent
        _, upper = self._found[stratum.probability, alpha, most]
        return Interval(lower=lower, upper=min(upper, not_ruled_out))


def _finding(kept_strata: Strata, missed_strata: Strata, alpha: float, bounds: _Bounds) -> Finding:
    kept = _total([bounds.count(stratum, alpha) for stratum in kept_strata])
    missed = _total([bounds.count(stratum, alpha) for stratum in missed_strata])
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


def _total(counts: Sequence[Interval]) -> Interval:
    return Interval(lower=sum(c.lower for c in counts), upper=sum(c.upper for c in counts))
