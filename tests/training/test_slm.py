"""`train` with an SLM: from labelled events to a pack of both stages that a worker can run."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from stream_filter.app.second_stage import MOST_TAUGHT_AUC_LOSS
from stream_filter.cli.main import main
from stream_filter.models.pack import load_pack
from stream_filter.models.staged_scorer import StagedScorer

pytestmark = pytest.mark.train

GOOD = (
    "request served",
    "cache warmed",
    "job done",
    "user logged in",
    "page rendered",
    "item sold",
)
BAD = ("disk broken", "order lost", "payment charged twice", "node vanished", "data corrupted")
PLACES = [f"{a}{b}" for a in ("north", "south", "east", "west") for b in ("gate", "hall", "wing")]
NEW = [
    f"{what} after {of}" for what in ("pump stalled", "lamp lit") for of in ("rain", "snow", "fog")
]
Train = Callable[..., Result]


def events(count: int) -> list[dict[str, Any]]:
    rng = random.Random(1)
    rows = []
    for _ in range(count):
        important = rng.random() < 0.3
        what, where, of = rng.choice(BAD if important else GOOD), *rng.sample(PLACES, 2)
        rows.append({"text": f"{what} in the {where} of {of}", "important": important})
    return rows


def unlabelled(folder: Path) -> Path:
    """Texts of kinds that no label has."""
    path = folder / "unlabelled.jsonl"
    path.write_text("\n".join(json.dumps({"text": text}) for text in NEW))
    return path


@pytest.fixture
def train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Run the command on `count` events, quickly; the pack is `name`."""
    monkeypatch.setattr("stream_filter.app.slm_training.MOST_EPOCHS", 3)
    monkeypatch.setattr("stream_filter.app.pack_bench._ROUNDS", 1)

    def run(name: str, *options: str, count: int = 160) -> Result:
        labelled = tmp_path / "labelled.jsonl"
        labelled.write_text("\n".join(map(json.dumps, events(count))))
        out = str(tmp_path / "models" / name)
        return CliRunner().invoke(
            main, ["train", str(labelled), "--out", out, "--layers", "1", "--json", *options]
        )

    return run


def test_both_stages(train: Train, tmp_path: Path) -> None:
    """The pack has both stages and a band; texts that are new to the scout have the SLM's score,
    the others its own; card and manifest have the int8 figures; nothing else is left behind."""
    result = train("own", "--stages", "both")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["stages"] == ["scout", "slm"]
    pack = load_pack(tmp_path / "models" / "own")
    assert [path.name for path in (tmp_path / "models").iterdir()] == ["own"]
    band = pack.manifest.band
    assert band is not None
    figures = {figure.metric: figure.value for figure in pack.manifest.quality}
    assert figures["auc"] > 0.9
    assert figures["int8 beside float32: mean difference"] <= 0.02
    card = (pack.folder / "README.md").read_text()
    assert "texts/s at 16 tokens" in card
    assert sum(len(pack.read(name)) for name in pack.manifest.files) < 20e6
    scorer = StagedScorer(pack, threads=1)
    assert scorer.slm is not None
    texts = [row["text"] for row in events(400)] + ["", "something that nobody wrote before"]
    by_scout, by_slm = scorer.score_by_scout(texts), scorer.slm.score(texts)
    wanted = np.where(scorer.unsure(texts), by_slm, by_scout)
    assert np.allclose(scorer.score(texts), wanted, atol=1e-4)
    # A score depends on its text alone, also in int8.
    alone = np.array([scorer.slm.score([text])[0] for text in texts[:40]])
    assert np.allclose(alone, by_slm[:40], atol=1e-4)


def test_few_labels_make_a_scout(train: Train) -> None:
    """With few labels the scout is the better model: no SLM is trained, and it is said."""
    result = train("own")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert said["stages"] == ["scout"]
    assert any("fewer than 1,000 labels" in note for note in said["notes"])


def test_a_training_goes_on_after_a_break(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Broken off in the last fit, begun again: what was finished is not trained again, and the pack
    is the one that an unbroken training makes, what the SLM taught included."""
    from stream_filter.training import fine_tuning

    asked = ("--stages", "both", "--unlabelled", str(unlabelled(tmp_path)))
    whole = train("whole", *asked)
    assert whole.exit_code == 0, whole.output
    save, saved = fine_tuning._save, 0

    def save_and_break(*args: Any) -> None:
        nonlocal saved
        save(*args)
        saved += 1
        if saved == 12:
            raise KeyboardInterrupt

    monkeypatch.setattr(fine_tuning, "_save", save_and_break)
    assert train("broken", *asked).exit_code != 0
    assert not (tmp_path / "models" / "broken").exists()
    monkeypatch.setattr(fine_tuning, "_save", save)
    again = train("broken", *asked)
    assert again.exit_code == 0, again.output
    assert "goes on after step" in again.stderr
    packs = [load_pack(tmp_path / "models" / name) for name in ("whole", "broken")]
    for file in ("model.onnx", "scout.npy"):
        assert packs[0].read(file) == packs[1].read(file)
    # What nobody had labelled is no longer new to the scout, and has the score that the SLM gave.
    band = packs[0].manifest.band
    assert band is not None
    assert band.taught is not None
    assert band.taught.texts == len(NEW)
    assert band.taught.auc_loss <= MOST_TAUGHT_AUC_LOSS
    scorer = StagedScorer(packs[0], threads=1)
    assert not scorer.unsure(NEW).any()
    by_stage = scorer.score_by_stage(NEW)
    assert np.allclose(by_stage["its scout alone"], by_stage["its SLM alone"], atol=0.25)


@pytest.mark.parametrize("encoder", ["./nothing/here", "."])
def test_an_encoder_that_is_none(train: Train, encoder: str) -> None:
    """A name that no encoder has, a folder that holds none: one line, exit 2."""
    result = train("own", "--stages", "both", "--encoder", encoder)
    assert result.exit_code == 2, result.output
    assert f"encoder {encoder!r} cannot be loaded" in result.stderr
    assert "Traceback" not in result.output
