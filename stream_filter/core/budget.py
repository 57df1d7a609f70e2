"""A budget: how much of the reader behind the gate a topic may use."""

from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """What a limit counts. Tokens are estimated from a payload's length."""

    EVENTS = "events"
    TOKENS = "tokens"


class Overflow(StrEnum):
    """What becomes of a record that does not fit. `defer`: it waits in the deferred topic;
    `widen`: it is dropped, as if the thresholds were higher; `forward`: it goes on all the same,
    and the ledger says so."""

    DEFER = "defer"
    WIDEN = "widen"
    FORWARD = "forward"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most `amount` in any time of length `window_ms`."""

    amount: int
    window_ms: int
    unit: Unit = Unit.EVENTS
    target: str | None = None
    """Of what is forwarded to this topic, whoever forwards; None: of all that the topic forwards,
    wherever it goes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The limits of a topic's forwarded records, and what becomes of the others."""

    limits: tuple[Limit, ...]
    overflow: Overflow = Overflow.DEFER
    price: float | None = None
    """Of a million tokens; None: unknown."""

    @property
    def counts_tokens(self) -> bool:
        """Whether any limit does."""
        return any(limit.unit is Unit.TOKENS for limit in self.limits)


def part_of(amount: int, *, index: int, of: int) -> int:
    """The part of an amount that the partition `index` of `of` may spend. The parts add up to the
    amount, so that no partition needs to know what another spends."""
    return amount // of + (index < amount % of)
