"""`stream-filter analyst`: the language model behind the analysis topic."""

import asyncio
import signal
from pathlib import Path

import click

from stream_filter.cli.options import connection_options, settings_of
from stream_filter.cli.output import runs
from stream_filter.cli.run import start_logs
from stream_filter.core.errors import ConfigError


@click.command()
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    required=True,
    envvar="STREAM_FILTER_ANALYST",
    show_envvar=True,
    help="The analyst's config file.",
)
@connection_options
@click.option(
    "--web-port",
    type=click.IntRange(1, 65535),
    default=6067,
    show_default=True,
    help="/healthz, /readyz, /metrics.",
)
@runs
async def analyst(
    config_path: Path,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    web_port: int,
) -> None:
    """Ask a language model about what the gate forwards, and write its verdicts, until SIGTERM.

    Reads the analysis topics of the config as a member of the group GROUP-analyst and writes to the
    verdict topic. Any OpenAI-compatible endpoint will do. Start as many analysts as you like: they
    share partitions, limits and the day's budget. When the budget is gone, records wait.

    \b
    stream-filter analyst --config analyst.yaml --bootstrap kafka:9092
    """
    try:
        from stream_filter.analyst.config import load_analyst
        from stream_filter.analyst.worker import run_analyst
    except ImportError as missing:
        raise ConfigError(
            f"the analyst needs {missing.name}: pip install 'stream-filter[analyst]'"
        ) from missing
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    config = load_analyst(config_path)
    start_logs(settings)
    stop_asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_asked.set)
    await run_analyst(config, settings, port=web_port, stop_asked=stop_asked)
