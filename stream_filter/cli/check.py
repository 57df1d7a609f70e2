"""`stream-filter check`: is this policy sound, here?"""

from pathlib import Path

import click

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.packs import open_packs
from stream_filter.app.policy_file import load_policy
from stream_filter.app.target_problems import target_notes
from stream_filter.cli.options import connection_options, json_option, model_dir_option, settings_of
from stream_filter.cli.output import EXIT_USAGE, print_json, runs
from stream_filter.core.errors import BrokerError, ConfigError
from stream_filter.kafka.delivery import choose_delivery


@click.command()
@click.argument("policy_path", metavar="POLICY", type=click.Path(path_type=Path))
@connection_options
@model_dir_option
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
    scorers, problems = open_packs(policy, settings.model_dir, threads=1)
    packs = {name: scorer.model_id for name, scorer in scorers.items()}
    warnings = [f"{policy_path}: {note}" for note in target_notes(policy)]
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
