"""The current statement about the recall of one topic, and when it may be made.

Per topic, policy and pack, by epochs; each epoch has bounds of its own at α. A certificate is
wrong while it is in force and the recall of its epoch is below the target: in at most α of
epochs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from stream_filter.core.bounds import kept_needed
from stream_filter.core.evidence import EpochEvidence, Stratum
from stream_filter.core.findings import Finding, Interval, assess, assess_each
from stream_filter.core.forecast import kept_until_certified
from stream_filter.core.targets import RecallTarget


class CertificateState(StrEnum):
    """What may be said now."""

    UNCERTIFIED = "uncertified"
    CERTIFIED = "certified"
    REFUTED = "refuted"
    STALE = "stale"


class StaleCause(StrEnum):
    """Why a statement no longer stands for the stream."""

    DRIFT = "drift"
    """The e-detector: among important events found, too many come from the holdout."""
    SCORES = "scores"
    """The scores are spread otherwise than at calibration."""
    NOVELTY = "novelty"
    """More texts than before were never seen."""
    POLICY = "policy"
    PACK = "pack"
    AGE = "age"
    """No verdict for `max_age`."""
    EVIDENCE = "evidence"
    """Counts or verdicts were lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceFinding:
    """A slice beside its floor. All slices of an epoch hold together at α, shared evenly by those
    seen so far: which slices there are must not grow without end."""

    slice: str
    state: CertificateState
    """`certified`: at the floor or above; `refuted`: below; `uncertified`: not yet known."""
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """The statement, its numbers, and what is still needed."""

    state: CertificateState
    stale_causes: tuple[StaleCause, ...]
    target: RecallTarget
    epoch: EpochEvidence | None
    """The epoch that the numbers are of; None before the first."""
    finding: Finding | None
    slices: tuple[SliceFinding, ...]
    """Worst first; empty where the target has no floor."""
    kept_needed: int | None
    """K that certifies the epoch if nothing more is found missing."""
    forecast_ms: int | None
    """Record time by which the epoch will as likely as not have been certified at its present
    pace; None where it is, or where that is not in sight."""

    @property
    def refuted_slices(self) -> tuple[str, ...]:
        return tuple(s.slice for s in self.slices if s.state is CertificateState.REFUTED)


def certify(
    epochs: Sequence[EpochEvidence],
    *,
    target: RecallTarget,
    policy_id: str,
    model_id: str,
    now_ms: int,
    alarms: frozenset[StaleCause] = frozenset(),
) -> Certificate:
    """Judge the epochs of one topic, oldest first, under the policy and pack in force.

    The newest epoch speaks; while it is open and says nothing yet, the one before it does. A
    certificate thus outlives its epoch by one at the most. `alarms`: the drift signs that are
    up. `now_ms`: Unix milliseconds, for `max_age`.

    The state: `refuted` where that epoch's recall, or that of a slice, is shown to be too low;
    else `stale` where there is a cause; else `certified` or `uncertified`.
    """
    own = [e for e in epochs if (e.policy_id, e.model_id) == (policy_id, model_id)]
    judged = [_judge(epoch, target) for epoch in own[-2:]]
    chosen = judged[-1] if judged else None
    if chosen and len(judged) == 2 and chosen.says_nothing and not chosen.epoch.is_closed:
        chosen = judged[0] if not judged[0].says_nothing else chosen

    causes = set(alarms)
    before = [e for e in epochs if e not in own][-1:]
    if before and (chosen is None or chosen.says_nothing):
        (other,) = before
        if _judge(other, target).state is CertificateState.CERTIFIED:  # it has fallen with these
            causes |= {StaleCause.POLICY} if other.policy_id != policy_id else set()
            causes |= {StaleCause.PACK} if other.model_id != model_id else set()
    verdicts_ms = [e.last_verdict_ms for e in own if e.last_verdict_ms is not None]
    if verdicts_ms and now_ms - max(verdicts_ms) > target.max_age_ms:
        causes.add(StaleCause.AGE)
    if any(not e.epoch.is_complete for e in judged[-1:]):
        causes.add(StaleCause.EVIDENCE)

    state = chosen.state if chosen else CertificateState.UNCERTIFIED
    if causes and state is not CertificateState.REFUTED:
        state = CertificateState.STALE
    return Certificate(
        state=state,
        stale_causes=tuple(sorted(causes)),
        target=target,
        epoch=chosen.epoch if chosen else None,
        finding=chosen.finding if chosen else None,
        slices=chosen.slices if chosen else (),
        kept_needed=kept_needed(chosen.finding.missed.upper, target.recall) if chosen else None,
        forecast_ms=_forecast_ms(chosen, target) if chosen and chosen.says_nothing else None,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _JudgedEpoch:
    epoch: EpochEvidence
    state: CertificateState
    finding: Finding
    slices: tuple[SliceFinding, ...]

    @property
    def says_nothing(self) -> bool:
        return self.state is CertificateState.UNCERTIFIED


def _judge(epoch: EpochEvidence, target: RecallTarget) -> _JudgedEpoch:
    finding = assess(epoch.forwarded, epoch.dropped, failure_probability=target.failure_probability)
    slices = _judge_slices(epoch, target)
    state = _state(finding.recall, target.recall)
    if any(s.state is CertificateState.REFUTED for s in slices):
        state = CertificateState.REFUTED
    if not epoch.is_complete:
        state = CertificateState.UNCERTIFIED
    return _JudgedEpoch(epoch=epoch, state=state, finding=finding, slices=slices)


def _judge_slices(epoch: EpochEvidence, target: RecallTarget) -> tuple[SliceFinding, ...]:
    if target.slice_floor is None:
        return ()
    names = sorted({s.slice for s in (*epoch.forwarded, *epoch.dropped)})
    by_slice: dict[str, tuple[list[Stratum], list[Stratum]]] = {name: ([], []) for name in names}
    for side, strata in enumerate((epoch.forwarded, epoch.dropped)):
        for stratum in strata:
            by_slice[stratum.slice][side].append(stratum)
    findings = assess_each(
        list(by_slice.values()),
        failure_probability=target.failure_probability / max(len(names), 1),
    )
    slices = [
        SliceFinding(slice=name, state=_state(found.recall, target.slice_floor), finding=found)
        for name, found in zip(names, findings, strict=True)
    ]
    return tuple(sorted(slices, key=lambda s: (s.finding.recall.upper, s.finding.recall.lower)))


def _state(recall: Interval, wanted: float) -> CertificateState:
    if recall.lower >= wanted:
        return CertificateState.CERTIFIED
    return CertificateState.REFUTED if recall.upper < wanted else CertificateState.UNCERTIFIED


def _forecast_ms(judged: _JudgedEpoch, target: RecallTarget) -> int | None:
    """At the epoch's pace of important events, and at the rate of misses that they suggest."""
    epoch, finding = judged.epoch, judged.finding
    drops = sum(s.events for s in epoch.dropped)
    # By the chances, not by who was drawn: the bound knows π, of few drops the drawn do not.
    drawn = sum(s.events * s.probability for s in epoch.dropped)
    kept = int(finding.kept.lower)
    elapsed_ms = epoch.watermark_ms - epoch.opened_ms
    if not (kept and drawn and elapsed_ms) or epoch.is_closed:
        return None
    holdout = min(drawn / drops, 1.0)
    against = finding.found + sum(s.silent for s in epoch.dropped)
    # Before the first miss is found: a recall halfway from the target to 1, worth one miss.
    likely = (1.0 + target.recall) / 2.0
    per_kept = (against + 1.0) / (kept + likely / (1.0 - likely) / holdout)
    needed = kept_until_certified(
        recall=target.recall,
        failure_probability=target.failure_probability,
        holdout=holdout,
        true_recall=holdout / (holdout + per_kept),
        kept=kept,
        found=against,
    )
    if needed is None:
        return None
    return epoch.watermark_ms + round((needed - kept) / kept * elapsed_ms)
