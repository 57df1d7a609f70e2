"""Events without labels: distinct texts as the gate reads them, and nothing else of a line."""

import json
from pathlib import Path
from typing import Any

import pytest

from stream_filter.app.labelled_events import read_labelled
from stream_filter.app.unlabelled_texts import read_unlabelled
from stream_filter.core.errors import ConfigError


def write(path: Path, *rows: Any) -> Path:
    """JSON lines."""
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return path


def test_texts_are_those_of_labelled_events(tmp_path: Path) -> None:
    """Masked and told apart as labelled events are, over all files; labels, weights and times are
    not read, whatever they hold, and how many lines have a label is told."""
    one = write(tmp_path / "a", {"text": "disk 7 full", "important": "perhaps", "weight": -1}, "")
    other = write(
        tmp_path / "b",
        {"text": "disk 9 full", "important": None, "time": "never"},
        {"text": ""},
        {"text": "fan 1 loud", "important": False},
    )
    found = read_unlabelled([one, other], rules=None)
    assert found.texts == ["disk 0 full", "fan 0 loud"]
    assert (found.events, found.without_text, found.labelled) == (4, 1, 2)
    labelled = write(tmp_path / "c", *({"text": text, "important": 1} for text in found.texts))
    assert read_labelled(labelled, rules=None).texts == found.texts


def test_memory_is_bounded_by_the_texts(tmp_path: Path) -> None:
    """Of more texts than may be kept a sample stays, the same whatever the order of the lines."""
    rows = [{"text": f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)} said"}
            for n in range(12_000)]  # fmt: skip
    paths = [write(tmp_path / "a", *rows), write(tmp_path / "b", *rows[::-1])]
    found, turned = (read_unlabelled([path], rules=None, most_texts=500) for path in paths)
    assert 100 < len(found.texts) <= 500
    assert set(found.texts) == set(turned.texts)
    assert found.events == 12_000


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (("{",), "a:1: not JSON"),
        (([],), "a:1: must be an object"),
        (({"text": "x"}, {"important": 1}), "a:2: needs `event`"),
        (({"event": {}},), "--policy"),
        (({"text": " "},), "no event with a text"),
        ((), "no event with a text"),
    ],
)
def test_files_that_are_none(tmp_path: Path, rows: tuple[Any, ...], said: str) -> None:
    """What cannot be used is named, in one line."""
    with pytest.raises(ConfigError) as caught:
        read_unlabelled([write(tmp_path / "a", *rows)], rules=None)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
