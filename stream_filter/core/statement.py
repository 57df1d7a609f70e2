"""What the gate states about a topic's recall: a certificate with the evidence that it rests on, so
that anybody can recompute it."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from stream_filter.core.certificate import (
    Certificate,
    CertificateState,
    SliceFinding,
    StaleCause,
    certify,
)
from stream_filter.core.evidence import EpochEvidence
from stream_filter.core.findings import Finding
from stream_filter.core.signs import Readings
from stream_filter.core.targets import OnFailure, RecallTarget
from stream_filter.core.widening import Widening

STATEMENT_VERSION = "1"
GRACE_MS = 60_000
"""For clocks that differ, and for another worker to take over."""
_BY_ORDER = frozenset({StaleCause.POLICY, StaleCause.PACK})
"""Somebody has put another policy or pack in force: nothing has failed, nothing is known yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """What of the logs is counted: whoever reads them as far counts the same."""

    ledger_next: dict[int, int]
    """By partition of the ledger topic, the first offset that was not read."""
    verdict_next: int
    """Of the verdict topic, likewise."""
    patience_ms: int
    """An event that had waited for its verdict for longer counts against us."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One topic's certificate as it stands, under one entry of the policy and one pack."""

    statement_version: str = STATEMENT_VERSION
    topic: str
    entry_id: str
    """Of the policy's entry for the topic: what else the policy says does not matter."""
    model_id: str
    at_ms: int
    """When it was stated, Unix milliseconds."""
    since_ms: int
    """Since when it has this state."""
    state: CertificateState
    before: CertificateState | None
    """The state that it had until then; None: this is the first."""
    stale_causes: tuple[StaleCause, ...]
    alarms: tuple[StaleCause, ...]
    """Of the causes, those that do not follow from the evidence: drift signs."""
    on_failure: OnFailure
    """What the workers do while it has fallen."""
    target: RecallTarget
    finding: Finding | None
    """The numbers; None before the first epoch."""
    slices: tuple[SliceFinding, ...]
    kept_needed: int | None
    forecast_ms: int | None
    pending: int
    """Events shown that still wait for a verdict."""
    evidence: tuple[EpochEvidence, ...]
    """Oldest first."""
    evidence_digest: str
    """SHA-256 of the evidence as canonical JSON."""
    extent: Extent
    """What of the logs it counts."""
    signs: Readings | None = None
    """Of drift, as they stand without any verdict; None where they are not looked for."""

    widened: Widening | None = None
    """Since the fall, with `on_failure` widen: what is dropped still; None: nothing."""

    @property
    def has_fallen(self) -> bool:
        """Whether `on_failure` acts. A new policy or pack makes a certificate stale in word only:
        acting would send everything to the analyst at each push, and where that is more than it
        can judge, silence would keep the next certificate away for good."""
        if self.state is CertificateState.STALE:
            return bool(set(self.stale_causes) - _BY_ORDER)
        return self.state is CertificateState.REFUTED

    @property
    def drops_below(self) -> float:
        """While it has fallen, only scores below are dropped, and nothing by a rule: 0, nothing."""
        return self.widened.drop_below if self.has_fallen and self.widened else 0.0

    def is_abandoned(self, now_ms: int) -> bool:
        """Whether it says that the topic is certified and is older than any verdict may be. Who
        holds the evidence states it again several times within `max_age`."""
        overdue_ms = now_ms - self.at_ms - self.target.max_age_ms
        return self.state is CertificateState.CERTIFIED and overdue_ms > GRACE_MS

    @property
    def key(self) -> tuple[str, str, str]:
        """What the statements of one certificate have in common."""
        return (self.topic, self.entry_id, self.model_id)


def state(
    epochs: Sequence[EpochEvidence],
    *,
    of: tuple[str, str, str],
    target: RecallTarget,
    on_failure: OnFailure,
    alarms: frozenset[StaleCause],
    now_ms: int,
    last: Statement | None,
    extent: Extent,
    signs: Readings | None = None,
) -> Statement:
    """What is to be stated now. `of`: topic, entry and pack, as in `Statement.key`. `last`: what
    was stated before of the same certificate."""
    topic, entry_id, model_id = of
    certificate = _certificate(epochs, target, entry_id, model_id, alarms, now_ms)
    if last is None or last.state is not certificate.state:
        since_ms, before = now_ms, last.state if last else None
    else:
        since_ms, before = last.since_ms, last.before
    return Statement(
        topic=topic,
        entry_id=entry_id,
        model_id=model_id,
        at_ms=now_ms,
        since_ms=since_ms,
        state=certificate.state,
        before=before,
        stale_causes=certificate.stale_causes,
        alarms=tuple(sorted(alarms)),
        on_failure=on_failure,
        target=target,
        finding=certificate.finding,
        slices=certificate.slices,
        kept_needed=certificate.kept_needed,
        forecast_ms=certificate.forecast_ms,
        pending=certificate.epoch.pending if certificate.epoch else 0,
        evidence=tuple(epochs),
        evidence_digest=evidence_digest(epochs),
        extent=extent,
        signs=signs,
    )


def evidence_digest(epochs: Sequence[EpochEvidence]) -> str:
    """64 hex digits."""
    canonical = json.dumps(
        [asdict(epoch) for epoch in epochs], sort_keys=True, separators=(",", ":")
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def contradictions(statement: Statement) -> list[str]:
    """What of a statement does not follow from the evidence that it names."""
    problems = []
    if evidence_digest(statement.evidence) != statement.evidence_digest:
        problems.append("the digest is not that of the evidence")
    found = _certificate(
        statement.evidence,
        statement.target,
        statement.entry_id,
        statement.model_id,
        frozenset(statement.alarms),
        statement.at_ms,
    )
    for name in ("state", "stale_causes", "finding", "slices", "kept_needed", "forecast_ms"):
        said, follows = getattr(statement, name), getattr(found, name)
        if said != follows:
            problems.append(f"{name}: stated is {said}, and {follows} follows from the evidence")
    return problems


def _certificate(
    epochs: Sequence[EpochEvidence],
    target: RecallTarget,
    entry_id: str,
    model_id: str,
    alarms: frozenset[StaleCause],
    now_ms: int,
) -> Certificate:
    return certify(
        epochs, target=target, policy_id=entry_id, model_id=model_id, now_ms=now_ms, alarms=alarms
    )
