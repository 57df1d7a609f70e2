"""A classifier that others have trained becomes a pack: what `stream-filter pack import` does."""

import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stream_filter import __version__
from stream_filter.core.canonical import MASK_SET_VERSION, TEXT_LIMIT_CHARS
from stream_filter.core.errors import ConfigError
from stream_filter.models.manifest import CARD_NAME, GRAPH_NAME, TOKENIZER_NAME, Affine, SlmStage
from stream_filter.models.onnx_scorer import OnnxScorer
from stream_filter.models.pack import ModelPack
from stream_filter.models.pack_writing import manifest_of, require_new, write_pack
from stream_filter.training.extra import require_extra

if TYPE_CHECKING:
    from stream_filter.training.classifiers import ForeignClassifier

_LARGEST_DIFFERENCE = 1e-3
"""Between a score and what it should be: more than float noise, less than any decision's worth."""

_PROBES = (
    "",
    "disk full",
    "user alice logged in from <ip>",
    "ERROR payment 0 of order <id> failed: card declined by issuer, no retry left",
    "the quick brown fox jumps over the lazy dog " * (TEXT_LIMIT_CHARS // 40),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedPack:
    """The pack, and which of the model's labels its score stands for."""

    pack: ModelPack
    label: str


def import_pack(
    folder: Path,
    source: Path,
    *,
    tokenizer: Path | None,
    important: str | None,
    max_tokens: int,
    license_name: str,
) -> ImportedPack:
    """Make the classifier at `source` a pack at `folder`: float32, as it is.

    `source`: a Hugging Face folder or an ONNX file; `tokenizer`: a tokenizer.json, else the one
    beside it; `important`: the label that the score is the probability of, by name or number.

    Refused, as ConfigError: what cannot be read without executing or unpickling, another kind of
    model, scores that are not the model's own, and scores that depend on the texts beside them.
    """
    require_new(folder)
    require_extra("pack import")
    from stream_filter.training.classifiers import read_classifier
    from stream_filter.training.slm_graph import finished

    found = read_classifier(source, tokenizer)
    label, name = _label(found.labels, important, source)
    most_tokens = min(max_tokens, found.most_tokens)
    as_it_is = Affine(method="none")
    graph = finished(found.graph, as_it_is, important=label).SerializeToString(deterministic=True)
    files = {
        CARD_NAME: _card(folder.name, source.name, name, most_tokens).encode(),
        GRAPH_NAME: graph,
        TOKENIZER_NAME: found.tokenizer.to_str().encode(),
    }
    facts = _facts(folder.name, source.name, name, most_tokens, as_it_is, graph, license_name)
    scorer = OnnxScorer(
        SlmStage.model_validate(facts["stages"][0]),
        files.__getitem__,
        name=folder.name,
        threads=1,
    )
    _require_sound(scorer, found, label, most_tokens, source)
    pack = write_pack(folder, manifest_of(facts, files), files)
    return ImportedPack(pack=pack, label=name)


def _label(labels: tuple[str, ...], asked: str | None, source: Path) -> tuple[int, str]:
    """Number and name. Raises ConfigError."""
    shown = ", ".join(f"{number} ({label})" for number, label in enumerate(labels)) or "unnamed"
    if asked is None:
        if len(labels) > 2:
            raise ConfigError(
                f"{source}: has {len(labels)} labels: say with --important which one the score "
                f"stands for: {shown}"
            )
        # One logit speaks for its only label; of two, the second is the positive one by custom.
        return (0, labels[0]) if len(labels) == 1 else (1, labels[1] if labels else "1")
    if asked in labels:
        return labels.index(asked), asked
    if asked.isdecimal() and (not labels or int(asked) < len(labels)):
        return int(asked), labels[int(asked)] if labels else asked
    raise ConfigError(f"--important: {source} has no label {asked!r}: its labels are {shown}")


def _require_sound(
    scorer: OnnxScorer, found: "ForeignClassifier", label: int, most_tokens: int, source: Path
) -> None:
    """Raises ConfigError where a score is not what the model says of the text, or not of the text
    alone."""
    together = scorer.score(_PROBES)
    alone = np.array([scorer.score([text])[0] for text in _PROBES])
    if (apart := float(np.abs(together - alone).max())) > _LARGEST_DIFFERENCE:
        raise ConfigError(
            f"{source}: a text's score changes by {apart:.3f} with the texts beside it, so scores "
            "cannot be remembered: dynamic quantization does that; import the float32 model"
        )
    if found.model is None:
        return
    found.tokenizer.enable_truncation(most_tokens)
    own = [found.chance(found.tokenizer.encode(text).ids, label) for text in _PROBES]
    if (apart := float(np.abs(together - own).max())) > _LARGEST_DIFFERENCE:
        raise ConfigError(
            f"{source}: the exported graph's scores are up to {apart:.3f} from the model's own: "
            "export it to ONNX yourself, and import that file"
        )


def _facts(
    name: str,
    source: str,
    label: str,
    max_tokens: int,
    calibration: Affine,
    graph: bytes,
    license_name: str,
) -> dict[str, Any]:
    libraries = {each: version(each) for each in ("onnx", "optimum", "torch", "transformers")}
    return {
        "name": name,
        "description": f"P({label}) by the imported classifier {source}.",
        "stages": [
            {
                "kind": "slm",
                "quantization": "as imported",
                "max_tokens": max_tokens,
                "calibration": calibration.model_dump(),
            }
        ],
        "mask_set": MASK_SET_VERSION,
        "labels": (f"not {label}", label),
        "training": {
            "base": source,
            "data": "not known: the model was imported; the digest is that of its graph",
            "data_sha256": hashlib.sha256(graph).hexdigest(),
            "texts": 0,
            "important_texts": 0,
            "templates": 0,
            "seed": 0,
            "libraries": {"stream-filter": __version__, **libraries},
        },
        "quality": [],
        "speed": [],
        "license": {"pack": license_name, "base_weights": license_name},
    }


def _card(name: str, source: str, label: str, max_tokens: int) -> str:
    return f"""# {name}

The classifier `{source}`, imported as it is: its score is the model's probability of `{label}`.

It reads canonical text (mask set `{MASK_SET_VERSION}`), at most {max_tokens} tokens. It was not
trained on canonical text, nor on your stream, as far as is known, and nothing was measured here:
run `stream-filter evaluate` on labelled events of the stream, and keep it in shadow mode until it
is calibrated.
"""
