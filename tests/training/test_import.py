"""A classifier that others have trained becomes a pack whose scores are its own, or is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from stream_filter.cli.main import main
from stream_filter.models.onnx_scorer import load_slm
from stream_filter.models.pack import load_pack

pytestmark = [pytest.mark.train, pytest.mark.filterwarnings("ignore")]

TEXTS = ("disk full", "user logged in from <ip>", "", "ERROR payment 0 failed " * 30)
WORDS = ("disk", "order", "node", "payment", "user", "cache")
LABELS = ("INFO", "WARN", "ERROR")


def run(*arguments: str | Path) -> Result:
    """A command, in this process."""
    return CliRunner().invoke(main, [str(each) for each in arguments])


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT with three labels, its head drawn large enough to be sure of something."""
    import torch
    from transformers import AutoModelForSequenceClassification

    from stream_filter.training.encoders import encoder_source
    from stream_filter.training.extra import DEFAULT_ENCODER

    folder = tmp_path_factory.mktemp("foreign") / "classifier"
    torch.manual_seed(1)
    model = AutoModelForSequenceClassification.from_pretrained(
        encoder_source(DEFAULT_ENCODER),
        num_hidden_layers=1,
        id2label=dict(enumerate(LABELS)),
        label2id={name: number for number, name in enumerate(LABELS)},
    )
    with torch.no_grad():
        model.classifier.weight.normal_(0, 0.5)
    model.save_pretrained(folder)
    shutil.copy(Path(encoder_source(DEFAULT_ENCODER), "tokenizer.json"), folder)
    return folder


def chances(folder: Path, label: int) -> np.ndarray:
    """What the model itself says of TEXTS."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModelForSequenceClassification

    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(128)
    with torch.inference_mode():
        logits = [model(torch.tensor([tokenizer.encode(text).ids])).logits[0] for text in TEXTS]
    return np.array([float(torch.softmax(each, 0)[label]) for each in logits])


@pytest.mark.parametrize("label", ["ERROR", "0"])
def test_scores_are_the_models_own(classifier: Path, tmp_path: Path, label: str) -> None:
    """By a label's name or number; the pack is sound and says what it was made from."""
    result = run("pack", "import", classifier, "--out", tmp_path / "own", "--important", label)
    assert result.exit_code == 0, result.output
    number = LABELS.index(label) if label in LABELS else int(label)
    pack = load_pack(tmp_path / "own")
    scores = load_slm(pack, threads=1).score(TEXTS)
    assert np.abs(scores - chances(classifier, number)).max() < 1e-4
    assert np.ptp(scores) > 1e-3
    assert pack.manifest.labels == (f"not {LABELS[number]}", LABELS[number])
    assert run("pack", "verify", tmp_path / "own").exit_code == 0


def test_an_onnx_file(classifier: Path, tmp_path: Path) -> None:
    """The same model as a file has the same scores; its labels have numbers only."""
    from optimum.exporters.onnx import main_export

    main_export(str(classifier), tmp_path / "onnx", task="text-classification", do_validation=False)
    result = run(
        *("pack", "import", tmp_path / "onnx" / "model.onnx", "--out", tmp_path / "own"),
        *("--tokenizer", classifier / "tokenizer.json", "--important", "2", "--json"),
    )
    assert result.exit_code == 0, result.output
    scores = load_slm(load_pack(tmp_path / "own"), threads=1).score(TEXTS)
    assert np.abs(scores - chances(classifier, 2)).max() < 1e-3


def test_int8(classifier: Path, tmp_path: Path) -> None:
    """With events of the stream the pack is int8: a quarter of the size or so, close to float32 on
    texts that gave no ranges, the figures in the card, and each score of its text alone."""
    events = tmp_path / "events.jsonl"
    texts = [f"{a} of {b} in {c}" for a in WORDS for b in WORDS for c in WORDS]
    events.write_text("\n".join(json.dumps({"text": text}) for text in texts))
    asked = ("pack", "import", classifier, "--important", "ERROR", "--out")
    assert run(*asked, tmp_path / "whole").exit_code == 0
    result = run(*asked, tmp_path / "small", "--int8", events, "--json")
    assert result.exit_code == 0, result.output
    whole, small = load_pack(tmp_path / "whole"), load_pack(tmp_path / "small")
    assert len(small.read("model.onnx")) < 0.4 * len(whole.read("model.onnx"))
    figures = {figure.metric: figure.value for figure in small.manifest.quality}
    assert figures["int8 beside float32: mean difference"] <= 0.02
    assert json.loads(result.stdout)["notes"][0] in (small.folder / "README.md").read_text()
    exact, scorer = load_slm(whole, threads=1), load_slm(small, threads=1)
    together = scorer.score(texts)
    assert np.abs(together - exact.score(texts)).mean() <= 0.02
    alone = np.array([scorer.score([text])[0] for text in texts[:40]])
    assert np.abs(together[:40] - alone).max() < 1e-3
    assert run("pack", "verify", tmp_path / "small").exit_code == 0


@pytest.mark.parametrize(
    ("lines", "options", "said"),
    [
        (['{"text": "one"}'] * 90, (), "int8 needs 50 different texts of the stream"),
        (["{"], (), "events.jsonl:1"),
        (['{"event": {"m": "a"}}'], (), "--policy"),
    ],
)
def test_int8_refused(
    classifier: Path, tmp_path: Path, lines: list[str], options: tuple[str, ...], said: str
) -> None:
    """Too few texts, a broken line, an event without a policy: one line, exit 2, no pack."""
    events = tmp_path / "events.jsonl"
    events.write_text("\n".join(lines))
    asked = ("pack", "import", classifier, "--important", "ERROR", "--out", tmp_path / "own")
    result = run(*asked, "--int8", events, *options)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "own").exists()


def _config(**changed: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changed))

    return change


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04K\x01.")


def _damaged(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"garbage")


def _no_onnx(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.onnx").write_bytes(b"garbage")


@pytest.mark.parametrize(
    ("change", "options", "said"),
    [
        (lambda _: None, (), "has 3 labels: say with --important"),
        (lambda _: None, ("--important", "FATAL"), "has no label 'FATAL'"),
        (_pickled, ("--important", "0"), "pickled weights"),
        (_damaged, ("--important", "0"), "cannot be loaded"),
        (_no_onnx, ("--important", "0"), "is not a sound ONNX graph"),
        (_config(problem_type="multi_label_classification"), (), "problem_type"),
        (_config(architectures=["BertModel"]), ("--important", "0"), "has to be trained first"),
        (lambda f: (f / "tokenizer.json").unlink(), (), "give --tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), (), "is not a tokenizer"),
    ],
)
def test_refused(
    classifier: Path,
    tmp_path: Path,
    change: Callable[[Path], Any],
    options: tuple[str, ...],
    said: str,
) -> None:
    """One line, exit 2, no pack."""
    folder = Path(shutil.copytree(classifier, tmp_path / "copy"))
    change(folder)
    result = run("pack", "import", folder, "--out", tmp_path / "own", *options)
    assert result.exit_code == 2, result.output
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "own").exists()


def test_scores_that_depend_on_their_neighbours(classifier: Path, tmp_path: Path) -> None:
    """Dynamic quantization takes one range over a batch: refused, with the reason."""
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from optimum.exporters.onnx import main_export

    main_export(str(classifier), tmp_path / "onnx", task="text-classification", do_validation=False)
    dynamic = tmp_path / "dynamic.onnx"
    quantize_dynamic(tmp_path / "onnx" / "model.onnx", dynamic, weight_type=QuantType.QInt8)
    result = run(
        *("pack", "import", dynamic, "--out", tmp_path / "own", "--important", "2"),
        *("--tokenizer", classifier / "tokenizer.json"),
    )
    assert result.exit_code == 2
    assert "with the texts beside it" in result.stderr
