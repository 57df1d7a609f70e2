"""Opening a recorded ledger: a store, a topic, or both as one."""

import asyncio
import re
import tempfile
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from stream_filter.app.settings import Settings, load_settings
from stream_filter.audit.newest import archive_newest
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Snapshot, Window
from stream_filter.core.errors import ConfigError
from stream_filter.kafka.fetched_records import install_record_reading
from stream_filter.store.folder import Folder

_BOOTSTRAP = re.compile(r"[A-Za-z0-9._\[\]:-]+:[0-9]{1,5}(,[A-Za-z0-9._\[\]:-]+:[0-9]{1,5})*")
Answer = TypeVar("Answer")


def open_ledger(
    path_or_bootstrap: str | Path,
    *,
    bootstrap: str | None = None,
    settings: Settings | None = None,
    topic: str | None = None,
    window_ms: Window = (None, None),
) -> RecordedLedger:
    """Open a store (a folder or `s3://bucket/path`), or a ledger topic (`host:port`).

    With a store and a `bootstrap` (or `settings`, which also say the topics' names), what the
    topics hold beyond the store counts too. `topic` and `window_ms` (of decision time) say what is
    needed: the rest need not be opened. Raises ConfigError or StreamFilterError.
    """
    where = str(path_or_bootstrap)
    is_topic = _BOOTSTRAP.fullmatch(where) is not None and not Path(where).exists()
    if is_topic and bootstrap is not None:
        raise ConfigError("bootstrap: given twice")
    given = where if is_topic else bootstrap
    if given is not None:
        settings = (
            settings.model_copy(update={"bootstrap": given})
            if settings
            else load_settings(None, {"bootstrap": given})
        )
    if is_topic:
        return _opened(None, settings, topic, window_ms)
    folder = Folder(where)
    if not folder.holds_a_store():
        raise ConfigError(f"there is no store at {where!r}: run `stream-filter archive`")
    return _opened(folder, settings, topic, window_ms)


def _opened(
    folder: Folder | None, settings: Settings | None, topic: str | None, window_ms: Window
) -> RecordedLedger:
    store = Snapshot.of(folder, topic=None, window_ms=(None, None)) if folder else None
    aside: tempfile.TemporaryDirectory[str] | None = None
    snapshots = []
    if folder is not None:
        snapshots.append(Snapshot.of(folder, topic=topic, window_ms=window_ms))
    try:
        if settings is not None:
            aside = tempfile.TemporaryDirectory(prefix="stream-filter-audit-")
            newest = Folder(aside.name)
            archived = archive_newest(settings, newest, store=store, window_ms=window_ms)
            in_thread(archived)
            snapshots.append(Snapshot.of(newest, topic=topic, window_ms=window_ms))
        return RecordedLedger(snapshots, aside=aside)
    except BaseException:
        if aside is not None:
            aside.cleanup()
        raise


def in_thread(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run to its end on a loop of its own: a notebook has one already."""
    install_record_reading()
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()
