"""Which policy a worker begins with: the file, or with a control plane what the orders say."""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Protocol

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.giving import following
from stream_filter.app.order_book import OrderBook
from stream_filter.app.packs_in_use import PacksInUse
from stream_filter.app.policy_documents import PolicyDocument
from stream_filter.app.policy_switch import Examined, Standing, SwitchWatcher, examine
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.core.orders import Action
from stream_filter.gate.orders import OrderLog, OrderRecord

_KNOWN_WITHIN_S = 5.0
"""A worker that has a file waits so long for the orders; then it forwards everything."""
_SEED_AGAIN_S = 10.0


class FirstPolicyWatcher(SwitchWatcher, Protocol):
    """Told of the choice. Returns at once."""

    def policy_awaited(self) -> None:
        """There is neither an order nor a file."""
        ...

    def policy_unknown(self) -> None:
        """The orders cannot be read; everything is forwarded until they can."""
        ...

    def file_overruled(self, policy_id: str, file_policy_id: str) -> None:
        """The orders name another policy than the file; the orders hold."""
        ...

    def seed_failed(self, error: Exception, retry_in_s: float) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstPolicy:
    """All that a gate is built from."""

    policy: Examined
    standing: Standing


async def policy_of_file(
    file: PolicyDocument, settings: Settings, packs: PacksInUse, *, is_known: bool = True
) -> FirstPolicy:
    """The file's. Raises BrokerError or ConfigError."""
    cluster = await inspect_cluster(file.policy, settings)
    problems = cluster.obstacles()
    if problems:
        raise ConfigError(*problems)
    return FirstPolicy(
        policy=Examined(
            document=file,
            size_limits=cluster.size_limits,
            scorers=await asyncio.to_thread(packs.load, file.policy, must_be_there=False),
        ),
        standing=_standing(0, file, (), is_known=is_known),
    )


async def policy_of_orders(
    book: OrderBook,
    file: PolicyDocument | None,
    settings: Settings,
    packs: PacksInUse,
    watcher: FirstPolicyWatcher,
    *,
    known_within_s: float = _KNOWN_WITHIN_S,
) -> FirstPolicy:
    """The latest order's that can be put in force. While none is known: with a file, that one's
    topics, everything forwarded; without, waits. Raises BrokerError or ConfigError."""
    deadline_s = time.monotonic() + known_within_s
    is_told = False
    while True:
        if book.is_caught_up and book.records:
            found = await _of_records(book.records, settings, packs, watcher)
            if found is not None:
                if file is not None and file.policy.policy_id != found.standing.policy_id:
                    watcher.file_overruled(found.standing.policy_id, file.policy.policy_id)
                return found
        if file is not None and (book.records or time.monotonic() > deadline_s):
            is_known = book.is_caught_up and not book.records
            if not is_known:
                watcher.policy_unknown()
            return await policy_of_file(file, settings, packs, is_known=is_known)
        if file is None and not is_told and time.monotonic() > deadline_s:
            watcher.policy_awaited()
            is_told = True
        await book.changed(within_s=0.5)


async def keep_seeded(
    book: OrderBook,
    orders: OrderLog,
    file: PolicyDocument | None,
    settings: Settings,
    watcher: FirstPolicyWatcher,
) -> None:
    """Give the file as the first order where there is none yet. Of workers that do so at the same
    time, one is first and counts. Ends when there is an order."""
    while file is not None and not book.records:
        if not book.is_caught_up:
            await book.changed()
            continue
        seed = following(
            (),
            Action.SEED,
            file,
            by=settings.worker,
            paused=(),
            note=file.name,
            group=settings.group,
        )
        try:
            await orders.append(seed)
        except StreamFilterError as error:
            watcher.seed_failed(error, _SEED_AGAIN_S)
        await book.changed(within_s=_SEED_AGAIN_S)


async def _of_records(
    records: tuple[OrderRecord, ...],
    settings: Settings,
    packs: PacksInUse,
    watcher: FirstPolicyWatcher,
) -> FirstPolicy | None:
    """The latest that can be put in force as it stands; else the latest that can be read, whose
    missing packs then mean that everything is forwarded. Pauses are those of the last order."""
    problems: dict[str, str] = {}
    for packs_must_be_there in (True, False):
        for record in reversed(records):
            try:
                found = await examine(
                    record, settings, packs, packs_must_be_there=packs_must_be_there
                )
            except ConfigError as error:
                problems.setdefault(record.position, str(error))
                continue
            latest = records[-1].order
            assert record.order is not None
            assert latest is not None
            for position, problem in problems.items():
                watcher.order_refused(position, problem)
            standing = _standing(record.order.sequence, found.document, latest.paused)
            if record is not records[-1]:
                standing = replace(
                    standing,
                    refused_sequence=latest.sequence,
                    refused_because=problems.get(records[-1].position, ""),
                )
            return FirstPolicy(policy=found, standing=standing)
    for position, problem in problems.items():
        watcher.order_refused(position, problem)
    return None


def _standing(
    sequence: int, document: PolicyDocument, paused: tuple[str, ...], *, is_known: bool = True
) -> Standing:
    return Standing(
        sequence=sequence,
        policy_id=document.policy.policy_id,
        paused=paused,
        is_known=is_known,
        since_ms=int(time.time() * 1000),
    )
