"""Logs: structlog for our lines, the same renderer for libraries' lines; stderr only."""

import logging
import sys
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
