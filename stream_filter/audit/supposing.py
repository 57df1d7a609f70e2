"""What another policy would have made of a window: routes computed again from recorded scores."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.recorded_scores import recorded_scores
from stream_filter.audit.selecting import Selection
from stream_filter.audit.snapshot import Window
from stream_filter.audit.verdicts import Verdicts
from stream_filter.core.canonical import MASK_SET_VERSION
from stream_filter.core.decision import Decisions, Route
from stream_filter.core.errors import ConfigError
from stream_filter.core.ledger import Block
from stream_filter.core.policy import Policy, Thresholds, TopicPolicy
from stream_filter.core.what_if import Fate, Labels, Moves, Supported, Supposed, Sweep
from stream_filter.gate.recorded_scores import RecordedScores
from stream_filter.gate.rerouting import Rerouter, needs_records

SWEPT = np.linspace(0.0, 1.0, 101).round(2).astype(np.float32)
"""The thresholds of a sweep."""
FAILURE_PROBABILITY = 0.05
"""Of a recall interval, where the policy has no target that states one."""
_PIECE = 32_768
"""Rows that are worked on at once: their columns fit a core's cache."""
_NEITHER = Thresholds(drop_below=-1.0, keep_above=2.0)
_DROP_ALL = Thresholds(drop_below=2.0, keep_above=2.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """What one `drop_below` would do."""

    drop_below: float
    forwarded: int
    cost: float | None
    supported: Supported


@dataclass(frozen=True, slots=True, kw_only=True)
class WhatIf:
    """What a policy would have made of recorded events."""

    topic: str
    policy_id: str
    model_id: str
    """Of the pack whose scores were looked up."""
    moves: tuple[tuple[Fate, Fate | None, int], ...]
    """Fate in the ledger, fate under the policy (None: unscored), records; the most first."""
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


def what_if(
    ledger: RecordedLedger,
    policy: Policy,
    topic: str,
    window_ms: Window = (None, None),
    *,
    key: bytes,
    where: str | None = None,
    price: float | None = None,
    sweep: bool = False,
) -> WhatIf:
    """Decide the events of a window again by a policy, as if it had been in force, and send
    nothing. `key`: the gate's secret, which draws the holdout. `where`: which events are counted;
    all are decided. `price`: of reading one event; None: what verdicts cost on average, where they
    say so. Raises ConfigError or StreamFilterError."""
    account = Account(ledger, topic, window_ms, key=key, where=where, sweeps=sweep)
    told = decide_again(ledger, policy, topic, window_ms, key=key, take=account.add, sweep=sweep)
    return account.answer(policy, told, price=price)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """How events were decided again."""

    rules: TopicPolicy
    model_id: str
    """Of the pack whose scores were looked up."""
    needed: tuple[str, ...] = ()
    gone: int = 0


def decide_again(
    ledger: RecordedLedger,
    policy: Policy,
    topic: str,
    window_ms: Window = (None, None),
    *,
    key: bytes,
    take: Callable[[Block, list[Supposed]], None],
    sweep: bool = False,
) -> Told:
    """Give each stretch of the window to `take`, those of a partition in order: what the ledger has
    of it, and what the policy would have decided of the same rows; with `sweep` also what it would
    if all scores were below `drop_below`, and if none were, without its budget. Raises ConfigError
    or StreamFilterError."""
    rules = supposed_rules(policy, topic)
    needed = needs_records(rules)
    if needed:
        raise ConfigError(f"the policy's {' and '.join(needed)} need the records of the source")
    scores = recorded_scores(ledger, topic, window_ms, rules, of_all=False)
    variants = variants_of(rules, sweep=sweep)
    for block, supposed in _rerouted(ledger.read_runs(topic, window_ms), variants, scores, key):
        take(block, supposed)
    return Told(rules=rules, model_id=scores.model_id)


def supposed_rules(policy: Policy, topic: str) -> TopicPolicy:
    """What a policy says of a topic, for a gate that is never overloaded and has nobody deciding
    beside it. Raises ConfigError where it says nothing."""
    rules = policy.for_topic(topic)
    if rules is None:
        raise ConfigError(f"the policy does not cover {topic}")
    return replace(rules, overload=None, challenger=None)


def variants_of(rules: TopicPolicy, *, sweep: bool) -> list[TopicPolicy]:
    """The rules; and for a sweep the two that `Sweep` asks for."""
    if not sweep:
        return [rules]
    unlimited = replace(rules, budget=None)
    return [
        rules,
        *(replace(unlimited, thresholds=each) for each in (_DROP_ALL, _NEITHER)),
    ]


def _rerouted(
    blocks: Iterable[Block], variants: list[TopicPolicy], scores: RecordedScores, key: bytes
) -> Iterator[tuple[Block, list[Supposed]]]:
    """From the ledger's rows alone, each block in pieces."""
    routers: dict[int, list[Rerouter]] = {}
    for whole in blocks:
        if whole.header.mask_set != MASK_SET_VERSION:
            raise ConfigError(
                f"block {whole.header.block_id} was masked by {whole.header.mask_set}, and this "
                f"version masks by {MASK_SET_VERSION}: its scores are of other texts; ask later"
            )
        partition = whole.header.partition
        if partition not in routers:
            routers[partition] = [
                Rerouter(rules, key=key, scores=scores, encode=_encode) for rules in variants
            ]
        for block in _pieces(whole):
            yield block, [router.decide(block) for router in routers[partition]]


def _pieces(block: Block) -> Iterator[Block]:
    if len(block.offsets) <= _PIECE:
        yield block
        return
    for first in range(0, len(block.offsets), _PIECE):
        yield rows_of(block, slice(first, first + _PIECE))


def rows_of(block: Block, rows: slice | NDArray[np.bool_]) -> Block:
    """Some rows of a block, without rules, slices and challenger; its header says nothing of
    them."""
    old = block.decisions
    return Block(
        header=block.header,
        offsets=block.offsets[rows],
        text_digests=block.text_digests[rows],
        decisions=Decisions(
            score=old.score[rows],
            verdict=old.verdict[rows],
            route=old.route[rows],
            reason=old.reason[rows],
            probability=old.probability[rows],
        ),
    )


def _encode(digests: NDArray[np.uint64]) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
    encoded = pa.array(digests).dictionary_encode()
    return encoded.indices.to_numpy(), encoded.dictionary.to_numpy()


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
        self._mean_cost = _mean_cost(ledger, window_ms)
        self._moves = Moves()
        self._labels = Labels()
        self._sweep = Sweep(SWEPT) if sweeps else None
        self._swept_labels = Labels(SWEPT)

    def add(self, block: Block, supposed: list[Supposed]) -> None:
        """Count a block; `supposed`: of each of `variants_of`."""
        old, counted = block.decisions, self._select(block)
        said = self._verdicts.on(block)
        own, *swept = supposed
        self._moves.add(old, own, counted)
        self._labels.add(old, own, own, said=said, counted=counted)
        if self._sweep is not None:
            below, above = swept
            self._sweep.add(below, above, counted)
            self._swept_labels.add(old, below, above, said=said, counted=counted)

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
            supported=supported,
            failure_probability=chance,
            price=price,
            sweep=self._points(chance, price),
            needed=told.needed,
            gone=told.gone,
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
