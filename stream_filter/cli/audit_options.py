"""What the audit's commands share: which part of the ledger they ask, and how it is opened."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import click

from stream_filter.app.settings import Settings
from stream_filter.audit.opening import open_ledger
from stream_filter.audit.recorded import RecordedLedger
from stream_filter.audit.snapshot import Window
from stream_filter.cli.options import (
    connection_options,
    json_option,
    optional_policy,
    settings_of,
)
from stream_filter.cli.output import printable
from stream_filter.cli.times import PointInTime
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.store.stretches import is_topic_name

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Which part of the ledger."""

    settings: Settings
    topic: str | None
    window_ms: Window
    where: str | None
    newest: bool


def ledger_options(*, topic_required: bool = False) -> Callable[[Command], Command]:
    """--store, --topic, --from, --to, --where, --newest, --json and where to connect. The command
    takes them as **chosen, for `asked_of`, beside `as_json`."""
    options = (
        click.option("--store", help="The store.  [archive.store; else the ledger topic alone]"),
        click.option("--topic", required=topic_required, help="The source topic."),
        click.option(
            "--from", "from_ms", type=PointInTime(), help="Decided from this time or age."
        ),
        click.option("--to", "to_ms", type=PointInTime(), help="Decided before this time or age."),
        click.option("--where", help="SQL condition over the columns of `decisions`."),
        click.option(
            "--newest/--no-newest",
            default=True,
            help="With a store: also what the ledger topic holds beyond it.  [yes]",
        ),
        connection_options,
        json_option,
    )

    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def asked_of(chosen: dict[str, Any]) -> Asked:
    """From the options. Raises ConfigError."""
    settings = settings_of(
        chosen["settings_path"], bootstrap=chosen["bootstrap"], group=chosen["group"]
    )
    store = chosen["store"] or settings.archive.store
    archive = settings.archive.model_copy(update={"store": store})
    topic = chosen["topic"]
    if topic is not None and not is_topic_name(topic):
        raise ConfigError(f"--topic: {topic!r} is no name of a topic")
    first, end = chosen["from_ms"], chosen["to_ms"]
    if first is not None and end is not None and first >= end:
        raise ConfigError("--from: is not before --to")
    return Asked(
        settings=settings.model_copy(update={"archive": archive}),
        topic=topic,
        window_ms=(first, end),
        where=chosen["where"],
        newest=chosen["newest"],
    )


@contextmanager
def opened(asked: Asked, *, whole: bool = False, warns: bool = True) -> Iterator[RecordedLedger]:
    """The ledger: the store with what is newer, where there is a store; else the topic. A broker
    that does not answer leaves the store, and a warning; so does, if it `warns`, a ledger without
    any of it. `whole`: all topics and times."""
    store, settings = asked.settings.archive.store, asked.settings
    topic, window_ms = (None, (None, None)) if whole else (asked.topic, asked.window_ms)
    if store is None:
        ledger = open_ledger(
            settings.bootstrap, settings=settings, topic=topic, window_ms=window_ms
        )
    else:
        newest = settings if asked.newest else None
        try:
            ledger = open_ledger(store, settings=newest, topic=topic, window_ms=window_ms)
        except (BrokerError, ConfigError) as error:
            if newest is None or not _is_of_the_broker(error):
                raise
            click.echo(f"warning: only the store was asked: {error}", err=True)
            ledger = open_ledger(store, topic=topic, window_ms=window_ms)
    with ledger:
        yield ledger
        if warns and not ledger.blocks(topic, window_ms).num_rows:
            what = "the ledger" if topic is None else f"the ledger of {printable(topic)}"
            click.echo(f"warning: {what} has nothing in that time", err=True)


def _is_of_the_broker(error: Exception) -> bool:
    return isinstance(error, BrokerError) or str(error).startswith("topic ")


policy_path_option = optional_policy(
    "The policy file: its `redact` says what of a payload is left out."
)
"""For commands that show payloads."""
