"""Undoing drops: recorded events are read back from their source and sent on, each once."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import numpy as np

from stream_filter.app.audit_trail import record_use
from stream_filter.app.release_budget import Origin, ReleaseBudget, count_live, count_recent
from stream_filter.app.replay_plan import Chosen, ReplayOrder, ReplayReport, what_is_left
from stream_filter.app.replay_record import ReplayLog, read_replays
from stream_filter.app.replay_sending import ReplaySending
from stream_filter.app.settings import Settings
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Policy
from stream_filter.kafka.delivery import choose_delivery
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.replay_sender import ReplaySender
from stream_filter.kafka.topics import TopicAdmin
from stream_filter.kafka.unit_of_work import MAX_BATCH_BYTES, AccountTopics


async def rehearse(
    order: ReplayOrder, chosen: Sequence[Chosen], settings: Settings
) -> tuple[ReplayReport, list[Chosen]]:
    """What `replay` would do, as far as it can be known without reading; and of what. Raises
    BrokerError or ConfigError."""
    async with _reader(settings) as reader:
        reader.partitions(order.to_topic)
        log = await read_replays(reader, settings.replay_topic, patience_s=_patience_s(settings))
        report, left = await what_is_left(order, chosen, reader, log)
    kept = []
    for each in left:
        most = len(each.offsets) if order.limit is None else order.limit - report.sent
        kept.append(each.where(np.arange(len(each.offsets)) < most))
        report.sent += len(kept[-1].offsets)
        report.beyond_limit += len(each.offsets) - len(kept[-1].offsets)
    return report, [each for each in kept if len(each.offsets)]


async def replay(
    order: ReplayOrder,
    chosen: Sequence[Chosen],
    policy: Policy | None,
    settings: Settings,
    *,
    progress: Callable[[ReplayReport, int], None],
) -> ReplayReport:
    """Send the chosen records that were not sent before. What is sent and the account of it are one
    transaction, so a replay that ended anywhere goes on by being asked for again. `progress`: told
    the report so far and how many are left. Raises BrokerError or ConfigError."""
    connection = settings.connection()
    async with AsyncExitStack() as closing:
        reader = await closing.enter_async_context(_reader(settings))
        reader.partitions(order.to_topic)
        if not reader.has(settings.replay_topic):
            raise ConfigError(
                f"replay topic {settings.replay_topic!r} does not exist, and what is sent is "
                "recorded there: run `stream-filter topics create`"
            )
        delivery, _ = await choose_delivery(
            settings.delivery, connection, f"{settings.group}-replay"
        )
        async with TopicAdmin(connection) as admin:
            limits = await admin.max_message_bytes([order.to_topic, settings.replay_topic])
        # Opened before the log is read: what an earlier replay sends after that is void.
        sender = await closing.enter_async_context(
            ReplaySender(
                connection,
                order.topic,
                group=settings.group,
                delivery=delivery,
                accounts=AccountTopics(ledger=settings.ledger_topic, memory=settings.memory_topic),
                transaction_timeout_ms=settings.transaction_timeout_ms,
                max_batch_bytes=min([MAX_BATCH_BYTES, *limits.values()]),
            )
        )
        log = await read_replays(reader, settings.replay_topic, patience_s=_patience_s(settings))
        report, left = await what_is_left(order, chosen, reader, log)
        report.delivery = delivery.value
        detail = {"replay_id": order.replay_id, "to_topic": order.to_topic, "where": order.where}
        events = sum(len(each.offsets) for each in left)
        if not events:
            return report
        await record_use(
            settings, command="replay", topic=order.topic, events=events, detail=detail
        )
        budget = _budget(order, policy, log)
        size_limit = limits[order.to_topic]
        sending = ReplaySending(order, settings, reader, sender, budget, size_limit, report)
        work = []
        if budget is not None and policy is not None:
            live = await closing.enter_async_context(TopicReader(connection))
            topics = [topic for topic in {*policy.targets, order.to_topic} if live.has(topic)]
            starts = await count_recent(live, topics, budget, is_own=sending.is_own)
            counting = count_live(live, starts, budget, is_own=sending.is_own)
            work.append(asyncio.create_task(counting))
        work.append(asyncio.create_task(sending.run(left, progress)))
        for task in work:
            closing.callback(task.cancel)
        done, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
        return report


def _reader(settings: Settings) -> TopicReader:
    return TopicReader(settings.connection(), isolation_level=settings.isolation_level)


def _patience_s(settings: Settings) -> float:
    """A replay of another topic that was killed leaves a transaction: the broker ends it in
    time."""
    return settings.transaction_timeout_ms / 1000 + 15.0


def _budget(order: ReplayOrder, policy: Policy | None, log: ReplayLog) -> ReleaseBudget | None:
    """None where nothing limits."""
    budget = ReleaseBudget(policy) if policy is not None else None
    if budget is None or not budget.limits(Origin(order.topic, order.to_topic)):
        return None
    for record in log.records:
        budget.was_sent(
            Origin(record.topic, record.to_topic),
            events=record.records,
            tokens=record.tokens,
            at_ms=record.at_ms,
        )
    return budget
