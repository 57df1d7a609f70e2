"""Putting orders in force, between two batches."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.order_book import OrderBook
from stream_filter.app.packs_in_use import PacksInUse
from stream_filter.app.policy_documents import PolicyDocument, read_policy
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.core.orders import Order
from stream_filter.core.policy import Policy
from stream_filter.gate.gate import Gate
from stream_filter.gate.orders import OrderRecord
from stream_filter.gate.ports import Scorer

_AGAIN_S = 10.0
"""An order that cannot be put in force is tried again: a topic or a pack may have come."""
_SETTLED_POLL_S = 0.01


class SwitchWatcher(Protocol):
    """Told what becomes of orders. Returns at once."""

    def policy_switched(self, sequence: int, policy_id: str, paused: tuple[str, ...]) -> None: ...

    def order_refused(self, position: str, problem: str) -> None:
        """An order counts and cannot be put in force; what was in force stays."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Examined:
    """A policy that can be put in force here."""

    document: PolicyDocument
    size_limits: dict[str, int]
    """Largest record, by target topic."""
    scorers: Mapping[str, Scorer]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What is in force in a worker, and what it could not put in force."""

    sequence: int
    """Of the order; 0: the policy file, or nothing."""
    policy_id: str
    paused: tuple[str, ...]
    is_known: bool
    since_ms: int
    refused_sequence: int = 0
    refused_because: str = ""


async def examine(
    record: OrderRecord, settings: Settings, packs: PacksInUse, *, packs_must_be_there: bool
) -> Examined:
    """Read an order's policy, look whether its topics exist, load its packs. Raises ConfigError,
    each line naming the record, or BrokerError."""
    order = _order(record)
    document = await asyncio.to_thread(read_policy, record.position, order.policy_text)
    cluster = await inspect_cluster(document.policy, settings)
    problems = cluster.obstacles()
    if problems:
        raise ConfigError(*(f"{record.position}: {problem}" for problem in problems))
    try:
        scorers = await asyncio.to_thread(
            packs.load, document.policy, must_be_there=packs_must_be_there
        )
    except ConfigError as error:
        raise ConfigError(*(f"{record.position}: {p}" for p in error.problems)) from error
    return Examined(document=document, size_limits=cluster.size_limits, scorers=scorers)


class Plane(Protocol):
    """What the switch needs of the data plane."""

    @property
    def max_batch_bytes(self) -> int: ...

    async def switch(
        self, policy: Policy, size_limits: Mapping[str, int], change: Callable[[], None]
    ) -> None:
        """Call `change` and read what the policy names."""
        ...


class PolicySwitch:
    """Keeps the gate at the latest order."""

    def __init__(
        self,
        book: OrderBook,
        *,
        examine: Callable[[OrderRecord], Awaitable[Examined]],
        gate: Gate,
        plane: Plane,
        watcher: SwitchWatcher,
        begins: Standing,
        text: str,
        changed: Callable[[Standing], None],
    ) -> None:
        """`begins`: what the gate was built with, whose policy says `text`. `changed` is told of
        every new standing."""
        self._book = book
        self._examine = examine
        self._gate = gate
        self._plane = plane
        self._watcher = watcher
        self._standing = begins
        self._text = text
        self._changed = changed

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            record = self._book.latest
            if record is None or _order(record).sequence <= self._standing.sequence:
                await self._book.changed()
                continue
            try:
                await self._put_in_force(record)
            except Exception as error:  # whatever it is, what is in force stays
                self._refuse(record, error)
                if self._book.latest is record:
                    await self._book.changed(within_s=_AGAIN_S)

    async def _put_in_force(self, record: OrderRecord) -> None:
        order = _order(record)
        current = self._gate.in_force
        if set(order.paused) != set(current.paused):
            # Whatever becomes of the rest, who says pause means at once.
            current = replace(current, paused=order.paused)
            self._gate.switch(current)
        if order.policy_text == self._text:
            self._gate.switch(replace(current, paused=order.paused, is_known=True))
        else:
            found = await self._examine(record)
            policy = found.document.policy
            self._require_room(record, found.size_limits)
            following = await asyncio.to_thread(
                self._gate.prepare, policy, found.scorers, paused=order.paused
            )
            await self._plane.switch(
                policy, found.size_limits, lambda: self._gate.switch(following)
            )
            self._text = order.policy_text
        # The batches in hand are decided in threads: nobody there sets an asyncio event.
        while not self._gate.is_settled and self._book.latest is record:  # noqa: ASYNC110
            await asyncio.sleep(_SETTLED_POLL_S)
        self._standing = Standing(
            sequence=order.sequence,
            policy_id=self._gate.in_force.policy_id,
            paused=order.paused,
            is_known=True,
            since_ms=int(time.time() * 1000),
        )
        self._watcher.policy_switched(order.sequence, self._standing.policy_id, order.paused)
        self._changed(self._standing)

    def _require_room(self, record: OrderRecord, size_limits: Mapping[str, int]) -> None:
        for topic, limit in size_limits.items():
            if limit < self._plane.max_batch_bytes:
                raise ConfigError(
                    f"{record.position}: target topic {topic!r} takes {limit} bytes, less than "
                    f"the batches that are written ({self._plane.max_batch_bytes}): raise its "
                    "max.message.bytes, or restart the workers"
                )

    def _refuse(self, record: OrderRecord, error: Exception) -> None:
        problem = str(error) if isinstance(error, StreamFilterError) else repr(error)
        order = _order(record)
        sequence = order.sequence
        if (sequence, problem) == (
            self._standing.refused_sequence,
            self._standing.refused_because,
        ):
            return
        self._standing = replace(
            self._standing,
            paused=order.paused,
            refused_sequence=sequence,
            refused_because=problem,
        )
        self._watcher.order_refused(record.position, problem)
        self._changed(self._standing)


def _order(record: OrderRecord) -> Order:
    assert record.order is not None, "the book keeps only records with an order"
    return record.order
