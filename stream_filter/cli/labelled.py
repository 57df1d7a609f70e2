"""Labelled events for a command: read, and what had to be left out is told."""

from collections.abc import Sequence
from pathlib import Path

import click

from stream_filter.app.labelled_events import MOST_TEXTS_READ, LabelledEvents, read_labelled
from stream_filter.core.policy import TopicPolicy


def labelled_events(
    path: Path,
    *,
    rules: TopicPolicy | None,
    slices: Sequence[str] = (),
    needs_labels: bool = True,
) -> LabelledEvents:
    """As `read_labelled`. On stderr where the events are a sample of the file."""
    events = read_labelled(path, rules=rules, slices=slices, needs_labels=needs_labels)
    if events.thinned:
        click.echo(
            f"{path}: more than {MOST_TEXTS_READ:,} distinct texts: a sample of "
            f"{len(events.texts):,} of them is used; weights make up for the others",
            err=True,
        )
    return events
