"""`stream-filter pack`: what a pack is, whether it is sound, how fast, how it differs."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from stream_filter.models.manifest import Manifest
from stream_filter.models.ngrams import Hashing
from stream_filter.models.pack import load_pack
from stream_filter.models.pack_writing import manifest_of, write_pack
from stream_filter.models.scout import written

Invoke = Callable[..., Result]


@pytest.fixture
def flat(models: Path) -> Path:
    """A pack that gives every text the score 1/2."""
    shipped = load_pack(models / "demo-platform").manifest.model_dump(mode="json")
    zeros = np.zeros(Hashing(shortest=3, longest=3, bits=8).buckets, np.float32)
    files = {"README.md": b"# flat\n", "scout.npy": written(zeros, zeros)}
    scout = {
        "kind": "scout",
        "shortest": 3,
        "longest": 3,
        "bits": 8,
        "calibration": {"method": "none"},
    }
    kept = {key: shipped[key] for key in shipped if key not in {"schema_version", "files"}}
    manifest = manifest_of({**kept, "name": "flat", "stages": [scout]}, files)
    return write_pack(models / "flat", manifest, files).folder


@pytest.fixture
def events(tmp_path: Path) -> Path:
    """Four lines: of two services, one labelled."""
    path = tmp_path / "events.jsonl"
    path.write_text(
        '{"text": "payments ERROR order ORD-1 charged twice", "important": true, "source": "a"}\n'
        '{"text": "payments ERROR order ORD-2 charged twice", "source": "a"}\n'
        '{"text": "gateway INFO GET /cart 200 in 12 ms", "source": "b"}\n'
        '{"text": "\\u001b[31m", "source": "b"}\n'
    )
    return path


def test_inspect(invoke: Invoke, models: Path) -> None:
    """The document is the manifest and the id; a person sees the figures."""
    pack = models / "demo-platform"
    result = invoke("pack", "inspect", pack, "--json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    assert document.pop("model_id") == load_pack(pack).model_id
    assert document.pop("ok")
    assert Manifest.model_validate(document) == load_pack(pack).manifest
    shown = invoke("pack", "inspect", pack)
    assert shown.exit_code == 0
    assert load_pack(pack).model_id in shown.stdout
    for figure in load_pack(pack).manifest.quality:
        assert f"{figure.value:g}" in shown.stdout


def test_verify(invoke: Invoke, models: Path, flat: Path) -> None:
    """A sound pack is said to be sound; any unsound one is one line and exit code 2."""
    assert invoke("pack", "verify", flat).stdout.startswith(f"{flat}: sound: 2 files")
    pack = models / "demo-platform"
    document = json.loads(invoke("pack", "verify", pack, "--json").stdout)
    assert document == {"ok": True, "model_id": load_pack(pack).model_id, "files": 3}
    (pack / "model.pkl").write_bytes(b"\x80\x04K\x01.")
    result = invoke("pack", "verify", pack)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "model.pkl: is not in the manifest" in result.stderr


def test_bench(invoke: Invoke, flat: Path) -> None:
    """Each stage has a figure at 16 and at 32 tokens."""
    document = json.loads(invoke("pack", "bench", flat, "--json").stdout)
    assert [(s["stage"], s["tokens"]) for s in document["speed"]] == [("scout", 16), ("scout", 32)]
    assert all(s["texts_per_s"] > 0 for s in document["speed"])
    assert "scout" in invoke("pack", "bench", flat).stdout


def test_bench_on_events(invoke: Invoke, models: Path, flat: Path, events: Path) -> None:
    """On a stream's texts, the pack and its stages have a figure each, and it is said how many of
    them the SLM reads; labels are not needed."""
    arguments = ("pack", "bench", models / "demo-platform", events)
    found = json.loads(invoke(*arguments, "--json").stdout)
    assert found["texts_per_s"].keys() == {"pack", "slm"}
    assert found["read_share"] == 1.0
    assert "of which the SLM reads 100.0%" in invoke(*arguments).stdout
    assert json.loads(invoke("pack", "bench", flat, events, "--json").stdout)["read_share"] == 0.0
    assert invoke("pack", "bench", flat, "missing.jsonl").exit_code == 2


def test_diff(invoke: Invoke, models: Path, flat: Path, events: Path) -> None:
    """Verdicts are counted by both packs' own scores; important events and slices apart."""
    arguments = ("pack", "diff", models / "demo-platform", flat, events, "--slice", "source")
    limits = ("--drop-below", "0.2", "--keep-above", "0.8")
    found = json.loads(invoke(*arguments, *limits, "--json").stdout)
    assert found["events"] == 4
    assert sum(row["events"] for row in found["verdicts"]) == 4
    assert {row["after"] for row in found["verdicts"]} == {"abstain"}
    before = {row["before"]: row for row in found["verdicts"]}
    assert (before["keep"]["events"], before["keep"]["important"]) == (2, 1)
    assert before["drop"]["events"] >= 1
    assert found["changed"] == sum(r["events"] for b, r in before.items() if b != "abstain")
    assert found["slices"]["source"]["a"]["events"] == 2
    assert (
        found["slices"]["source"]["a"]["mean_shift"]
        < 0
        < found["slices"]["source"]["b"]["mean_shift"]
    )
    shown = invoke(*arguments, *limits)
    assert shown.exit_code == 0
    assert "\x1b" not in shown.stdout
    assert f"verdicts change for {found['changed']} events" in shown.stdout


def test_a_pack_does_not_differ_from_itself(
    invoke: Invoke, models: Path, events: Path, policy: Path
) -> None:
    """Against itself no score moves; thresholds are the policy's."""
    pack = models / "demo-platform"
    found = json.loads(
        invoke("pack", "diff", pack, pack, events, "--policy", policy, "--json").stdout
    )
    assert (found["drop_below"], found["keep_above"]) == (0.2, 0.8)
    assert found["changed"] == found["mean_shift"] == 0
    assert found["examples"] == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "no thresholds"),
        (("--drop-below", "0.5", "--keep-above", "0.4"), "below --drop-below"),
        (("--topic", "a"), "--policy"),
    ],
)
def test_diff_without_sense(
    invoke: Invoke, flat: Path, events: Path, options: tuple[str, ...], said: str
) -> None:
    """What cannot be compared is refused with exit code 2."""
    result = invoke("pack", "diff", flat, flat, events, *options)
    assert result.exit_code == 2
    assert said in result.stderr
