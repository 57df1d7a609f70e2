"""The demo without a terminal: one line a second, and the words that all displays share."""

import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from stream_filter.core.decision import Route
from stream_filter.core.statement import Statement
from stream_filter.demo.bill import Bill
from stream_filter.demo.glimpse import Glimpse
from stream_filter.demo.incidents import SeenIncident
from stream_filter.demo.judging import Judged
from stream_filter.demo.scoreboard import Recall

SCENARIOS: Mapping[str, str] = MappingProxyType({
    "calm": "calm",
    "burst": "burst: four times the traffic",
    "bad_deploy": "a deploy of payments gone wrong",
    "recovery": "recovery after the deploy",
    "unseen_failure": "failures of a kind never seen",
})  # fmt: skip


def percent(share: float | None) -> str:
    """`12.3 %`; a dash where there is nothing to divide by."""
    return "–" if share is None else f"{100 * share:.1f} %"


def fraction(recall: Recall) -> str:
    """`97.1 % (34 of 35)`."""
    if recall.value is None:
        return "–"
    return f"{percent(recall.value)} ({recall.forwarded:,} of {recall.important:,})"


class PlainDisplay:
    """A line for each second of the clock."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._next_s = time.monotonic()
        self._told_first = False

    def show(self, glimpse: Glimpse) -> None:
        if glimpse.first_forwarded_s is not None and not self._told_first:
            self._told_first = True
            self._write(first_forwarded(glimpse.first_forwarded_s))
        now_s = time.monotonic()
        if now_s >= self._next_s:
            self._next_s = max(self._next_s + 1.0, now_s)
            self._write(plain_line(glimpse))


def first_forwarded(after_s: float) -> str:
    """Said once."""
    return f"first forwarded event after {after_s:.1f} s"


def plain_line(glimpse: Glimpse) -> str:
    """All that changes, in one line."""
    standing = glimpse.standing
    recall, unseen = standing.recall().value, standing.recall("unseen").value
    scenario = SCENARIOS.get(glimpse.scenario, glimpse.scenario)
    doing = scenario if glimpse.phase == "running" else glimpse.phase
    reasons = ", ".join(f"{r} {n:,}" for r, n in standing.reasons(Route.FORWARD).items())
    return (
        f"{glimpse.at_s:5.1f} s  {doing:<31}  "
        f"in {glimpse.produced_per_s:,.0f}/s  decided {glimpse.decided_per_s:,.0f}/s  "
        f"lag {standing.undecided:,}  forwarded {standing.routed(Route.FORWARD):,} "
        f"({percent(standing.forwarded_share)}{': ' + reasons if reasons else ''})  "
        f"dropped {standing.routed(Route.DISCARD):,}  "
        f"recall {percent(recall)}, unseen {percent(unseen)}  "
        f"{judged_line(glimpse.judged)}, {saved_line(glimpse.bill)}  "
        f"{incident_line(glimpse.incidents)}  {claimed(glimpse.claim)}"
    )


def judged_line(judged: Judged) -> str:
    """`verdicts 1,204, waiting 12, refused 0, agreeing with truth 99.2 %`."""
    return (
        f"verdicts {judged.given:,}, waiting {judged.waiting:,}, refused {judged.refused:,}, "
        f"agreeing with truth {percent(judged.agreement)}"
    )


def saved_line(bill: Bill) -> str:
    """`spent 0.0213 of 1.8203, saved 98.8 %`."""
    return f"spent {bill.spent:.4f} of {bill.everything:.4f}, saved {percent(bill.saved_share)}"


def incident_line(seen: Sequence[SeenIncident]) -> str:
    """Of the last one: `incident open: payments, checkout, suspect payments; stand-in: cause
    payments`."""
    if not seen:
        return "no incident"
    incident = seen[-1].incident
    services = ", ".join(each.service for each in incident.services)
    suspect = f", suspect {incident.suspects[0].service}" if incident.suspects else ""
    said = incident.assessment
    cause = f"; {said.judge}: cause {said.root}" if said and said.root else ""
    return f"incident {incident.state}: {services}{suspect}{cause}"


def claimed(claim: Statement | None) -> str:
    """`certified: recall 91.2 % to 99.1 %`."""
    if claim is None or claim.finding is None:
        return "nothing claimed"
    return f"{claim.state.value}: recall {interval(claim)}"


def interval(claim: Statement) -> str:
    """`91.2 % to 99.1 %`; a dash before there is evidence."""
    if claim.finding is None:
        return "–"
    recall = claim.finding.recall
    return f"{percent(recall.lower)} to {percent(recall.upper)}"
