"""Commands that are loaded when they are asked for: a worker has no use for DuckDB."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click


class LazyGroup(click.Group):
    """A group that has commands by name besides those added to it."""

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        """`lazy`: module of this package and function of each."""
        super().__init__(*args, **options)
        self._lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*super().list_commands(ctx), *self._lazy]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self._lazy:
            return super().get_command(ctx, cmd_name)
        module, function = self._lazy[cmd_name]
        command: click.Command = getattr(import_module(f"stream_filter.cli.{module}"), function)
        return command
