"""Files with more distinct texts than memory should hold: a sample whose weights make up for it."""

import json
import random
from pathlib import Path

import numpy as np

from stream_filter.app.labelled_events import LabelledEvents, read_labelled

WORDS = [a + b + c for a in "bdgkmpt" for b in "aeiou" for c in "lnrst"]


def many(path: Path, texts: int, *, every: int) -> Path:
    """Distinct texts, each twice; of `every` so many, one is important."""
    rng = random.Random(1)
    with path.open("w") as file:
        for number in range(texts):
            words = " ".join(rng.choices(WORDS, k=4))
            row = {"text": words, "important": number % every == 0, "group": f"g{number % 50}"}
            file.write((json.dumps(row | {"source": str(number % 3)}) + "\n") * 2)
    return path


def read(path: Path, most_texts: int) -> LabelledEvents:
    """With the slice `source`."""
    return read_labelled(path, rules=None, slices=["source"], most_texts=most_texts)


def test_sample_stands_for_the_file(tmp_path: Path) -> None:
    """At most so many texts stay, the rare important ones with the greater chance; weighted sums
    by class and by slice are near those of the file; columns still belong together."""
    path = many(tmp_path / "e.jsonl", 30_000, every=50)
    found = read(path, 4_000)
    assert found.thinned
    assert 1_500 < len(found.texts) <= 4_000
    important = found.important == 1
    assert important.sum() == 2 * 600, "600 important texts fit: all are kept"
    assert abs(found.weights[~important].sum() / (2 * 29_400) - 1) < 0.1
    for value in "012":
        rows = np.array(found.slices["source"]) == value
        assert abs(found.weights[rows].sum() / 20_000 - 1) < 0.15
    whole = read(path, 100_000)
    assert not whole.thinned
    known = {
        whole.texts[code]: (label, group)
        for code, label, group in zip(whole.codes, whole.important, whole.groups, strict=True)
    }
    for code, label, group in zip(found.codes, found.important, found.groups, strict=True):
        assert known[found.texts[code]] == (label, group)
    assert set(found.codes.tolist()) == set(range(len(found.texts)))


def test_which_texts_stay_is_in_the_texts(tmp_path: Path) -> None:
    """Lines in another order give the same sample, or, of a class, a part of it: never others."""
    path = many(tmp_path / "e.jsonl", 12_000, every=3)
    lines = path.read_text().splitlines()
    random.Random(2).shuffle(lines)
    other = tmp_path / "other.jsonl"
    other.write_text("\n".join(lines))
    one, two = read(path, 1_000), read(other, 1_000)
    for label in (0, 1):
        smaller, larger = sorted(
            (
                {each.texts[code] for code in each.codes[each.important == label]}
                for each in (one, two)
            ),
            key=len,
        )
        assert smaller
        assert smaller <= larger


def test_nothing_happens_to_what_fits(tmp_path: Path) -> None:
    """Exactly as many texts as may be kept: all are, with weight 1."""
    path = many(tmp_path / "e.jsonl", 500, every=2)
    texts = len(read(path, 100_000).texts)
    found = read(path, texts)
    assert not found.thinned
    assert found.weights.tolist() == [1.0] * 1_000
    assert read(path, texts - 1).thinned
