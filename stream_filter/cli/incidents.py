"""`stream-filter incidents`: outages that the analyst sees, and how they go on."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import click
import msgspec

from stream_filter.cli.incident_page import incident_page
from stream_filter.cli.incident_text import incident_lines, one_line
from stream_filter.cli.options import connection_options, json_option, settings_of
from stream_filter.cli.output import print_json, runs
from stream_filter.core.errors import ConfigError, StreamFilterError
from stream_filter.kafka.board import BoardRecord, KafkaBoard
from stream_filter.outage.incident import Incident
from stream_filter.store.incident_json import decode_incident, encode_incident


@click.command()
@connection_options
@click.option("--open", "only_open", is_flag=True, help="Only those that are not over.")
@click.option("--last", type=click.IntRange(1), default=10, show_default=True, help="So many.")
@click.option("--follow", is_flag=True, help="Go on, and print each change in a line.")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write a page as well."
)
@json_option
@runs
async def incidents(
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    only_open: bool,
    last: int,
    follow: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Show the outages that the analyst has seen (`outage` in its config), the newest last: since
    when, who complains, who may be the cause, how they hang together, and what the model says.

    \b
    stream-filter incidents --last 3
    stream-filter incidents --open --json
    stream-filter incidents --follow
    stream-filter incidents --html incidents.html
    """
    settings = settings_of(settings_path, bootstrap=bootstrap, group=group)
    board = KafkaBoard(settings.connection(), topic=settings.incidents_topic)
    if follow:
        if page is not None:
            raise click.UsageError("--html is of what there is now: leave out --follow")
        async for records in board.follow():
            for incident in _read(records):
                if not only_open or incident.state == "open":
                    click.echo(
                        encode_incident(incident) if as_json else one_line(incident), nl=True
                    )
        return
    newest = {incident.incident_id: incident for incident in _read(await board.read())}
    found = sorted(newest.values(), key=lambda incident: (incident.onset_ms, incident.opened_ms))
    found = [each for each in found if not only_open or each.state == "open"][-last:]
    if page is not None:
        _write(page, found)
    if as_json:
        print_json([msgspec.to_builtins(incident) for incident in found])
    elif found:
        click.echo("\n\n".join("\n".join(incident_lines(incident)) for incident in found))
    else:
        click.echo("no incident" + (" is open" if only_open else " was seen"))


def _read(records: Iterable[BoardRecord]) -> list[Incident]:
    """What cannot be read is named on stderr, and passed over."""
    found = []
    for record in records:
        try:
            found.append(decode_incident(record.value))
        except StreamFilterError as error:
            click.echo(f"skipped {record.position}: {error}", err=True)
    return found


def _write(page: Path, found: Sequence[Incident]) -> None:
    try:
        page.write_text(incident_page(found), encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{page}: {error.strerror}: give another --html") from None
