"""Events that nobody has labelled, read for their distinct texts alone."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from stream_filter.app.event_texts import EventTexts, event_rows
from stream_filter.app.labelled_events import MOST_TEXTS_READ
from stream_filter.app.text_thinning import TextThinning
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import TopicPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlabelledTexts:
    """Distinct canonical texts; how often each came is not kept."""

    texts: list[str]
    events: int
    without_text: int
    """Events left out: nothing in them to read, or not as the policy reads them."""
    labelled: int
    """Events that have a label all the same; it was not read."""
    sha256: str
    """Of what was read."""

    @property
    def notes(self) -> list[str]:
        """What of the events was not used."""
        said = (
            (self.labelled, "unlabelled events have a label: it was not read."),
            (self.without_text, "unlabelled events had no text to read and were left out."),
        )
        return [f"{count:,} {what}" for count, what in said if count]


def read_unlabelled(
    paths: Sequence[Path], *, rules: TopicPolicy | None, most_texts: int = MOST_TEXTS_READ
) -> UnlabelledTexts:
    """Read JSON lines with `event` or `text`, as `read_labelled` does; nothing else in them is
    read. As a stream: memory grows with the distinct texts, up to `most_texts`; of more, those
    with the lowest hashes are kept. Raises ConfigError with the line.
    """
    read, thinning, digest = EventTexts(rules), TextThinning(most_texts), hashlib.sha256()
    events = without_text = labelled = 0
    for path in paths:
        for rows in event_rows(path, digest.update):
            events += len(rows)
            without_text += sum(code < 0 for code in read(rows))
            labelled += sum(row.get("important") is not None for _, row in rows)
            # Not at every chunk: each thinning goes through all that is kept.
            if len(read.texts) > 2 * most_texts:
                _thin(read.texts, thinning)
    if without_text == events:
        raise ConfigError(f"{', '.join(map(str, paths))}: no event with a text to read")
    if thinning.is_active or len(read.texts) > most_texts:
        _thin(read.texts, thinning)
    return UnlabelledTexts(
        texts=list(read.texts),
        events=events,
        without_text=without_text,
        labelled=labelled,
        sha256=digest.hexdigest(),
    )


def _thin(texts: dict[str, int], thinning: TextThinning) -> None:
    """Keep a sample; `texts` are numbered anew, in place."""
    names, count = list(texts), len(texts)
    kept = thinning.kept(names, np.arange(count, dtype=np.int32), np.zeros(count, np.bool_))
    texts.clear()
    texts.update((names[at], number) for number, at in enumerate(np.flatnonzero(kept).tolist()))
