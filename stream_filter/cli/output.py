"""What commands print: tables for people, one JSON document for machines; errors in one line."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import wraps
from typing import NoReturn, ParamSpec, TypeVar

import click
import orjson
import uvloop

from stream_filter.core.errors import ConfigError, StreamFilterError

EXIT_FINE, EXIT_FAILED, EXIT_USAGE = 0, 1, 2

P = ParamSpec("P")
R = TypeVar("R")


def print_json(document: object) -> None:
    """One document on stdout."""
    options = orjson.OPT_INDENT_2 | orjson.OPT_SERIALIZE_NUMPY | orjson.OPT_SORT_KEYS
    click.echo(orjson.dumps(document, default=str, option=options).decode())


def print_table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Columns as wide as their widest cell; numbers to the right."""
    cells = [list(header), *[[_cell(value) for value in row] for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [
        all(isinstance(row[i], int | float) for row in rows) if rows else False
        for i in range(len(header))
    ]
    for row in cells:
        line = "  ".join(
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        )
        click.echo(line.rstrip())


def printable(text: str, *, width: int | None = None) -> str:
    """Text from outside, as one line that cannot steer the terminal; cut to `width`."""
    cut = text if width is None or len(text) <= width else f"{text[: width - 1]}…"
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in cut)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return "" if value is None else str(value)


def fail(error: StreamFilterError, *, as_json: bool) -> NoReturn:
    """Print an error, no traceback, and leave: 2 where a person must change something, else 1."""
    problems = error.problems if isinstance(error, ConfigError) else (str(error),)
    if as_json:
        print_json({"ok": False, "errors": list(problems)})
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    raise SystemExit(EXIT_USAGE if isinstance(error, ConfigError) else EXIT_FAILED)


def runs(command: Callable[P, Awaitable[R]]) -> Callable[P, R]:
    """Makes an async command one that click can call; its StreamFilterErrors become exits."""

    @wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(_awaited(command(*args, **kwargs)))
        except StreamFilterError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))
        except KeyboardInterrupt:
            raise SystemExit(130) from None

    return run


async def _awaited(result: Awaitable[R]) -> R:
    return await result
