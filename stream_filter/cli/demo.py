"""`stream-filter demo`: see it work."""

import asyncio
import logging
import shutil
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import click

from stream_filter.cli.ledger import as_document as finding_document
from stream_filter.cli.ledger import print_finding, verify_with
from stream_filter.cli.options import json_option
from stream_filter.cli.output import EXIT_FAILED, print_json, print_table, runs
from stream_filter.core.decision import Route
from stream_filter.core.errors import ConfigError
from stream_filter.demo.plain import PlainDisplay, first_forwarded, fraction, percent
from stream_filter.demo.report import Group, as_document, forwarded_groups, missed_groups
from stream_filter.demo.session import Display, Outcome, Session
from stream_filter.demo.stage import PACK, DemoOptions, Stage, find_model_dir

_FORWARDED_ROWS, _MISSED_ROWS = 20, 5
_WIDTH_WITHOUT_TERMINAL = 140


@click.command()
@click.option("--seconds", type=click.FloatRange(1), default=60, show_default=True)
@click.option(
    "--rate",
    type=click.IntRange(1, 100_000),
    default=2000,
    show_default=True,
    help="Events a second when all is calm.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Other events.")
@click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    help="An existing cluster; topics get a prefix and are deleted.  [an embedded broker]",
)
@click.option(
    "--model-dir",
    type=click.Path(path_type=Path),
    help="Folder of packs.  [models, here or in the checkout]",
)
@json_option
@runs
async def demo(
    seconds: float,
    rate: int,
    seed: int,
    bootstrap: str | None,
    model_dir: Path | None,
    as_json: bool,
) -> None:
    """Watch the gate on a web shop's logs: calm, a burst, a deploy gone wrong, a new failure.

    Starts a broker, a worker in enforce mode and a generator that knows the truth, shows what is
    forwarded, what that misses and what the gate claims about it, and ends with totals and the
    ledger check. Nothing is left running. Exit code 0 only if every event was decided and
    conservation holds.

    \b
    stream-filter demo
    stream-filter demo --seconds 20 --rate 5000
    stream-filter demo --bootstrap kafka:9092 --json > demo.json
    """
    began_s = time.monotonic()
    options = DemoOptions(
        seconds=seconds,
        rate=rate,
        seed=seed,
        bootstrap=bootstrap,
        model_dir=(model_dir or find_model_dir()).absolute(),
    )
    with Stage(options) as stage, ExitStack() as screen:
        # What libraries have to say would tear the screen.
        logging.basicConfig(filename=stage.folder / "demo.log", level=logging.WARNING)
        if not stage.has_pack:
            click.echo(
                f"warning: no model pack {PACK} in {options.model_dir}: the gate forwards "
                "everything as degraded; run in a checkout, or give --model-dir",
                err=True,
            )
        display = _display(screen, as_json=as_json)
        outcome = await Session(options, stage, began_s=began_s).play(
            display, verify_with, _stop_asked()
        )
    is_live = not isinstance(display, PlainDisplay)
    if is_live and outcome.first_forwarded_s is not None:
        click.echo(first_forwarded(outcome.first_forwarded_s), err=True)
    if as_json:
        check = finding_document(outcome.finding) if outcome.finding else None
        asked = {"seconds": seconds, "rate": rate, "seed": seed, "bootstrap": bootstrap}
        print_json({**as_document(outcome), "ledger_check": check, "asked": asked})
    else:
        _print_totals(outcome)
    if outcome.problems:
        for problem in outcome.problems:
            click.echo(f"error: {problem}", err=True)
        click.echo(f"the end of the worker's log, {outcome.log_file}:", err=True)
        for line in outcome.log_tail:
            click.echo(f"  {line}", err=True)
        raise SystemExit(EXIT_FAILED)


def _display(screen: ExitStack, *, as_json: bool) -> Display:
    if as_json or not sys.stdout.isatty():
        return PlainDisplay(lambda line: click.echo(line, err=as_json))
    try:
        from stream_filter.demo.view import LiveDisplay
    except ImportError as missing:
        raise ConfigError(
            "the demo's live view is not installed: pip install 'stream-filter[demo]'"
        ) from missing
    return screen.enter_context(LiveDisplay())


def _stop_asked() -> asyncio.Event:
    """Set by the first Ctrl-C or SIGTERM; the second acts as everywhere."""
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def ask() -> None:
        asked.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ask)
    return asked


def _print_totals(outcome: Outcome) -> None:
    standing = outcome.standing
    groups = forwarded_groups(outcome)
    width = shutil.get_terminal_size((_WIDTH_WITHOUT_TERMINAL, 24)).columns
    click.echo("\nForwarded, by kind and reason")
    _print_groups(groups, _FORWARDED_ROWS, width)
    missed = missed_groups(outcome)
    if missed:
        click.echo("\nImportant and dropped, by kind: what only truth can tell")
        _print_groups(missed, _MISSED_ROWS, width)
    click.echo("\nTotals")
    unseen = standing.recall("unseen")
    print_table(
        ("", "events", ""),
        [
            ("read", standing.decided, ""),
            ("forwarded", standing.routed(Route.FORWARD), percent(standing.forwarded_share)),
            *((f"  {r}", n, "") for r, n in standing.reasons(Route.FORWARD).items()),
            ("dropped", standing.routed(Route.DISCARD), ""),
            *((f"  {r}", n, "") for r, n in standing.reasons(Route.DISCARD).items()),
            *((f"  {r}", n, "") for r, n in standing.reasons(Route.DEAD_LETTER).items()),
        ],
    )
    click.echo(f"recall by truth      {fraction(standing.recall())}")
    click.echo(f"  of the unseen kind {fraction(unseen)}")
    click.echo(f"precision            {percent(standing.precision)} (of what it chose)")
    click.echo(f"delivery             {outcome.follower.delivery or 'nothing was decided'}")
    if outcome.claims:
        click.echo("\nWhat the gate claimed about its recall, from an analyst's verdicts")
        print_table(
            ("at", "state", "recall", "by truth", "effect"),
            [
                (
                    f"{claim.at_s:.0f} s",
                    " ".join((claim.state.value, *claim.causes)),
                    f"{percent(claim.lower)} to {percent(claim.upper)}",
                    percent(claim.truth),
                    claim.effect,
                )
                for claim in outcome.claims
            ],
        )
    if outcome.finding:
        click.echo("\nLedger check")
        print_finding(outcome.finding)


def _print_groups(groups: list[Group], rows: int, width: int) -> None:
    header = ("count", "reason", "truth", "family", "example")
    shown = [
        (
            group.count,
            group.reason,
            "important" if group.important else "routine",
            group.kind.partition("/")[0],
            str(group.example) if group.example else group.kind.partition("/")[2],
        )
        for group in groups[:rows]
    ]
    taken = sum(max(len(str(row[i])) for row in [header, *shown]) + 2 for i in range(4)) + 1
    print_table(header, [(*row[:4], _cut(row[4], width - taken)) for row in shown])
    rest = groups[rows:]
    if rest:
        click.echo(f"… and {len(rest)} more, {sum(g.count for g in rest):,} events (all in --json)")


def _cut(text: str, room: int) -> str:
    return text if len(text) <= max(room, 20) else text[: max(room, 20) - 1] + "…"
