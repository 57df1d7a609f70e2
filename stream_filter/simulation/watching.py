"""The bounds, watched all the time: how often they are ever wrong, and how tight they are."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from stream_filter.core.binomial import binomial_cdf
from stream_filter.core.bounds import missed_bounds
from stream_filter.core.evidence import IMPORTANT, NO_VERDICT, effective_verdicts
from stream_filter.core.holdout import held_out
from stream_filter.simulation.setting import Setting

_Numbers: TypeAlias = NDArray[np.int64] | NDArray[np.float64]
_LOOKS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """Shares of streams, and medians over them; NaN where no stream has one."""

    ever_wrong: float
    """M was outside [M_lower, M_upper] at any of its steps."""
    fixed_time_ever_wrong: float
    """So was the exact bound for a single look, M_upper alone, looked at all the time."""
    tightness: float
    """M_upper / M in the end."""
    recall_ever_wrong: float
    """Recall by the analyst's account was outside its interval at one of the looks."""
    certified: float
    """The lower bound was at the target at one of the looks."""
    certified_wrongly: float
    """It was while recall was below the target."""
    refuted: float
    recall: float
    recall_lower: float
    """Both in the end."""


def watch(setting: Setting, rng: np.random.Generator) -> Watched:
    """Run the streams of a setting through the bounds."""
    shape = (setting.streams, setting.important)
    at = (np.arange(setting.important) + 0.5) / setting.important
    threshold = setting.threshold_at(rng, setting.operating_recall)
    truly = rng.random(shape) >= setting.false_share
    dropped = setting.draw_scores(rng, truly, at) < threshold
    key = rng.bytes(16)
    drawn = held_out(
        np.arange(dropped.size, dtype=np.int64),
        topic="simulated",
        partition=0,
        probability=setting.holdout,
        key=key,
    ).reshape(shape)

    missed = np.cumsum(dropped, axis=1)
    found = np.cumsum(dropped & drawn, axis=1)
    most = int(found.max())
    alpha = setting.failure_probability
    lower, upper = missed_bounds(np.arange(most + 1), setting.holdout, failure_probability=alpha)
    is_wrong = (missed > upper[found]) | (missed < lower[found])
    once = fixed_time_upper(most, setting.holdout, failure_probability=alpha)
    looks = _look(setting, rng, truly, dropped, drawn)
    last = missed[:, -1]
    return Watched(
        ever_wrong=float(is_wrong.any(axis=1).mean()),
        fixed_time_ever_wrong=float((missed > once[found]).any(axis=1).mean()),
        tightness=_median((upper[found[:, -1]] / np.maximum(last, 1))[last > 0]),
        recall_ever_wrong=float(looks.is_wrong.mean()),
        certified=float((looks.lower >= setting.recall).any(axis=1).mean()),
        certified_wrongly=float(
            ((looks.lower >= setting.recall) & (looks.truth < setting.recall)).any(axis=1).mean()
        ),
        refuted=float((looks.upper < setting.recall).any(axis=1).mean()),
        recall=_median(looks.truth[:, -1]),
        recall_lower=_median(looks.lower[:, -1]),
    )


def fixed_time_upper(
    most: int, probability: float, *, failure_probability: float
) -> NDArray[np.float64]:
    """For x = 0 … most the largest m with P(Binomial(m, π) ≤ x) > α: exact for one look, chosen
    beforehand. For comparison only."""
    bounds = []
    m = 0
    for x in range(most + 1):
        step = 1 << max(int(1.0 / probability).bit_length(), 1)
        m = max(m, x)
        while step:
            if binomial_cdf(x, m + step, probability) > failure_probability:
                m += step
            else:
                step //= 2
        bounds.append(float(m))
    return np.array(bounds)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Looks:
    """By stream and look, shape (streams, looks)."""

    truth: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]

    @property
    def is_wrong(self) -> NDArray[np.bool_]:
        return np.asarray(((self.truth < self.lower) | (self.truth > self.upper)).any(axis=1))


def _look(
    setting: Setting,
    rng: np.random.Generator,
    truly: NDArray[np.bool_],
    dropped: NDArray[np.bool_],
    drawn: NDArray[np.bool_],
) -> _Looks:
    """Recall's interval as verdicts come in, silence behind the watermark counting against us."""
    shape = dropped.shape
    at = np.broadcast_to((np.arange(shape[1]) + 0.5) / shape[1], shape)
    shown = ~dropped | drawn
    judged_at = at + _delays(setting, rng, shape)
    others = (1.0 - setting.prevalence_by_account) / setting.prevalence_by_account
    threshold = setting.threshold_at(rng, setting.operating_recall)
    above = float((setting.draw_scores(rng, np.zeros(100_000, np.bool_)) >= threshold).mean())
    truth, lower, upper = [], [], []
    for now in np.linspace(1.0 / _LOOKS, 1.0, _LOOKS):
        behind = at <= now - setting.patience
        verdict = _verdicts(setting, rng, shown & behind, judged_at <= now)
        kept = (behind & ~dropped).sum(axis=1)
        missed = (behind & dropped).sum(axis=1)
        judged_kept = ((verdict == IMPORTANT) & ~dropped).sum(axis=1)
        found = ((verdict == IMPORTANT) & dropped).sum(axis=1)
        silent = shown & behind & (verdict == NO_VERDICT)
        # Of the events that nobody calls important, some were shown and met silence too.
        silence = float(silent.sum() / max((shown & behind).sum(), 1))
        unimportant = behind.sum(axis=1) * others * silence
        silent_held = rng.poisson(unimportant * (1.0 - above) * setting.holdout)
        silent_kept = rng.poisson(unimportant * above)
        against = found + (silent & dropped).sum(axis=1) + silent_held
        alpha = setting.failure_probability
        _, most = _bounds_of(against, setting.holdout, alpha)
        fewest, _ = _bounds_of(found, setting.holdout, alpha)
        truth.append(_recall(kept, missed))
        lower.append(_recall(judged_kept, most))
        upper.append(_recall(judged_kept + (silent & ~dropped).sum(axis=1) + silent_kept, fewest))
    return _Looks(
        truth=np.stack(truth, axis=1), lower=np.stack(lower, axis=1), upper=np.stack(upper, axis=1)
    )


def _delays(
    setting: Setting, rng: np.random.Generator, shape: tuple[int, ...]
) -> NDArray[np.float64]:
    """How long each verdict takes, as a share of the stream's time; infinite where it is lost."""
    delay = rng.random(shape) * setting.patience
    delay = np.where(rng.random(shape) < setting.late, delay * 4.0 + setting.patience, delay)
    return np.where(rng.random(shape) < setting.lost, np.inf, delay)


def _verdicts(
    setting: Setting,
    rng: np.random.Generator,
    shown: NDArray[np.bool_],
    has_come: NDArray[np.bool_],
) -> NDArray[np.int8]:
    """The verdicts that count, all of them important, some delivered twice; shape as `shown`."""
    come = np.flatnonzero(shown & has_come)
    again = come[rng.random(len(come)) < setting.doubled]
    events = np.concatenate((come, again))
    return effective_verdicts(
        shown.size,
        event=events,
        important=np.ones(len(events), np.bool_),
        by_person=np.zeros(len(events), np.bool_),
    ).reshape(shown.shape)


def _bounds_of(
    counts: NDArray[np.int64], holdout: float, alpha: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    distinct, where = np.unique(counts, return_inverse=True)
    lower, upper = missed_bounds(distinct, holdout, failure_probability=alpha)
    return lower[where], upper[where]


def _recall(kept: _Numbers, missed: _Numbers) -> NDArray[np.float64]:
    total = np.asarray(kept, np.float64) + missed
    return np.where(total > 0, kept / np.maximum(total, 1.0), 1.0)


def _median(values: NDArray[np.float64]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
