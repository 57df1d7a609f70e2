"""Orders: what is to be in force, by whose word; and what the workers say they have in force.

An order is complete: the whole policy and all paused topics. So the last order that counts is
all that a worker must know, and any earlier one can be given again.
"""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

HEARTBEAT_S = 1.0
"""A worker says so often what it has in force."""
LIVE_WITHIN_MS = 5_000
"""A worker that was silent for longer is not live."""
SILENT_WITHIN_MS = 60_000
"""A worker that was silent for longer is forgotten."""


class Action(StrEnum):
    """What was asked for. `SEED`: a worker found no order and gave its policy file."""

    SEED = "seed"
    PUSH = "push"
    ROLLBACK = "rollback"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be in force in one group from now on."""

    group: str
    sequence: int
    """1 for the first; the giver writes one more than that of the order before it."""
    action: Action
    by: str
    """Who gave it, as they say themselves."""
    at_ms: int
    policy_id: str
    policy_text: str
    """The policy file, as YAML."""
    paused: tuple[str, ...]
    """Topics and globs of which everything is forwarded."""
    note: str
    """In a few words, what was given: a file, a topic, the sequence gone back to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What one worker has in force, in its own words."""

    group: str
    worker: str
    sequence: int
    """Of the order in force; 0 while there is none."""
    policy_id: str
    paused: tuple[str, ...]
    since_ms: int
    refused_sequence: int
    """Of the order that it cannot put in force; 0 where there is none."""
    refused_because: str
    is_leaving: bool
    heard_ms: int
    """When the broker took it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """How far an order has come, by worker name."""

    in_force: tuple[str, ...]
    refused: Mapping[str, str]
    """Why, by worker."""
    waiting: tuple[str, ...]
    silent: tuple[str, ...]
    """Not live, and were until lately: crashed, or cut off from the broker as everybody was."""

    @property
    def is_complete(self) -> bool:
        """Every live worker has it in force."""
        return not self.refused and not self.waiting


def counts(order: Order, latest: Order | None) -> bool:
    """Whether an order counts after `latest`, the last one that did: its sequence is greater.

    Of two orders given at the same time, with the same sequence, the first in the log counts.
    All who read the log agree.
    """
    return latest is None or order.sequence > latest.sequence


def counting(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Those that count, of one group's orders in log order."""
    kept: list[Order] = []
    for order in orders:
        if counts(order, kept[-1] if kept else None):
            kept.append(order)
    return tuple(kept)


def before(orders: Sequence[Order]) -> Order | None:
    """The last order with another policy than the one in force: what a rollback goes back to."""
    return next(
        (order for order in reversed(orders) if order.policy_text != orders[-1].policy_text), None
    )


def _refuses(report: Report, order: Order) -> bool:
    return report.refused_sequence >= order.sequence > report.sequence


def is_paused(topic: str, paused: Iterable[str]) -> bool:
    return any(topic == entry or fnmatch.fnmatchcase(topic, entry) for entry in paused)


def reach(order: Order, reports: Mapping[str, Report], now_ms: int) -> Reach:
    """How far an order has come. `reports`: the last of each worker; `now_ms` by the clock that
    gave `heard_ms`.

    A worker that cannot put the policy in force pauses and resumes all the same.
    """
    staying = {
        name: report
        for name, report in sorted(reports.items())
        if not report.is_leaving and report.heard_ms >= now_ms - SILENT_WITHIN_MS
    }
    live = {name: r for name, r in staying.items() if r.heard_ms >= now_ms - LIVE_WITHIN_MS}
    refusing = {name for name, report in live.items() if _refuses(report, order)}
    asks_for_policy = order.action not in {Action.PAUSE, Action.RESUME}
    refused = {
        name: live[name].refused_because
        for name in sorted(refusing)
        if asks_for_policy or set(live[name].paused) != set(order.paused)
    }
    in_force = tuple(
        name
        for name, report in live.items()
        if report.sequence >= order.sequence or name in refusing - refused.keys()
    )
    return Reach(
        in_force=in_force,
        refused=refused,
        waiting=tuple(name for name in live if name not in {*in_force, *refused}),
        silent=tuple(name for name in staying if name not in live),
    )
