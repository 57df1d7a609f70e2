"""A sample of events stands for all of them."""

import json
from pathlib import Path

import numpy as np
import pytest

from stream_filter.app.labelled_events import read_labelled
from stream_filter.app.sampling import sampled


@pytest.mark.parametrize("important", [20, 300, 950])
def test_a_sample_stands_for_all(tmp_path: Path, important: int) -> None:
    """At most so many texts, with all of their events; weights add up to the stream's, for each
    class; texts, groups and slices still belong to their events."""
    path = tmp_path / "events.jsonl"
    rows = [
        {"text": f"text {chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}",
         "important": n < important, "name": f"n{n}"}
        for n in range(1000)
    ] * 2  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    events = read_labelled(path, rules=None, slices=["name"])
    found = sampled(events, most_texts=200, seed=1)
    assert len(found.texts) == 200
    assert (np.bincount(found.codes) == 2).all()
    for label, count in ((1, important), (0, 1000 - important)):
        assert found.weights[found.important == label].sum() == pytest.approx(2 * count)
    text_of = {row["name"]: row["text"] for row in rows}
    assert [found.texts[code] for code in found.codes] == [
        text_of[name] for name in found.slices["name"]
    ]
    assert found.groups.tolist() == found.codes.tolist()
    assert (found.important == 1).sum() == 2 * min(important, max(100, 200 - (1000 - important)))


def test_few_texts_stay_as_they_are(tmp_path: Path) -> None:
    """What fits is not sampled."""
    path = tmp_path / "events.jsonl"
    path.write_text('{"text": "a", "important": 1}\n{"text": "b", "important": 0}\n')
    events = read_labelled(path, rules=None)
    assert sampled(events, most_texts=2, seed=1) is events
