"""`stream-filter archive`: ledger, verdicts and certificates into the store."""

from pathlib import Path

import click

from stream_filter.app.archive_worker import archive_once, keep_archived
from stream_filter.app.archiving import Archived
from stream_filter.app.settings import ArchiveModel, Settings
from stream_filter.cli.options import connection_options, json_option, settings_of
from stream_filter.cli.output import print_json, runs
from stream_filter.core.errors import ConfigError
from stream_filter.store.folder import Folder


@click.command()
@click.option("--store", help="Folder, or s3://bucket/path.  [archive.store of the settings]")
@connection_options
@click.option("--keep-days", type=click.IntRange(1), help="Drop older days.  [keep all]")
@click.option("--follow", is_flag=True, help="Go on until stopped, a pass each minute.")
@json_option
@runs
async def archive(
    store: str | None,
    settings_path: Path | None,
    bootstrap: str | None,
    group: str | None,
    keep_days: int | None,
    follow: bool,
    as_json: bool,
) -> None:
    """Copy ledger blocks, verdicts and certificates from their topics into a store of Parquet
    files, by topic and day, each exactly once: stop it whenever you like. Compacts small files.

    Without --follow: one pass, up to what is committed now. A worker does the same by itself
    where its settings have archive.store.

    \b
    stream-filter archive --store /var/lib/stream-filter
    stream-filter archive --store s3://audit/gate --follow
    """
    settings = with_archive(
        settings_of(settings_path, bootstrap=bootstrap, group=group), store, keep_days
    )
    folder = Folder(store_of(settings))
    done = await archive_once(settings, folder)
    if as_json and not follow:
        print_json(as_document(done))
    else:
        _print(done)
    if follow:
        await keep_archived(settings, folder, told=_print)


def with_archive(settings: Settings, store: str | None, keep_days: int | None) -> Settings:
    """Settings with what the command line says of the store."""
    given = {"store": store, "keep_days": keep_days}
    update = {name: value for name, value in given.items() if value is not None}
    if not update:
        return settings
    archive_settings = ArchiveModel(**{**settings.archive.model_dump(), **update})
    return settings.model_copy(update={"archive": archive_settings})


def store_of(settings: Settings) -> str:
    """Where the store is. Raises ConfigError where nobody says."""
    if not settings.archive.store:
        raise ConfigError(
            "no store: give --store FOLDER (or s3://bucket/path), or archive.store in the settings"
        )
    return settings.archive.store


def as_document(done: Archived) -> dict[str, object]:
    """What a pass did, as plain values."""
    return {
        "blocks": done.records["decisions"],
        "events": done.events,
        "verdicts": done.records["verdicts"],
        "certificates": done.records["certificates"],
        "damaged": done.records["damaged"],
        "files": done.files,
        "compacted": done.compacted,
        "dropped_days": done.dropped_days,
        "expired": done.expired,
    }


def _print(done: Archived) -> None:
    for place, offsets in done.expired.items():
        click.echo(
            f"warning: {place}: {offsets:,} offsets had expired before they were archived", err=True
        )
    click.echo(
        f"archived {done.events:,} decisions in {done.records['decisions']:,} blocks, "
        f"{done.records['verdicts']:,} verdicts, {done.records['certificates']:,} certificates"
        + (f"; {done.records['damaged']:,} records were damaged" if done.records["damaged"] else "")
        + (f"; compacted {done.compacted} files" if done.compacted else "")
        + (f"; dropped {done.dropped_days} days" if done.dropped_days else "")
    )
