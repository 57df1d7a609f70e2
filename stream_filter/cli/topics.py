"""`stream-filter topics create`: all that a policy needs."""

from pathlib import Path

import click

from stream_filter.app.policy_file import load_policy
from stream_filter.app.topics import create_topics
from stream_filter.cli.options import (
    connection_options,
    control_option,
    evidence_option,
    json_option,
    policy_option,
    settings_of,
)
from stream_filter.cli.output import print_json, print_table, runs


@click.group()
def topics() -> None:
    """The topics that a policy needs.

    \b
    stream-filter topics create --policy policy.yaml
    """


@topics.command()
@policy_option
@connection_options
@click.option(
    "--partitions",
    type=click.IntRange(1, 10_000),
    help="Partitions of new topics.  [as many as the largest source topic]",
)
@click.option(
    "--replication-factor",
    type=click.IntRange(1, 10),
    default=1,
    show_default=True,
    help="Replicas of new topics: 3 in production.",
)
@click.option(
    "--ledger-days",
    type=click.IntRange(1),
    default=30,
    show_default=True,
    help="How long the ledger is kept.",
)
@control_option
@evidence_option
@click.option("--with-sources", is_flag=True, help="Also create source topics that are missing.")
@json_option
@runs
async def create(
    policy_path: Path,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    partitions: int | None,
    replication_factor: int,
    ledger_days: int,
    control: bool | None,
    evidence: bool | None,
    with_sources: bool,
    as_json: bool,
) -> None:
    """Create the analysis, ledger, memory, dead-letter and audit topics that are missing, with
    --control those of the control plane, and with --evidence those of verdicts, certificates and
    incidents.

    Topics that exist are left as they are. New ones take records as large as the sources do,
    and the headers that the gate adds.

    \b
    stream-filter topics create --policy policy.yaml --replication-factor 3
    """
    settings = settings_of(
        settings_path, bootstrap=bootstrap, group=group, control=control, evidence=evidence
    )
    policy = load_policy(policy_path)
    prepared = await create_topics(
        policy,
        settings,
        partitions=partitions,
        replication_factor=replication_factor,
        ledger_days=ledger_days,
        with_sources=with_sources,
    )
    rows = [(p.topic, p.partitions, "created" if p.was_created else "exists") for p in prepared]
    if as_json:
        print_json([{"topic": t, "partitions": n, "state": state} for t, n, state in rows])
    else:
        print_table(("topic", "partitions", "state"), rows)
