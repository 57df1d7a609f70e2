"""Classifiers that others have trained: read from a folder, or from an ONNX file."""

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification

from stream_filter.core.errors import ConfigError

_MOST_TOKENS = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignClassifier:
    """A model as it came, before it is finished for the runtime."""

    graph: onnx.ModelProto
    tokenizer: Tokenizer
    labels: tuple[str, ...]
    """By number; empty where the source names none."""
    most_tokens: int
    """What its positions allow."""
    model: Any
    """The torch module, or None where there was a graph only."""

    def chance(self, ids: list[int], important: int) -> float:
        """What the torch module says of one text, as a probability."""
        with torch.inference_mode():
            asked = torch.tensor([ids])
            logits = self.model(input_ids=asked, attention_mask=torch.ones_like(asked)).logits[0]
            if len(logits) == 1:
                return float(torch.sigmoid(logits[0]))
            return float(torch.softmax(logits, 0)[important])


def read_classifier(source: Path, tokenizer: Path | None) -> ForeignClassifier:
    """`source`: a Hugging Face folder with config.json and safetensors, or an ONNX file (also as
    model.onnx in a folder). `tokenizer`: a tokenizer.json; None: the one beside the model.

    Nothing in it is executed or unpickled. Raises ConfigError.
    """
    folder = source if source.is_dir() else source.parent
    graph = source if source.is_file() else folder / "model.onnx"
    if not source.exists():
        raise ConfigError(f"{source}: does not exist: give a model's folder, or an .onnx file")
    config = _config(folder)
    words = _tokenizer(tokenizer or folder / "tokenizer.json")
    weights = sorted(folder.glob("*.safetensors")) if source.is_dir() else []
    model = None
    if weights:
        model = _model(folder, config)
        found = _exported(model)
    elif graph.is_file():
        found = _graph(graph)
    else:
        raise ConfigError(
            f"{source}: holds neither *.safetensors nor model.onnx: pickled weights (*.bin) are "
            "never loaded; save the model with safetensors"
        )
    named = config.get("id2label") or {}
    return ForeignClassifier(
        graph=found,
        tokenizer=words,
        labels=tuple(str(named[key]) for key in sorted(named, key=int)),
        most_tokens=min(_MOST_TOKENS, int(config.get("max_position_embeddings", _MOST_TOKENS))),
        model=model,
    )


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        return {}
    try:
        config: dict[str, Any] = json.loads(path.read_bytes())
        dict(config.get("id2label") or {})
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path}: not a model's configuration: {error}") from error
    kind = config.get("problem_type")
    if kind not in (None, "single_label_classification"):
        raise ConfigError(
            f"{path}: problem_type is {kind!r}: only a classifier with one label a text has a "
            "probability to take as the score"
        )
    return config


def _model(folder: Path, config: dict[str, Any]) -> Any:
    if not any("ForSequenceClassification" in name for name in config.get("architectures") or ()):
        raise ConfigError(
            f"{folder / 'config.json'}: names no …ForSequenceClassification among its "
            "architectures: an encoder has to be trained first (`stream-filter train --encoder`)"
        )
    try:
        # Never a pickle, never the model's own code.
        return AutoModelForSequenceClassification.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, local_files_only=True
        ).eval()
    except Exception as error:  # whatever a stranger's folder provokes
        raise ConfigError(f"{folder}: cannot be loaded: {_one_line(error)}") from error


def _exported(model: Any) -> onnx.ModelProto:
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about shapes that are fixed here
        onnx_export_from_model(model, folder, task="text-classification", do_validation=False)
        return onnx.load(Path(folder, "model.onnx"))


def _graph(path: Path) -> onnx.ModelProto:
    try:
        model = onnx.load(path, load_external_data=False)
        onnx.checker.check_model(model)
    except Exception as error:  # the library raises what protobuf raises
        raise ConfigError(f"{path}: is not a sound ONNX graph: {_one_line(error)}") from error
    if any(tensor.external_data for tensor in model.graph.initializer):
        raise ConfigError(f"{path}: keeps weights in other files: save it as one file")
    return model


def _tokenizer(path: Path) -> Tokenizer:
    try:
        tokenizer = Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}: give --tokenizer") from error
    except Exception as error:  # the library raises bare Exception
        raise ConfigError(f"{path}: is not a tokenizer: {_one_line(error)}") from error
    tokenizer.no_padding()
    return tokenizer


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
