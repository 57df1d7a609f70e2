"""`stream-filter drain`: release what a budget deferred."""

import sys
from pathlib import Path

import click

from stream_filter.app.draining import DrainReport, drain
from stream_filter.app.policy_file import load_policy
from stream_filter.cli.options import connection_options, json_option, policy_option, settings_of
from stream_filter.cli.output import print_json, print_table, runs


@click.command("drain")
@policy_option
@connection_options
@click.option("--follow", is_flag=True, help="Go on when nothing waits any more, until stopped.")
@json_option
@runs
async def drain_deferred(
    policy_path: Path,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Release what a budget deferred, within the budget, oldest first.

    Reads the deferred topic from where the last drain left it, and sends each record to the topic
    that it was meant for, as fast as the policy's limits allow beside what the gate forwards
    meanwhile. Ends when all that waited at the beginning is released. May be stopped at any time:
    what was not released goes on waiting. Run one at a time.

    \b
    stream-filter drain --policy policy.yaml
    stream-filter drain --policy policy.yaml --follow
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    shows = sys.stderr.isatty() and not as_json

    def progress(report: DrainReport) -> None:
        if shows:
            released = report.released.total()
            click.echo(f"\rreleased {released:,}, waiting {report.waiting:,} ", nl=False, err=True)

    report = await drain(load_policy(policy_path), settings, follows=follow, progress=progress)
    if shows:
        click.echo("", err=True)
    rows = sorted((*origin, count) for origin, count in report.released.items())
    if as_json:
        print_json(
            {
                "released": [{"source": s, "target": t, "records": n} for s, t, n in rows],
                "foreign": report.foreign,
            }
        )
        return
    if rows:
        print_table(("source", "target", "released"), rows)
    else:
        click.echo("nothing waits")
    if report.foreign:
        click.echo(f"passed over {report.foreign:,} records that the gate did not send")
