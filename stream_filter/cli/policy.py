"""`stream-filter policy`: what is in force, and changing it while workers run."""

from pathlib import Path

import click

from stream_filter.app.cluster import inspect_cluster
from stream_filter.app.packs import open_packs
from stream_filter.app.policy_documents import PolicyDocument, changes, load_document, with_topic
from stream_filter.app.settings import Settings
from stream_filter.app.target_problems import target_notes
from stream_filter.cli.options import connection_options, json_option, model_dir_option
from stream_filter.cli.output import print_json, runs
from stream_filter.cli.policy_plane import (
    change_documents,
    control_plane,
    document_of,
    give_and_tell,
    giving_options,
    numbered,
    values_of,
)
from stream_filter.cli.policy_views import diff, get, history, list_
from stream_filter.core.errors import ConfigError
from stream_filter.core.orders import Action, before


@click.group()
def policy() -> None:
    """The policy of workers that run with --control.

    Every order (push, rollback, pause, resume) is kept with who gave it and when. A command that
    gives one answers when every live worker has it in force, or names those that have not, with
    exit code 1.

    \b
    stream-filter policy push policy.yaml --dry-run
    stream-filter policy push policy.yaml
    stream-filter policy rollback
    stream-filter policy pause payments.logs
    """


@policy.command()
@click.argument("policy_path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--topic", help="Only this entry of FILE; the others stay as they are in force.")
@click.option("--dry-run", is_flag=True, help="Check and show what would change; give no order.")
@connection_options
@model_dir_option
@click.option("--without-packs", is_flag=True, help="The packs are not here: workers check them.")
@giving_options
@json_option
@runs
async def push(
    policy_path: Path,
    topic: str | None,
    dry_run: bool,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    model_dir: Path | None,
    without_packs: bool,
    by: str | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Put the policy in FILE in force on all workers.

    Checks it like `stream-filter check`, against the cluster too, shows what changes, and gives
    the order. What is paused stays paused.

    \b
    stream-filter policy push policy.yaml --dry-run
    stream-filter policy push policy.yaml --topic payments.logs
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group, model_dir=model_dir)
    document = load_document(policy_path)
    orders = await plane.orders()
    latest = orders[-1] if orders else None
    if topic is not None:
        if latest is None:
            raise ConfigError("no policy is in force yet: push a whole file first")
        document = with_topic(document_of(latest), document, topic)
    await _require_sound(document, plane.settings, without_packs=without_packs)
    found = changes(values_of(latest) if latest else {}, document.values)
    if not as_json:
        for change in found:
            click.echo(str(change))
    is_news = latest is None or latest.policy_id != document.policy.policy_id
    if dry_run or not is_news:
        if as_json:
            print_json(
                {
                    "ok": True,
                    "policy_id": document.policy.policy_id,
                    "changes": change_documents(found),
                    "given": False,
                }
            )
        elif not is_news:
            click.echo(f"policy id {document.policy.policy_id} is the last order's: nothing to do")
        else:
            click.echo(f"dry run: policy id {document.policy.policy_id} would be pushed")
        return
    note = f"{policy_path.name}, {topic}" if topic else policy_path.name
    await give_and_tell(
        plane,
        orders,
        Action.PUSH,
        document,
        paused=latest.paused if latest else (),
        note=note,
        by=by,
        changes=found,
        timeout_s=timeout_s,
        as_json=as_json,
    )


async def _require_sound(
    document: PolicyDocument, settings: Settings, *, without_packs: bool
) -> None:
    problems: list[str] = []
    if not without_packs:
        _, problems = open_packs(document.policy, settings.model_dir, threads=1)
    cluster = await inspect_cluster(document.policy, settings)
    problems += cluster.obstacles()
    if problems:
        raise ConfigError(*problems)
    for warning in [*target_notes(document.policy), *cluster.warnings()]:
        click.echo(f"warning: {warning}", err=True)


@policy.command()
@click.option("--to", "sequence", type=click.IntRange(1), help="The order to go back to.")
@connection_options
@giving_options
@json_option
@runs
async def rollback(
    sequence: int | None,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    by: str | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Put an earlier policy in force again: the one before the present one, or that of --to.

    A second rollback undoes the first. What is paused stays paused.

    \b
    stream-filter policy rollback
    stream-filter policy rollback --to 3
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    orders, latest = await plane.standing()
    target = before(orders) if sequence is None else numbered(orders, sequence)
    if target is None:
        raise ConfigError("there is no earlier policy: see `stream-filter policy history`")
    document = document_of(target)
    found = changes(values_of(latest), document.values)
    if not as_json:
        for change in found:
            click.echo(str(change))
    await give_and_tell(
        plane,
        orders,
        Action.ROLLBACK,
        document,
        paused=latest.paused,
        note=f"to order {target.sequence}",
        by=by,
        changes=found,
        timeout_s=timeout_s,
        as_json=as_json,
    )


@policy.command()
@click.argument("topic")
@connection_options
@giving_options
@json_option
@runs
async def pause(
    topic: str,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    by: str | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Forward everything of TOPIC unread, at once, with the reason `paused`.

    TOPIC is a topic's name or an entry of the policy. It stays paused until `resume`, whatever
    policy is pushed in between.

    \b
    stream-filter policy pause payments.logs
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    orders, latest = await plane.standing()
    document = document_of(latest)
    entries = {rules.topic for rules in document.policy.topics}
    if topic not in entries and document.policy.for_topic(topic) is None:
        raise ConfigError(
            f"the policy has no rules for {topic!r}: its entries are {', '.join(sorted(entries))}"
        )
    await give_and_tell(
        plane,
        orders,
        Action.PAUSE,
        document,
        paused=(*latest.paused, *({topic} - set(latest.paused))),
        note=topic,
        by=by,
        timeout_s=timeout_s,
        as_json=as_json,
    )


@policy.command()
@click.argument("topic")
@connection_options
@giving_options
@json_option
@runs
async def resume(
    topic: str,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    by: str | None,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Decide TOPIC by its policy again, after `pause`.

    \b
    stream-filter policy resume payments.logs
    """
    plane = control_plane(settings_path, bootstrap=bootstrap, group=group)
    orders, latest = await plane.standing()
    if topic not in latest.paused:
        paused = ", ".join(latest.paused) or "nothing"
        raise ConfigError(f"{topic!r} is not paused: paused is {paused}")
    await give_and_tell(
        plane,
        orders,
        Action.RESUME,
        document_of(latest),
        paused=tuple(entry for entry in latest.paused if entry != topic),
        note=topic,
        by=by,
        timeout_s=timeout_s,
        as_json=as_json,
    )


for view in (list_, get, history, diff):
    policy.add_command(view)
