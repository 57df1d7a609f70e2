"""`stream-filter run`: a worker."""

import sys
from pathlib import Path

import click

from stream_filter.app.policy_documents import load_document
from stream_filter.app.settings import Settings
from stream_filter.app.worker import run_worker
from stream_filter.cli.options import (
    connection_options,
    control_option,
    evidence_option,
    model_dir_option,
    optional_policy,
    settings_of,
)
from stream_filter.cli.output import runs
from stream_filter.telemetry.logs import configure_logs


@click.command()
@optional_policy("The policy file; with --control only the first one, and it can be left out.")
@control_option
@evidence_option
@connection_options
@click.option(
    "--delivery",
    type=click.Choice(["auto", "exactly_once", "at_least_once"]),
    help="auto takes exactly once where the broker can, and says which it took.  [auto]",
)
@model_dir_option
@click.option("--web-port", type=int, help="/healthz, /readyz, /metrics.  [6066]")
@runs
async def run(
    policy_path: Path | None,
    control: bool | None,
    evidence: bool | None,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    delivery: str | None,
    model_dir: Path | None,
    web_port: int | None,
) -> None:
    """Run a worker until SIGTERM.

    Reads the policy's topics as a member of a consumer group; start as many workers as there
    are partitions. On SIGTERM it commits what is in hand and leaves the group.

    \b
    stream-filter run --policy policy.yaml --bootstrap kafka:9092
    stream-filter run --control --bootstrap kafka:9092
    """
    settings = settings_of(
        settings_path,
        bootstrap=bootstrap,
        group=group,
        delivery=delivery,
        model_dir=model_dir,
        control=control,
        evidence=evidence,
    )
    if policy_path is None and not settings.control:
        raise click.UsageError(
            "no policy: give --policy FILE, or --control to take what `policy push` gave"
        )
    if web_port is not None:
        settings = settings.model_copy(
            update={"web": settings.web.model_copy(update={"port": web_port})}
        )
    start_logs(settings)
    await run_worker(load_document(policy_path) if policy_path else None, settings)


def start_logs(settings: Settings) -> None:
    """Logs as the settings say; `auto`: console on a terminal, else JSON."""
    form = settings.log.format
    if form == "auto":
        form = "console" if sys.stderr.isatty() else "json"
    configure_logs(form=form, level=settings.log.level)
