"""`stream-filter review`: people judge a share of the events, in the terminal."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import orjson

from stream_filter.app.audit_trail import user_name
from stream_filter.app.policy_file import load_policy
from stream_filter.app.reviewing import Review, ShownEvent, read_stock
from stream_filter.cli.options import (
    analysis_topics_option,
    connection_options,
    optional_policy,
    settings_of,
)
from stream_filter.cli.output import print_table, printable, runs
from stream_filter.cli.quantities import Figure
from stream_filter.core.errors import ConfigError
from stream_filter.core.judging import compare
from stream_filter.core.oracle import Judge
from stream_filter.kafka.topic_writer import TopicWriter

_ANSWERS = {"i": True, "n": False, "u": None}
_KEYS = "[i]mportant  [n]ot  [u]nsure  [z] undo  [q]uit"
_WIDTH, _LINES = 200, 30
_NAME_CHARS = 200
"""Longer ones are no judge's in the verdict topic."""


@click.command()
@analysis_topics_option
@optional_policy("The policy file.")
@click.option(
    "--share",
    type=Figure(0.0, 1.0, min_open=True),
    default=0.05,
    show_default=True,
    help="Of the events, drawn by their ids: the same ones for every reviewer.",
)
@click.option("--reviewer", help="Your name in verdicts.  [your login]")
@connection_options
@runs
async def review(
    topics: tuple[str, ...],
    policy_path: Path | None,
    share: float,
    reviewer: str | None,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
) -> None:
    """Judge events yourself: i important, n not, u unsure, z undo, q quit.

    Shows each event with the one before it, and nothing of what the gate or others say of it. What
    you say goes to the verdict topic as a person's verdict, which overrides a model's. The last 20
    answers can be taken back; they are sent when you go on, or quit. Come back at any time: what
    you have answered is not shown again.

    \b
    stream-filter review --topic llm.analysis --share 0.02
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    wanted = topics or tuple(sorted(load_policy(policy_path).targets) if policy_path else ())
    if not wanted:
        raise click.UsageError("give --topic, or --policy to take those it forwards to")
    name = reviewer or user_name()
    if len(name) > _NAME_CHARS:
        raise click.UsageError(f"--reviewer has at most {_NAME_CHARS} characters")
    stock = await read_stock(settings, wanted, reviewer=name, share=share)
    writer = TopicWriter(settings.connection(), topic=settings.verdict_topic, acks="all")
    sitting = Review(stock, writer, reviewer=name)
    try:
        while (event := sitting.next) is not None:
            _show(event, sitting)
            began_s = time.monotonic()
            key = await asyncio.to_thread(_pressed)
            click.echo(printable(key))
            if key in _ANSWERS:
                await sitting.answer(_ANSWERS[key], seconds=time.monotonic() - began_s)
            elif key == "z" and not sitting.undo():
                click.echo("nothing to take back")
            elif key == "q":
                break
    finally:
        await sitting.close()
        await writer.close()
    click.echo(f"\nanswered {sitting.answered:,}, {sitting.left:,} left")
    _print_agreement(sitting, Judge(name, True))


def _pressed() -> str:
    """One key; where no more can come (Ctrl-C, Ctrl-D, the end of what is piped in), q."""
    try:
        return click.getchar().lower() or "q"
    except (KeyboardInterrupt, EOFError):
        return "q"
    except OSError as error:
        raise ConfigError(f"keys cannot be read: {error}: run it in a terminal") from error


def _show(event: ShownEvent, sitting: Review) -> None:
    total = len(sitting.stock.events)
    click.echo(f"\n─── {total - sitting.left + 1:,} of {total:,} · {event.source}", nl=False)
    at = datetime.fromtimestamp(event.at_ms / 1000, UTC)
    click.echo(f" · {at:%Y-%m-%d %H:%M:%S} UTC")
    if event.before is not None:
        click.echo(f"before: {printable(event.before.decode('utf-8', 'replace'), width=_WIDTH)}")
    for line in _lines(event.value):
        click.echo(f"  {line}")
    click.echo(_KEYS, nl=False)
    click.echo("  ", nl=False)


def _lines(value: bytes) -> list[str]:
    """An event, a field a line where it is JSON."""
    try:
        fields = orjson.loads(value)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        return [printable(value.decode("utf-8", "replace"), width=_WIDTH * 5)]
    lines = []
    for name, field in list(fields.items())[:_LINES]:
        text = field if isinstance(field, str) else orjson.dumps(field).decode()
        lines.append(f"{printable(name, width=40)}: {printable(text, width=_WIDTH * 5)}")
    return lines


def _print_agreement(sitting: Review, own: Judge) -> None:
    by_judge = sitting.stock.opinions.by_judge
    said = by_judge.get(own, {})  # nothing yet, or unsure of all
    rows = []
    for judge, opinions in by_judge.items():
        if judge.is_person and judge != own:
            found = compare(said, opinions)
            kappa = found.kappa()
            shown = "not defined" if kappa is None else f"{kappa:.2f}"
            rows.append((printable(judge.name), found.events, found.agreed, shown))
    if rows:
        click.echo("\nYou and others, on the same events")
        print_table(("reviewer", "events", "agreed", "kappa"), rows)
