"""What there is to show of a run: at one moment, and in the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from stream_filter.app.verify import Verification
from stream_filter.core.statement import Statement
from stream_filter.demo.bill import Bill, Price, Reading
from stream_filter.demo.claims import Claim
from stream_filter.demo.follower import Follower, Forwarded, LogLine
from stream_filter.demo.incidents import SeenIncident
from stream_filter.demo.judging import Judged
from stream_filter.demo.scoreboard import Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Glimpse:
    """What there is to show at one moment."""

    phase: str
    scenario: str
    at_s: float
    duration_s: float
    standing: Standing
    produced_per_s: float
    decided_per_s: float
    delivery: str | None
    bootstrap: str
    has_pack: bool
    first_forwarded_s: float | None
    last: tuple[tuple[Forwarded, bool | None], ...]
    """The last forwarded events, the newest last, and whether truth says they are important."""
    last_missed: LogLine | None
    claim: Statement | None
    """What the gate states of its recall; None before the first."""
    judge: str
    judged: Judged
    bill: Bill
    incidents: tuple[SeenIncident, ...]


class Display(Protocol):
    """Shows glimpses, a few each second, on the event loop's thread: must not take long."""

    def show(self, glimpse: Glimpse) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. `problems` is empty where everything held."""

    standing: Standing
    follower: Follower
    missed: dict[str, LogLine]
    """By kind, an important event that was discarded."""
    claims: tuple[Claim, ...]
    """Each change of what the gate states of its recall."""
    judge: str
    judged: Judged
    reading: Reading
    price: Price
    bill: Bill
    incidents: tuple[SeenIncident, ...]
    finding: Verification | None
    exits: Mapping[str, int | None]
    """Exit codes by process."""
    first_forwarded_s: float | None
    took_s: float
    ended_early: bool
    policy_id: str
    problems: tuple[str, ...]
    logs: Mapping[str, tuple[str, ...]]
    """By file, the last lines."""
