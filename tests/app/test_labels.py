"""Labelled events from a file: what is read, and one clear line for what is not."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stream_filter.app.labels import read_labels
from stream_filter.core.errors import ConfigError

Write = Callable[[str | bytes], Path]
LINE = '{"score": 0.25, "important": true}'


def test_reads_columns(write: Write) -> None:
    """Scores, labels and chances come as columns, in order; blank lines and other keys are left
    alone, and so are events without a score."""
    path = write(
        '{"score": 0.25, "important": true, "probability": 1, "text": "a"}\n\n'
        '{"score": null, "important": 0, "probability": 0.5}\n'
        '{"score": 1, "important": 0, "probability": 0.01, "reason": "holdout"}'
    )
    labels = read_labels(path)
    assert labels.scores.tolist() == [0.25, 1.0]
    assert labels.important.tolist() == [True, False]
    assert labels.probabilities is not None
    assert labels.probabilities.tolist() == [1.0, 0.01]
    assert labels.without_score == 1


def test_without_chances(write: Write) -> None:
    """Where no line has a chance, there are none; a topic in shadow mode may name its reasons."""
    labels = read_labels(
        write(
            "\n".join(
                json.dumps({"score": 0.5, "important": 1, "reason": reason})
                for reason in ("important", "ambiguous", "shadow")
            )
        )
    )
    assert labels.probabilities is None
    assert len(labels.scores) == 3


BAD = [
    ("", 0, "holds no labelled event with a score"),
    ('{"score": null, "important": true}', 0, "holds no labelled event with a score"),
    (f"{LINE}\n{{", 2, "not JSON"),
    (f"{LINE}\n[1]", 2, "must be an object"),
    ('{"important": true}', 1, "score: is missing"),
    ('{"score": "0.5", "important": true}', 1, "score: must be a number in [0, 1], not '0.5'"),
    ('{"score": 1.5, "important": true}', 1, "score: must be a number in [0, 1], not 1.5"),
    ('{"score": true, "important": true}', 1, "score: must be a number"),
    ('{"score": 0.5}', 1, "important: must be true or false, not None"),
    ('{"score": 0.5, "important": 2}', 1, "important: must be true or false, not 2"),
    ('{"score": 0.5, "important": 0.7}', 1, "important: must be true or false, not 0.7"),
    ('{"score": 0.5, "important": "yes"}', 1, "important: must be true or false"),
    ('{"score": 0.5, "important": [1]}', 1, "important: must be true or false"),
    ('{"score": 0.5, "important": 1, "probability": 0}', 1, "probability: is 0"),
    ('{"score": 0.5, "important": 1, "probability": 2}', 1, "probability: must be a number"),
    (f'{LINE[:-1]}, "probability": 1}}\n{LINE}', 2, "probability: is missing, and other lines"),
    (f'{LINE}\n{LINE[:-1]}, "probability": 1}}', 1, "probability: is missing, and other lines"),
    (f'{LINE}\n{LINE[:-1]}, "reason": "holdout"}}', 2, "come from a gate in enforce mode"),
    (f'{LINE[:-1]}, "reason": "below_threshold"}}', 1, "come from a gate in enforce mode"),
    (f'{LINE[:-1]}, "reason": "important"}}', 0, "none was a drop"),
    (f'{LINE[:-1]}, "reason": "ambiguous", "probability": 1}}', 0, "none was a drop"),
]


@pytest.mark.parametrize(("content", "line", "said"), BAD, ids=[f"{c} {s}" for c, _, s in BAD])
def test_one_line_for_what_is_wrong(write: Write, content: str, line: int, said: str) -> None:
    """A file that cannot be calibrated from is one problem, with file and line."""
    path = write(content)
    with pytest.raises(ConfigError) as raised:
        read_labels(path)
    (problem,) = raised.value.problems
    assert problem.startswith(f"{path}:{line}: " if line else f"{path}: ")
    assert said in problem


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is named, with the way out."""
    with pytest.raises(ConfigError, match="cannot be read: No such file or directory: check the"):
        read_labels(tmp_path / "nowhere.jsonl")
