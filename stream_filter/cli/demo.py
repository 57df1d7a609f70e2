"""`stream-filter demo`: see it work."""

import re
import time
from pathlib import Path

import click

from stream_filter.cli.options import json_option
from stream_filter.cli.output import runs
from stream_filter.cli.quantities import Figure
from stream_filter.core.errors import ConfigError


@click.command()
@click.option("--seconds", type=Figure(1, 86_400), default=60, show_default=True)
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
@click.option(
    "--endpoint",
    metavar="URL",
    help="A real language model's, up to /v1; its key: $OPENAI_API_KEY.  [a stand-in]",
)
@click.option("--model", metavar="NAME", help="The model's name at --endpoint.")
@click.option(
    "--price",
    type=Figure(0),
    nargs=2,
    metavar="IN OUT",
    default=(0.4, 1.6),
    show_default=True,
    help="Of a million tokens asked and answered.",
)
@click.option(
    "--error-rate",
    type=Figure(0, 1),
    help="Share of texts that the stand-in judges wrongly.  [0]",
)
@json_option
@runs
async def demo(
    seconds: float,
    rate: int,
    seed: int,
    bootstrap: str | None,
    model_dir: Path | None,
    endpoint: str | None,
    model: str | None,
    price: tuple[float, float],
    error_rate: float | None,
    as_json: bool,
) -> None:
    """Watch the gate on a web shop's logs: calm, a burst, a deploy gone wrong, a new failure.

    Starts a broker, a worker in enforce mode, an analyst, and a generator that knows the truth.
    Shows what is forwarded, what that misses, what the gate claims about it, what the analyst says
    of it, the incident that he sees, and what is saved by not reading everything. Ends with totals
    and the ledger check. Nothing is left running. Exit code 0 only if every event was decided and
    conservation holds.

    The analyst asks a stand-in for a language model, which knows the truth; with --endpoint, a real
    one.

    \b
    stream-filter demo
    stream-filter demo --seconds 20 --rate 5000
    stream-filter demo --bootstrap kafka:9092 --json > demo.json
    stream-filter demo --endpoint http://localhost:11434/v1 --model qwen3:4b --rate 200
    """
    began_s = time.monotonic()
    _check_model(endpoint, model, error_rate)
    try:
        from stream_filter.cli.demo_run import play
        from stream_filter.demo.bill import Price
        from stream_filter.demo.language_model import ModelOptions
        from stream_filter.demo.stage import DemoOptions, find_model_dir
    except ImportError as missing:
        raise ConfigError(
            f"the demo needs {missing.name}: pip install 'stream-filter[demo]'"
        ) from missing
    options = DemoOptions(
        seconds=seconds,
        rate=rate,
        seed=seed,
        bootstrap=bootstrap,
        model_dir=(model_dir or find_model_dir()).absolute(),
        language_model=ModelOptions(
            endpoint=endpoint,
            model=model or "stand-in",
            price=Price(input=price[0], output=price[1]),
            error_rate=error_rate or 0.0,
        ),
    )
    await play(options, began_s=began_s, as_json=as_json)


def _check_model(endpoint: str | None, model: str | None, error_rate: float | None) -> None:
    if (endpoint is None) is not (model is None):
        raise ConfigError("--endpoint and --model belong together: give both, or neither")
    if endpoint is None:
        return
    if not re.fullmatch(r"https?://\S+", endpoint):
        raise ConfigError(f"--endpoint {endpoint}: not a URL: write http://HOST:PORT/v1")
    if error_rate is not None:
        raise ConfigError("--error-rate is the stand-in's: leave it out, or --endpoint")
