"""`stream-filter check`: is this policy sound, here?"""

from pathlib import Path

import click

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.policy_file import load_policy
from stream_filter.cli.options import connection_options, json_option, settings_of
from stream_filter.cli.output import EXIT_USAGE, print_json, runs
from stream_filter.core.errors import BrokerError, ConfigError, PackError
from stream_filter.core.policy import Policy
from stream_filter.kafka.delivery import choose_delivery
from stream_filter.models.onnx_scorer import OnnxScorer
from stream_filter.models.pack import load_pack
from stream_filter.models.standby_scorer import require_pack_id


@click.command()
@click.argument("policy_path", metavar="POLICY", type=click.Path(path_type=Path))
@connection_options
@click.option("--model-dir", type=click.Path(path_type=Path), help="Folder of packs.  [models]")
@json_option
@runs
async def check(
    policy_path: Path,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    model_dir: Path | None,
    as_json: bool,
) -> None:
    """Check a policy file and its model packs; with --bootstrap, against the cluster too.

    Every problem is one line with file, line and key. Exit code 2 if there is any.

    \b
    stream-filter check policy.yaml
    stream-filter check policy.yaml --bootstrap kafka:9092 --json
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group, model_dir=model_dir)
    policy = load_policy(policy_path)
    packs, problems = _check_packs(policy, settings.model_dir)
    warnings: list[str] = []
    delivery = None
    if bootstrap is not None or settings_path is not None:
        try:
            cluster = await inspect_cluster(policy, settings)
            problems += cluster.obstacles()
            warnings += cluster.warnings()
            delivery, why = await choose_delivery(
                settings.delivery, settings.connection(), settings.group
            )
        except BrokerError as error:
            problems.append(f"{error}: check --bootstrap and that the broker runs")
        except ConfigError as error:
            problems += error.problems
    if as_json:
        print_json(
            {
                "ok": not problems,
                "policy_id": policy.policy_id,
                "topics": [rules.topic for rules in policy.topics],
                "packs": packs,
                "delivery": delivery,
                "errors": problems,
                "warnings": warnings,
            }
        )
    else:
        for name, model_id in packs.items():
            click.echo(f"pack {name}: id {model_id}")
        if delivery:
            click.echo(f"delivery: {delivery.value} ({why})")
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)
    for problem in problems:
        click.echo(f"error: {problem}", err=True)
    if problems:
        raise SystemExit(EXIT_USAGE)
    if not as_json:
        click.echo(f"{policy_path}: fine, policy id {policy.policy_id}")


def _check_packs(policy: Policy, model_dir: Path) -> tuple[dict[str, str], list[str]]:
    """The ids of the packs that can be used, and what is wrong with the others."""
    packs: dict[str, str] = {}
    problems: list[str] = []
    for rules in policy.topics:
        if rules.model in packs:
            continue
        try:
            pack = load_pack(Path(model_dir, rules.model))
            require_pack_id(rules.model, pack.model_id, rules.model_id)
            OnnxScorer(pack, threads=1)
            packs[rules.model] = pack.model_id
        except PackError as error:
            problems += [problem for problem in error.problems if problem not in problems]
    return packs, problems
