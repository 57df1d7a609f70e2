"""Events with labels, read for packs: to compare, evaluate and train them."""

import hashlib
import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stream_filter.app.event_texts import EventTexts, Row, event_rows
from stream_filter.app.text_thinning import TextThinning
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import TopicPolicy

MOST_TEXTS_READ = 100_000
"""Distinct texts that are kept of a file; of more, a sample is drawn on the way."""
NO_LABEL = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledEvents:
    """Columns of n events that have a text; their distinct canonical texts stand once."""

    texts: list[str]
    codes: NDArray[np.int32]
    """Shape (n,): index into `texts`."""
    important: NDArray[np.int8]
    """Shape (n,): 1, 0, or `NO_LABEL`."""
    weights: NDArray[np.float64]
    """Shape (n,): how many events of the stream each stands for; 1 where the line says nothing."""
    groups: NDArray[np.int64]
    """Shape (n,): what must not be split: the line's group, else its canonical text."""
    times_s: NDArray[np.float64]
    """Shape (n,): Unix seconds, NaN where the line has none."""
    slices: dict[str, list[str]]
    """Of each key asked for: n values, "" where an event has none."""
    without_text: int
    """Events left out: nothing in them to read, or not as the policy reads them."""
    contradicted: int
    """Distinct texts that have both labels. They stay: a text that is important at times is."""
    sha256: str
    """Of what was read."""
    thinned: bool = False
    """There were too many distinct texts: these are a sample, with weights that make up for it."""

    def by_text(
        self, rows: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Of each distinct text among `rows` (None: all events): the share of its weight that is
        important, 0 where it is not among them; and its weight. Both of shape (texts,)."""
        chosen = slice(None) if rows is None else rows
        codes, weights, count = self.codes[chosen], self.weights[chosen], len(self.texts)
        mass = np.bincount(codes, weights, count)
        important = np.bincount(codes, weights * (self.important[chosen] == 1), count)
        share: NDArray[np.float64] = important / np.maximum(mass, 1e-300)
        return share, mass.astype(np.float64)


def read_labelled(
    path: Path,
    *,
    rules: TopicPolicy | None,
    slices: Sequence[str] = (),
    needs_labels: bool = True,
    most_texts: int = MOST_TEXTS_READ,
) -> LabelledEvents:
    """Read JSON lines: `event` (what a record's value would be; needs the `rules` that say what to
    read of it) or `text` (as it is, before masking); `important` true or false. Optional: `weight`
    or `probability` (weight = 1/probability), `group`, `time` (ISO 8601 or Unix milliseconds).
    `slices`: keys of the line or, dotted, of its event. Reads as a stream: memory grows with the
    distinct texts, up to `most_texts` of them, and by some 50 bytes an event that is kept.

    Raises ConfigError with the line.
    """
    found = _Columns(slices=list(slices), thinning=TextThinning(most_texts))
    read = EventTexts(rules)
    digest = hashlib.sha256()
    for rows in event_rows(path, digest.update):
        found.add(rows, read(rows), needs_labels=needs_labels)
        # Not at every chunk: each thinning goes through all that is kept.
        if len(read.texts) > 2 * most_texts:
            found.thin(read.texts)
    if not found.codes:
        raise ConfigError(f"{path}: holds no event with a text to read")
    if found.thinning.is_active or len(read.texts) > most_texts:
        found.thin(read.texts)
    return found.finished(list(read.texts), digest.hexdigest())


@dataclass(slots=True)
class _Columns:
    """What has been read so far."""

    slices: list[str]
    thinning: TextThinning
    codes: "array[int]" = field(default_factory=lambda: array("i"))
    important: "array[int]" = field(default_factory=lambda: array("b"))
    weights: "array[float]" = field(default_factory=lambda: array("d"))
    groups: "array[int]" = field(default_factory=lambda: array("q"))
    times_s: "array[float]" = field(default_factory=lambda: array("d"))
    values: dict[str, list[str]] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    without_text: int = 0

    def add(
        self,
        rows: Sequence[Row],
        codes: Sequence[int],
        *,
        needs_labels: bool,
    ) -> None:
        for (place, row), code in zip(rows, codes, strict=True):
            label = _label(row, place, needed=needs_labels)
            weight, time_s = _weight(row, place), _time_s(row, place)
            if code < 0:
                self.without_text += 1
                continue
            self.codes.append(code)
            self.important.append(label)
            self.weights.append(weight)
            self.times_s.append(time_s)
            group = row.get("group")
            # Texts count up from 0, names of groups down from -1.
            self.groups.append(
                code if group is None else ~self.names.setdefault(str(group), len(self.names))
            )
            for key in self.slices:
                self.values.setdefault(key, []).append(_value(row, key))

    def thin(self, texts: dict[str, int]) -> None:
        """Keep the events of a sample of the texts; `texts` are numbered anew, in place."""
        names = list(texts)
        codes = np.array(self.codes, np.int32)
        kept = self.thinning.kept(names, codes, np.array(self.important, np.int8) == 1)
        used, renumbered = np.unique(codes[kept], return_inverse=True)
        groups = np.array(self.groups, np.int64)[kept]
        groups = np.where(groups >= 0, renumbered, groups)  # a text that is its own group
        texts.clear()
        texts.update((names[code], number) for number, code in enumerate(used.tolist()))
        self.codes = array("i", renumbered.astype(np.int32).tobytes())
        self.groups = array("q", groups.astype(np.int64).tobytes())
        for name in ("important", "weights", "times_s"):
            column = getattr(self, name)
            setattr(self, name, array(column.typecode, np.asarray(column)[kept].tobytes()))
        for key, values in self.values.items():
            self.values[key] = [v for v, k in zip(values, kept.tolist(), strict=True) if k]

    def finished(self, texts: list[str], sha256: str) -> LabelledEvents:
        codes = np.array(self.codes, np.int32)
        important = np.array(self.important, np.int8)
        both = np.intersect1d(codes[important == 1], codes[important == 0])
        return LabelledEvents(
            texts=texts,
            codes=codes,
            important=important,
            weights=np.array(self.weights) / self.thinning.chances(important == 1),
            groups=np.array(self.groups, np.int64),
            times_s=np.array(self.times_s),
            slices=self.values,
            without_text=self.without_text,
            contradicted=len(both),
            sha256=sha256,
            thinned=self.thinning.is_active,
        )


def _label(row: dict[str, Any], place: str, *, needed: bool) -> int:
    label = row.get("important")
    if label is None and not needed:
        return NO_LABEL
    if label not in (0, 1) or isinstance(label, float):
        raise ConfigError(f"{place}: important: must be true or false, not {label!r}")
    return int(label)


def _weight(row: dict[str, Any], place: str) -> float:
    for key, most in (("weight", math.inf), ("probability", 1.0)):
        value = row.get(key)
        if value is None:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not 0.0 < value <= most or math.isinf(value):
            raise ConfigError(f"{place}: {key}: must be a number above 0, not {value!r}")
        return float(value if key == "weight" else 1.0 / value)
    return 1.0


def _time_s(row: dict[str, Any], place: str) -> float:
    value = row.get("time")
    if value is None:
        return math.nan
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value / 1000.0
    try:
        return datetime.fromisoformat(value).timestamp()
    except (ValueError, TypeError, OverflowError) as error:
        raise ConfigError(
            f"{place}: time: must be ISO 8601 or Unix milliseconds, not {value!r}"
        ) from error


def _value(row: dict[str, Any], key: str) -> str:
    if key in row:
        return "" if row[key] is None else str(row[key])
    at: Any = row.get("event")
    for part in key.split("."):
        at = at.get(part) if isinstance(at, dict) else None
    return "" if at is None else str(at)
