"""The canonical texts of events in a file of JSON lines, read as the gate would read them."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from stream_filter.app.line_file import json_object, numbered_lines
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import Format, TopicPolicy
from stream_filter.formats.text_reader import (
    canonical_texts,
    field_text,
    text_reader,
    with_equal_digits,
)

_LINES = 5_000

Row = tuple[str, dict[str, Any]]
"""Where a line stands, and the object in it."""


def event_rows(path: Path, digested: Callable[[bytes], object]) -> Iterator[list[Row]]:
    """The lines of a file in chunks, empty lines left out. `digested` is told every byte. Raises
    ConfigError with the line."""
    rows: list[Row] = []
    for number, line in numbered_lines(path):
        digested(line + b"\n")
        if line.strip():
            rows.append(
                (f"{path}:{number}", json_object(line, f"{path}:{number}", needs="event or text"))
            )
        if len(rows) == _LINES:
            yield rows
            rows = []
    if rows:
        yield rows


class EventTexts:
    """Distinct canonical texts, numbered as they come.

    Of an `event` (what a record's value would be) the `rules` say what is read; a `text` is taken
    as it is, before masking.
    """

    def __init__(self, rules: TopicPolicy | None) -> None:
        self.texts: dict[str, int] = {}
        self._reader = text_reader(rules) if rules else None
        self._is_json = rules is not None and rules.format is not Format.TEXT

    def __call__(self, rows: Sequence[Row]) -> list[int]:
        """The number of each row's text; -1 where it has none. Raises ConfigError with the
        line."""
        events = [index for index, (_, row) in enumerate(rows) if "event" in row]
        plain = [index for index, (_, row) in enumerate(rows) if "event" not in row]
        codes = [-1] * len(rows)
        for index, text in self._plain(rows, plain):
            codes[index] = self._number(text)
        if events:
            if self._reader is None:
                raise ConfigError(
                    f"{rows[events[0]][0]}: event: what of it is read, a policy says: "
                    "give --policy and --topic, or a line with `text`"
                )
            read = self._reader.read([self._bytes(rows[index][1]["event"]) for index in events])
            numbers = [self._number(text) for text in read.distinct]
            for index, code in zip(events, read.codes.tolist(), strict=True):
                codes[index] = numbers[code] if code >= 0 else -1
        return codes

    def _plain(self, rows: Sequence[Row], plain: Sequence[int]) -> Iterator[tuple[int, str]]:
        if not plain:
            return
        for index in plain:
            place, row = rows[index]
            if not isinstance(row.get("text"), str):
                raise ConfigError(f"{place}: needs `event`, or `text` as a string")
        keys = with_equal_digits([rows[index][1]["text"] for index in plain])
        distinct, codes, _ = canonical_texts(keys, dict[bytes, str]())
        for index, code in zip(plain, codes.tolist(), strict=True):
            if code >= 0:
                yield index, distinct[code]

    def _bytes(self, event: object) -> bytes:
        if self._is_json:
            return orjson.dumps(event)
        return (event if isinstance(event, str) else field_text(event)).encode("utf-8", "replace")

    def _number(self, text: str) -> int:
        return self.texts.setdefault(text, len(self.texts))
