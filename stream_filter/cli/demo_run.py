"""The demo as a command: a display, a session, and what is printed in the end."""

import asyncio
import logging
import signal
import sys
from contextlib import ExitStack

import click

from stream_filter.analyst.config import load_analyst
from stream_filter.analyst.reaching import check_reachable
from stream_filter.cli.demo_totals import print_totals
from stream_filter.cli.ledger import as_document as finding_document
from stream_filter.cli.ledger import verify_with
from stream_filter.cli.output import EXIT_FAILED, print_json
from stream_filter.core.errors import ConfigError
from stream_filter.demo.glimpse import Display
from stream_filter.demo.plain import PlainDisplay, first_forwarded
from stream_filter.demo.report import as_document
from stream_filter.demo.session import Session
from stream_filter.demo.stage import PACK, DemoOptions, Stage


async def play(options: DemoOptions, *, began_s: float, as_json: bool) -> None:
    """Play and print. Raises ConfigError for what keeps it from starting, SystemExit where
    something did not hold."""
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
        if options.language_model.endpoint:
            await check_reachable(load_analyst(stage.analyst_file).endpoint)
        outcome = await Session(options, stage, began_s=began_s).play(
            display, verify_with, _stop_asked()
        )
    is_live = not isinstance(display, PlainDisplay)
    if is_live and outcome.first_forwarded_s is not None:
        click.echo(first_forwarded(outcome.first_forwarded_s), err=True)
    if as_json:
        check = finding_document(outcome.finding) if outcome.finding else None
        asked = {
            "seconds": options.seconds,
            "rate": options.rate,
            "seed": options.seed,
            "bootstrap": options.bootstrap,
        }
        print_json({**as_document(outcome), "ledger_check": check, "asked": asked})
    else:
        print_totals(outcome)
    if outcome.problems:
        for problem in outcome.problems:
            click.echo(f"error: {problem}", err=True)
        for log_file, tail in outcome.logs.items():
            click.echo(f"the end of {log_file}:", err=True)
            for line in tail:
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
