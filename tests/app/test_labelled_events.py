"""Labelled events: each line read as the gate would read it, or refused with its place."""

import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stream_filter.app.labelled_events import LabelledEvents, read_labelled
from stream_filter.app.policy_file import load_policy
from stream_filter.core.canonical import canonicalize
from stream_filter.core.errors import ConfigError
from stream_filter.core.policy import TopicPolicy

POLICY = """
version: 1
defaults: {model: p, raw: {drop_below: 0.2, keep_above: 0.8}}
topics:
  a.logs: {text: "{level} {message}"}
  b.logs: {format: text}
"""


@pytest.fixture
def rules(tmp_path: Path) -> dict[str, TopicPolicy]:
    """A topic of JSON and one of plain text."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY)
    return {each.topic: each for each in load_policy(path).topics}


def read(
    tmp_path: Path, *rows: Any, rules: TopicPolicy | None = None, **options: Any
) -> LabelledEvents:
    """What the rows, written as JSON lines, are read as."""
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return read_labelled(path, rules=rules, **options)


def test_texts_are_those_of_the_gate(tmp_path: Path, rules: dict[str, TopicPolicy]) -> None:
    """Events are read by the policy's template and masks, plain texts by the masks."""
    event = {"level": "ERROR", "message": "order ORD-17 refused", "noise": 1}
    rows = [
        {"event": event, "important": True},
        {"event": {**event, "message": "order ORD-99 refused"}, "important": 0},
        {"text": "disk 7 is full at 10.0.0.1", "important": 1},
        {"event": {}, "important": False},
        "",
    ]
    found = read(tmp_path, *rows, rules=rules["a.logs"])
    texts = [found.texts[code] for code in found.codes]
    assert texts == ["ERROR order ORD-0 refused"] * 2 + [canonicalize("disk 7 is full at 10.0.0.1")]
    assert len(found.texts) == 2
    assert found.important.tolist() == [1, 0, 1]
    assert (found.without_text, found.contradicted) == (1, 1)
    lines = read(tmp_path, {"event": "disk 7 is full", "important": 1}, rules=rules["b.logs"])
    assert lines.texts == ["disk 0 is full"]


def test_columns(tmp_path: Path) -> None:
    """Weights, groups, times and slices come from the line; a text is its own group."""
    found = read(
        tmp_path,
        {"text": "a", "important": 1, "weight": 2.5, "group": "x", "time": 1500},
        {"text": "b", "important": 0, "probability": 0.25, "group": "x"},
        {"text": "b", "important": 0, "time": "1970-01-01T00:00:02+00:00", "source": "db"},
        {"text": "a", "important": 0},
        slices=["source"],
    )
    assert found.weights.tolist() == [2.5, 4.0, 1.0, 1.0]
    assert np.array_equal(found.times_s, [1.5, math.nan, 2.0, math.nan], equal_nan=True)
    assert found.groups[0] == found.groups[1] < 0
    assert found.groups[2:].tolist() == [1, 0]
    assert found.slices == {"source": ["", "", "db", ""]}


def test_slices_look_into_the_event(tmp_path: Path, rules: dict[str, TopicPolicy]) -> None:
    """A dotted key leads into the event; what is not there is the empty value."""
    rows = [
        {"event": {"level": "x", "kubernetes": {"pod": "p1"}}, "important": 1},
        {"event": {"level": "y", "kubernetes": "no object"}, "important": 1},
    ]
    found = read(tmp_path, *rows, rules=rules["a.logs"], slices=["kubernetes.pod"])
    assert found.slices == {"kubernetes.pod": ["p1", ""]}


def test_labels_may_be_missing_where_nobody_needs_them(tmp_path: Path) -> None:
    """Without a need for labels, a line without one has none."""
    found = read(tmp_path, {"text": "a"}, {"text": "a", "important": 1}, needs_labels=False)
    assert found.important.tolist() == [-1, 1]


def test_more_lines_than_a_chunk(tmp_path: Path) -> None:
    """Columns and numbers of texts go on over chunks; gzip is unpacked."""
    path = tmp_path / "events.jsonl.gz"
    words = ["alpha", "beta", "gamma"]
    lines = [json.dumps({"text": words[n % 3], "important": n % 2}) for n in range(12_001)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    found = read_labelled(path, rules=None)
    assert found.texts == words
    assert found.codes.tolist() == [n % 3 for n in range(12_001)]
    assert found.contradicted == 3


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("{", "not JSON"),
        ([], "must be an object"),
        ({"text": "a"}, "important: must be true or false, not None"),
        ({"text": "a", "important": "yes"}, "important"),
        ({"text": "a", "important": 1.0}, "important"),
        ({"important": 1}, "needs `event`"),
        ({"text": 3, "important": 1}, "needs `event`"),
        ({"event": {}, "important": 1}, "--policy"),
        ({"text": "a", "important": 1, "weight": 0}, "weight"),
        ({"text": "a", "important": 1, "weight": True}, "weight"),
        ({"text": "a", "important": 1, "probability": 1.5}, "probability"),
        ({"text": "a", "important": 1, "time": "yesterday"}, "time"),
        ({"text": "a", "important": 1, "time": []}, "time"),
    ],
)
def test_line_that_is_none(tmp_path: Path, row: Any, said: str) -> None:
    """A line that cannot be used is named by its number, in one line."""
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, {"text": "good", "important": 1}, row)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'events.jsonl'}:2: ")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize("rows", [(), ({"text": "", "important": 1},)])
def test_nothing_to_read(tmp_path: Path, rows: tuple[Any, ...]) -> None:
    """A file without a single text is refused."""
    with pytest.raises(ConfigError, match="no event with a text"):
        read(tmp_path, *rows)
