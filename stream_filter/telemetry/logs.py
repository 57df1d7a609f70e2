"""Logs: structlog for our lines, the same renderer for libraries' lines; stderr only."""

import logging
import math
import sys
import time
from collections.abc import Callable
from typing import TextIO

import orjson
import structlog
from structlog.typing import Processor

_QUIET = (
    "aiokafka",
    "faust",
    "mode",
    "aiohttp",
    "asyncio",
    "rdkafka",
    "kafka",
    "openai",
    "httpx2",
    "httpcore2",
)
"""Libraries whose INFO lines are about themselves."""
_REPEAT_S = 10.0
"""A library's line is said once in so long: aiokafka tells of each of a hundred tries a second."""


_MOST_LINES = 1000


class OnceInAWhile(logging.Filter):
    """Lets a library's line pass when it was not said for a while, with the number left out."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._seconds = seconds
        self._clock = clock
        self._said: dict[str, tuple[float, int]] = {}
        """When each line was last let through, and how often it came since."""

    def filter(self, record: logging.LogRecord) -> bool:
        if record.exc_info or record.name.partition(".")[0] not in _QUIET:
            return True
        line, now = f"{record.name} {record.getMessage()}", self._clock()
        said_at, left_out = self._said.get(line, (-math.inf, 0))
        if now - said_at < self._seconds:
            self._said[line] = (said_at, left_out + 1)
            return False
        if len(self._said) >= _MOST_LINES:
            self._said.clear()
        self._said[line] = (now, 0)
        if left_out:
            record.msg, record.args = f"{record.getMessage()} ({left_out} times more)", ()
        return True


def configure_logs(*, form: str, level: str, stream: TextIO = sys.stderr) -> None:
    """Set up logging for the process. `form`: `json` or `console`."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    renderer: list[Processor] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_dumps)]
        if form == "json"
        else [structlog.dev.ConsoleRenderer(colors=stream.isatty())]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
            foreign_pre_chain=shared,
        )
    )
    handler.addFilter(OnceInAWhile(_REPEAT_S))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _dumps(line: object, **_: object) -> str:
    return orjson.dumps(line, default=str).decode()
