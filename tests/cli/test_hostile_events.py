"""What people feed to `train` and `evaluate` that they should not: a clear line, or a treatment."""

import gzip
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Invoke = Callable[..., Result]
STARTER = Path(__file__).parents[2] / "models" / "triage-starter"
WORDS = [a + b + c for a in "bdgkmpt" for b in "aeiou" for c in "lnrst"]


def write(path: Path, rows: list[Any]) -> Path:
    """JSON lines."""
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def random_text(rng: random.Random) -> str:
    """Words that say nothing."""
    return " ".join(rng.choices(WORDS, k=6))


def test_duplicates_do_not_leak_over_the_split(invoke: Invoke, tmp_path: Path) -> None:
    """Labels by a coin, each text twenty times: whoever splits at random learns them by heart.
    Held out by text, nothing can be told apart."""
    rng = random.Random(5)
    texts = [(random_text(rng), rng.random() < 0.5) for _ in range(120)]
    rows = [{"text": text, "important": label} for text, label in texts * 20]
    rng.shuffle(rows)
    path = write(tmp_path / "e.jsonl", rows)
    result = invoke("train", path, "--out", tmp_path / "own", "--json")
    assert result.exit_code == 0, result.stderr
    quality = {each["metric"]: each["value"] for each in json.loads(result.stdout)["quality"]}
    assert quality["auc"] < 0.75
    found = json.loads(invoke("evaluate", STARTER, path, "--json").stdout)
    assert found["contenders"]["n-grams with a linear model"]["auc"]["value"] < 0.75


def test_empty_texts_are_left_out_and_told(invoke: Invoke, tmp_path: Path) -> None:
    """Events with nothing to read take no part."""
    rng = random.Random(6)
    rows: list[Any] = [
        {"text": f"{'broken' if n % 2 else 'fine'} {random_text(rng)}", "important": bool(n % 2)}
        for n in range(60)
    ]
    rows += [{"text": empty, "important": True} for empty in ("", " ", "\t\n")]
    result = invoke("train", write(tmp_path / "e.jsonl", rows), "--out", tmp_path / "own", "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["events_without_text"] == 3
    assert "3 events had no text" in (tmp_path / "own" / "README.md").read_text()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            [{"text": f"t{c}", "important": False} for c in "abcdefgh"],
            "all 8 events are unimportant",
        ),
        ([{"text": "", "important": True}], "no event with a text"),
        ([{"text": "a", "important": None}], "important: must be true or false"),
        (["no object"], "must be an object"),
    ],
    ids=["one class", "empty texts", "no label", "not an event"],
)
def test_evaluate_refuses(invoke: Invoke, tmp_path: Path, rows: list[Any], said: str) -> None:
    """One line, exit 2."""
    result = invoke("evaluate", STARTER, write(tmp_path / "e.jsonl", rows))
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert said in result.stderr


def test_evaluate_measures_three_labels_without_baselines(invoke: Invoke, tmp_path: Path) -> None:
    """Three labels: the pack is measured, what cannot be trained is left out, with the reason."""
    rows = [{"text": f"{w} it", "important": w == "kill"} for w in ("see", "take", "kill")]
    found = json.loads(
        invoke("evaluate", STARTER, write(tmp_path / "e.jsonl", rows), "--json").stdout
    )
    assert found["contenders"]["the pack"]["events"] == 3
    assert all("too few labels" in reason for reason in found["left_out"].values())


def test_contradictions_on_every_text(invoke: Invoke, tmp_path: Path) -> None:
    """Every text with both labels: nothing can be told apart, and the pack says so."""
    rng = random.Random(7)
    texts = [random_text(rng) for _ in range(40)]
    rows = [{"text": text, "important": label} for text in texts for label in (True, False)]
    result = invoke("train", write(tmp_path / "e.jsonl", rows), "--out", tmp_path / "own", "--json")
    document = json.loads(result.stdout)
    assert document["contradicted_texts"] == 40
    auc = next(each for each in document["quality"] if each["metric"] == "auc")
    assert abs(auc["value"] - 0.5) < 0.1


_MEASURED = """
import sys
from pathlib import Path
from stream_filter.app.labelled_events import read_labelled
def peak_kb():
    # Of this program alone: ru_maxrss begins with what the process that started it had.
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak_kb()
found = read_labelled(Path(sys.argv[1]), rules=None)
print(len(found.texts), len(found.codes), found.weights.sum(), (peak_kb() - before) // 1024)
"""


@pytest.mark.slow
def test_a_gigabyte_is_read_as_a_stream(tmp_path: Path) -> None:
    """1 GB of events, a fifth of them distinct and very long: memory stays bounded, and weights
    stand for all."""
    path = tmp_path / "large.jsonl.gz"
    rng = random.Random(8)
    size = events = 0
    with gzip.open(path, "wb", compresslevel=1) as file:
        while size < 1_000_000_000:
            long = " ".join(rng.choices(WORDS, k=400))
            lines = [f"{random_text(rng)} {long}" for _ in range(200)]
            lines += [lines[rng.randrange(200)][:60] for _ in range(800)]
            chunk = "".join(
                json.dumps({"text": text, "important": rng.random() < 0.02}) + "\n"
                for text in lines
            ).encode()
            file.write(chunk)
            size += len(chunk)
            events += len(lines)
    result = subprocess.run(
        [sys.executable, "-c", _MEASURED, path], capture_output=True, text=True, check=True
    )
    texts, kept, weight, grown_mb = map(float, result.stdout.split())
    assert texts <= 100_000
    assert kept < events
    assert abs(weight / events - 1) < 0.05
    assert grown_mb < 900
