"""Watches that what is dropped can be undone: sources must keep their records for `undo_for`."""

import asyncio
from collections.abc import Callable

import structlog

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.settings import Settings
from stream_filter.core.errors import StreamFilterError
from stream_filter.core.policy import Policy

_log = structlog.get_logger("stream_filter")
_EVERY_S = 300.0


async def guard_undo(
    settings: Settings, policy: Callable[[], Policy], *, every_s: float = _EVERY_S
) -> None:
    """Look at the sources' retention again and again, until cancelled, and log what is too short,
    once when it becomes so: retention is changed while workers run, and policies are. A broker that
    does not answer is asked again."""
    told: set[str] = set()
    while True:
        current = policy()
        found: set[str] = set()
        if any(rules.undo_for_ms is not None for rules in current.topics):
            try:
                found = set((await inspect_cluster(current, settings)).short_retentions)
            except StreamFilterError as error:
                _log.warning("retention.unknown", error=str(error), again_in_s=every_s)
                found = told
        for problem in sorted(found - told):
            _log.warning("retention.short", problem=problem)
        told = found
        await asyncio.sleep(every_s)
