"""The streams that contestants read: real logs where they are at hand, else the demo's generator.

``repeating`` cycles through its lines as real machines do. In ``unique`` no canonical text comes
twice: words are put before each message, and they are letters, since the masks take numbers away.
"""

from __future__ import annotations

import gzip
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from pathlib import Path

import orjson

from bench.rule import Rule
from stream_filter.demo.generator import PlatformStream

DATA = Path(__file__).parents[2] / "shared" / "data"
STREAMS = ("repeating", "unique", "otrf")

_SEED = 20_261_124
_GENERATED_LINES = 32_000
_WORD = re.compile(rb"\b[a-z]{4,9}\b")
_WORDS_BEFORE_MESSAGE = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A stream of JSON objects, what the gate reads of them and the rule of its peers."""

    name: str
    source: str
    template: str
    rule: Rule
    lines: tuple[bytes, ...]
    message_field: str
    is_unique: bool

    def values(self, count: int) -> Iterator[bytes]:
        """The first ``count`` values. The same on every call."""
        if self.is_unique:
            return self._unique_values(count)
        return islice(cycle(self.lines), count)

    def _unique_values(self, count: int) -> Iterator[bytes]:
        words = sorted({word.decode() for line in self.lines for word in _WORD.findall(line)})
        rng = random.Random(_SEED)
        seen: set[tuple[str, ...]] = set()
        for line in islice(cycle(self.lines), count):
            while (chosen := tuple(rng.choices(words, k=_WORDS_BEFORE_MESSAGE))) in seen:
                continue
            seen.add(chosen)
            event = orjson.loads(line)
            event[self.message_field] = " ".join((*chosen, event[self.message_field]))
            yield orjson.dumps(event)


def open_stream(name: str) -> Stream | None:
    """The stream of that name; None where it needs data that is not there."""
    if name == "otrf":
        return _otrf()
    base = _loghub() or _generated()
    return Stream(
        name=name,
        source=base.source,
        template=base.template,
        rule=base.rule,
        lines=base.lines,
        message_field=base.message_field,
        is_unique=name == "unique",
    )


def _loghub() -> Stream | None:
    """32,000 log lines of 16 systems, as a shipper would send them: about 200 bytes each."""
    path = DATA / "loghub.jsonl.gz"
    if not path.exists():
        return None
    lines = []
    with gzip.open(path) as file:
        for index, row in enumerate(map(orjson.loads, file)):
            fields = {key: row[key] or "" for key in ("source", "component", "level", "message")}
            ts = f"2026-11-24T08:12:{index // 1_000:02d}.{index % 1_000:03d}Z"
            lines.append(orjson.dumps({"ts": ts, "host": f"node-{index % 48}", **fields}))
    return Stream(
        name="loghub",
        source="loghub, 32,000 lines of 16 systems",
        template="{source} {component} {level} {message}",
        rule=Rule(
            level_field="level",
            levels=("ERROR", "FATAL", "SEVERE", "CRITICAL"),
            text_field="message",
            needle="Exception",
        ),
        lines=tuple(lines),
        message_field="message",
        is_unique=False,
    )


def _otrf() -> Stream | None:
    """150,000 Windows, Sysmon and cloud events of about 2.3 kB."""
    path = DATA / "otrf.jsonl.gz"
    if not path.exists():
        return None
    with gzip.open(path) as file:
        lines = tuple(line.strip() for line in file)
    return Stream(
        name="otrf",
        source="OTRF security events",
        template="{SourceName} {Category} {EventType} {Image} {TargetImage} {CommandLine}",
        rule=Rule(
            level_field="EventType",
            levels=("AUDIT_FAILURE", "ERROR", "WARNING", "DeleteKey", "DeleteValue"),
            text_field="Message",
            needle="Remote thread",
        ),
        lines=lines,
        message_field="Message",
        is_unique=False,
    )


def _generated() -> Stream:
    """The demo's platform: a calm stretch, a burst, a bad deploy."""
    platform = PlatformStream(_SEED, 1_795_507_200_000, 64.0)
    per_tick = _GENERATED_LINES // 640
    events = (event for tick in range(640) for event in platform.events(tick / 10, per_tick))
    return Stream(
        name="generated",
        source="the demo's generator, 32,000 lines",
        template="{service} {level} {message}",
        rule=Rule(
            level_field="level",
            levels=("ERROR", "FATAL", "CRITICAL"),
            text_field="message",
            needle="panic",
        ),
        lines=tuple(event.value for event in events),
        message_field="message",
        is_unique=False,
    )
