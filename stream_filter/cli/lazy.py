"""Commands that are loaded when they are asked for: help is quick, a worker has no DuckDB."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Lazy(NamedTuple):
    """Where a command is, and what it does, for the list of all commands."""

    module: str
    """Of this package."""
    function: str
    summary: str


class LazyGroup(click.Group):
    """A group of commands that are not loaded to be listed."""

    def __init__(self, *args: Any, lazy: Mapping[str, Lazy], **options: Any) -> None:
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return None
        module, function, _ = self._lazy[cmd_name]
        command: click.Command = getattr(import_module(f"stream_filter.cli.{module}"), function)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.summary) for name, lazy in self._lazy.items()])
