"""The archive beside a worker's data plane, or alone: a pass, a pause, and again."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from stream_filter.app.archiving import Archived, Archiver
from stream_filter.app.settings import Settings
from stream_filter.core.errors import StreamFilterError
from stream_filter.kafka.reader import TopicReader
from stream_filter.kafka.turn import Turn
from stream_filter.store.folder import Folder

_log = structlog.get_logger("stream_filter")


async def archive_once(settings: Settings, folder: Folder) -> Archived:
    """One pass by whoever calls. Raises StreamFilterError; ConfigError where another process
    archives into this store."""
    with folder.held():
        archiver = Archiver(
            folder,
            settings,
            keep_days=settings.archive.keep_days,
            clock_ms=lambda: int(time.time() * 1000),
        )
        async with TopicReader(settings.connection()) as reader:
            return await archiver.run(reader)


async def keep_archived(
    settings: Settings, folder: Folder, *, told: Callable[[Archived], None]
) -> None:
    """Passes without end. What fails is logged and tried again at the next pass."""
    while True:
        await _logged(_pass(settings, folder, told), settings, folder)
        await asyncio.sleep(settings.archive.every_s)


async def keep_archived_in_turn(
    settings: Settings, folder: Folder, *, told: Callable[[Archived], None]
) -> None:
    """The same, beside the data plane of several workers: one of them at a time does it. Decisions
    never wait for the store."""
    while True:
        await _logged(_take_turns(settings, folder, told), settings, folder)
        await asyncio.sleep(settings.archive.every_s)


async def _take_turns(settings: Settings, folder: Folder, told: Callable[[Archived], None]) -> None:
    group = f"{settings.group}-archive"
    async with Turn(settings.connection(), topic=settings.ledger_topic, group=group) as turn:
        while True:
            await turn.is_mine.wait()
            turn.idle.clear()
            try:
                await _logged(_pass(settings, folder, told), settings, folder)
            finally:
                turn.idle.set()
            await asyncio.sleep(settings.archive.every_s)


async def _pass(settings: Settings, folder: Folder, told: Callable[[Archived], None]) -> None:
    told(await archive_once(settings, folder))


async def _logged(work: Awaitable[None], settings: Settings, folder: Folder) -> None:
    try:
        await work
    except StreamFilterError as error:
        _log.warning(
            "archive.failed",
            store=folder.where,
            error=str(error),
            again_in_s=settings.archive.every_s,
        )


def log_archived(done: Archived) -> None:
    """One line a pass that did something."""
    for place, offsets in done.expired.items():
        _log.warning(
            "archive.expired",
            partition=place,
            offsets=offsets,
            effect="the store has a hole: the topic's retention was shorter than the pause",
        )
    if done.files or done.compacted or done.dropped_days:
        _log.info(
            "archive.passed",
            **dict(done.records),
            events=done.events,
            files=done.files,
            compacted=done.compacted,
            dropped_days=done.dropped_days,
        )
