"""The account of what another policy would have made of a window."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.selecting import Selection
from stream_filter.audit.snapshot import Window
from stream_filter.audit.verdicts import Verdicts
from stream_filter.core.decision import Reason, Route
from stream_filter.core.holdout import held_out
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy, TopicPolicy
from stream_filter.core.position import Position
from stream_filter.core.what_if import Fate, Labels, Moves, Supported, Supposed, Sweep

SWEPT = np.linspace(0.0, 1.0, 101).round(2).astype(np.float32)
"""The thresholds of a sweep."""
FAILURE_PROBABILITY = 0.05
"""Of a recall interval, where the policy has no target that states one."""
_EXAMPLES = 5
_DRAWS = 1_000
"""Of the recorded holdout, so many are drawn again to see that the key is the gate's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one `drop_below` would do."""

    drop_below: float
    forwarded: int
    cost: float | None
    supported: Supported


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """An event whose route would be another."""

    position: Position
    score: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a policy would have made of recorded events."""

    topic: str
    policy_id: str
    model_id: str
    """Of the pack whose scores were looked up."""
    moves: tuple[tuple[Fate, Fate | None, int], ...]
    """Fate in the ledger, fate under the policy (None: unscored), records; the most first."""
    examples: dict[Route, tuple[Changed, ...]]
    """Of newly forwarded and newly dropped events, the first of a few distinct texts."""
    supported: Supported
    failure_probability: float
    """Of the recall intervals."""
    price: float | None
    sweep: tuple[Point, ...]
    """Without the budget, which no threshold by itself decides. Empty where it was not asked
    for."""
    needed: tuple[str, ...]
    """Why records were read back from the source topic; empty: the ledger's rows were enough."""
    gone: int
    """Records that the source no longer holds: they are not in `moves`."""
    is_other_key: bool
    """The recorded holdout was drawn with another key: so is the policy's here, and verdicts do not
    find their events."""
    is_text_checked: bool
    """Whether records of the source were read by the policy, and gave the recorded texts."""

    @property
    def records(self) -> int:
        """Those that something can be said of, and the unscored ones."""
        return sum(n for _, _, n in self.moves)

    @property
    def unscored(self) -> int:
        """Records whose text the ledger has no score for, by this pack."""
        return sum(n for _, new, n in self.moves if new is None)

    def recorded(self, route: Route) -> int:
        """Records that took a route."""
        return sum(n for (was, _), _, n in self.moves if was is route)

    def supposed(self, route: Route) -> int:
        """Records that would take it."""
        return sum(n for _, new, n in self.moves if new is not None and new[0] is route)

    def newly(self, route: Route) -> int:
        """Records that would take it and did not."""
        return sum(
            n
            for (was, _), new, n in self.moves
            if new is not None and new[0] is route and was is not route
        )

    @property
    def cost(self) -> float | None:
        """Of reading what would be forwarded, at the price."""
        return None if self.price is None else self.price * self.supposed(Route.FORWARD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How events were decided again: see `WhatIf`."""

    rules: TopicPolicy
    model_id: str
    needed: tuple[str, ...]
    gone: int
    is_text_checked: bool


class Account:
    """Counts decided blocks."""

    def __init__(
        self,
        ledger: RecordedLedger,
        topic: str,
        window_ms: Window,
        *,
        key: bytes,
        where: str | None,
        sweeps: bool,
    ) -> None:
        """Raises ConfigError."""
        self._topic = topic
        self._select: Callable[[Block], NDArray[np.bool_] | None] = (
            Selection(ledger, topic, window_ms, where).of if where is not None else lambda _: None
        )
        self._verdicts = Verdicts(ledger, key=key)
        self._key = key
        self._draws = 0
        self._is_other_key = False
        self._mean_cost = _mean_cost(ledger, window_ms)
        self._moves = Moves()
        self._examples: dict[Route, dict[int, Changed]] = {Route.FORWARD: {}, Route.DISCARD: {}}
        self._labels = Labels()
        self._sweep = Sweep(SWEPT) if sweeps else None
        self._swept_labels = Labels(SWEPT)

    def add(self, block: Block, supposed: list[Supposed]) -> None:
        """Count a block; `supposed`: of each of `variants_of`."""
        old, counted = block.decisions, self._select(block)
        said = self._verdicts.on(block)
        self._check_key(block)
        own, *swept = supposed
        self._moves.add(old, own, counted)
        self._keep_examples(block, own, counted)
        self._labels.add(old, own, own, said=said, counted=counted)
        if self._sweep is not None:
            below, above = swept
            self._sweep.add(below, above, counted)
            self._swept_labels.add(old, below, above, said=said, counted=counted)

    def _check_key(self, block: Block) -> None:
        if self._draws >= _DRAWS:
            return
        rows = np.flatnonzero(block.decisions.reason == Reason.HOLDOUT)
        self._draws += len(rows)
        header = block.header
        drawn = held_out(
            block.offsets[rows],
            topic=header.topic,
            partition=header.partition,
            # The policy's number is within a rounding of the ledger's.
            probability=block.decisions.probability[rows].astype(np.float64) * (1 + 1e-6),
            key=self._key,
        )
        self._is_other_key |= not drawn.all()

    def _keep_examples(
        self, block: Block, supposed: Supposed, counted: NDArray[np.bool_] | None
    ) -> None:
        for route, kept in self._examples.items():
            if len(kept) == _EXAMPLES:
                continue
            newly = (supposed.decisions.route == route) & (block.decisions.route != route)
            newly &= ~supposed.unscored
            if counted is not None:
                newly &= counted
            rows = np.flatnonzero(newly)
            rows = rows[np.sort(np.unique(block.text_digests[rows], return_index=True)[1])]
            for row in rows.tolist():
                if len(kept) == _EXAMPLES:
                    break
                score = float(supposed.decisions.score[row])
                header = block.header
                example = Changed(
                    position=Position(header.topic, header.partition, int(block.offsets[row])),
                    score=None if np.isnan(score) else score,
                )
                kept.setdefault(int(block.text_digests[row]), example)

    def answer(
        self,
        policy: Policy,
        told: Told,
        *,
        price: float | None,
    ) -> WhatIf:
        price = self._mean_cost if price is None else price
        target = told.rules.target
        chance = target.failure_probability if target else FAILURE_PROBABILITY
        (supported,) = self._labels.supported(failure_probability=chance)
        return WhatIf(
            topic=self._topic,
            policy_id=policy.policy_id,
            model_id=told.model_id,
            moves=tuple(self._moves),
            examples={route: tuple(kept.values()) for route, kept in self._examples.items()},
            supported=supported,
            failure_probability=chance,
            price=price,
            sweep=self._points(chance, price),
            needed=told.needed,
            gone=told.gone,
            is_other_key=self._is_other_key,
            is_text_checked=told.is_text_checked,
        )

    def _points(self, chance: float, price: float | None) -> tuple[Point, ...]:
        if self._sweep is None:
            return ()
        return tuple(
            Point(
                drop_below=round(float(threshold), 2),
                forwarded=forwarded,
                cost=None if price is None else price * forwarded,
                supported=supported,
            )
            for threshold, forwarded, supported in zip(
                SWEPT.tolist(),
                self._sweep.forwarded,
                self._swept_labels.supported(failure_probability=chance),
                strict=True,
            )
        )


def _mean_cost(ledger: RecordedLedger, window_ms: Window) -> float | None:
    said = ledger.verdicts(window_ms).aggregate("sum(cost), count(*)")
    ((cost, verdicts),) = said.fetchall()
    return cost / verdicts if cost else None
