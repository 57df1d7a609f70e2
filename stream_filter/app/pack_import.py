"""A classifier that others have trained becomes a pack: what `stream-filter pack import` does."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stream_filter import __version__
from stream_filter.app.slm_export import TOO_FAR, Int8Form, int8_form
from stream_filter.core.canonical import MASK_SET_VERSION, TEXT_LIMIT_CHARS
from stream_filter.core.errors import ConfigError
from stream_filter.models.manifest import (
    CARD_NAME,
    GRAPH_NAME,
    TOKENIZER_NAME,
    Affine,
    Quality,
    SlmStage,
)
from stream_filter.models.onnx_scorer import OnnxScorer
from stream_filter.models.pack import ModelPack
from stream_filter.models.pack_writing import manifest_of, require_new, write_pack
from stream_filter.training.extra import require_extra

if TYPE_CHECKING:
    from stream_filter.training.classifiers import ForeignClassifier

_LARGEST_DIFFERENCE = 1e-3
"""Between a score and what it should be: more than float noise, less than any decision's worth."""

FEWEST_TEXTS = 50
"""Of a stream, for int8: half of them to find the ranges of activations, half to compare."""
_MOST_RANGED = 256
_MOST_COMPARED = 2_000
_EVEN = 0.5
"""Where decisions are counted as changed: the classifier's own choice."""

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
    notes: tuple[str, ...]
    """What became of int8, where it was asked for."""


def import_pack(
    folder: Path,
    source: Path,
    *,
    tokenizer: Path | None,
    important: str | None,
    max_tokens: int,
    license_name: str,
    texts: Sequence[str] | None = None,
) -> ImportedPack:
    """Make the classifier at `source` a pack at `folder`: float32, as it is; or, with canonical
    `texts` of the stream, none twice, int8 where that says the same on them.

    `source`: a Hugging Face folder or an ONNX file; `tokenizer`: a tokenizer.json, else the one
    beside it; `important`: the label that the score is the probability of, by name or number.

    Refused, as ConfigError: what cannot be read without executing or unpickling, another kind of
    model, scores that are not the model's own, and scores that depend on the texts beside them.
    """
    require_new(folder)
    require_extra("pack import")
    if texts is not None and len(texts) < FEWEST_TEXTS:
        raise ConfigError(
            f"int8 needs {FEWEST_TEXTS} different texts of the stream, and these are {len(texts)}"
        )
    from stream_filter.training.classifiers import read_classifier
    from stream_filter.training.slm_graph import finished

    found = read_classifier(source, tokenizer)
    label, name = _label(found.labels, important, source)
    most_tokens = min(max_tokens, found.most_tokens)
    as_it_is = Affine(method="none")
    graph = finished(found.graph, as_it_is, important=label).SerializeToString(deterministic=True)
    files = {GRAPH_NAME: graph, TOKENIZER_NAME: found.tokenizer.to_str().encode()}
    stage = {
        "kind": "slm",
        "quantization": "as imported",
        "max_tokens": most_tokens,
        "calibration": as_it_is.model_dump(),
    }
    _require_sound(_scorer(stage, files, folder), found, label, most_tokens, source)
    notes: tuple[str, ...] = ()
    quality: tuple[Quality, ...] = ()
    if texts is not None:
        int8 = _int8(stage, files, found, most_tokens, texts, source)
        quality, said = int8.parity.figures, int8.beside(files)
        notes = (said if int8.parity.is_close else f"{TOO_FAR} {said}",)
        if int8.parity.is_close:
            stage, files = int8.stage, int8.files
            _require_alone(_scorer(stage, files, folder), source)
    facts = _facts(folder.name, source.name, name, stage, quality, graph, license_name)
    files[CARD_NAME] = _card(folder.name, source.name, name, most_tokens, notes).encode()
    pack = write_pack(folder, manifest_of(facts, files), files)
    return ImportedPack(pack=pack, label=name, notes=notes)


def _scorer(stage: Mapping[str, Any], files: Mapping[str, bytes], folder: Path) -> OnnxScorer:
    return OnnxScorer(
        SlmStage.model_validate(stage), files.__getitem__, name=folder.name, threads=1
    )


def _int8(
    stage: Mapping[str, Any],
    files: Mapping[str, bytes],
    found: "ForeignClassifier",
    most_tokens: int,
    texts: Sequence[str],
    source: Path,
) -> Int8Form:
    """Ranges from half of the texts, compared on the others. Raises ConfigError where the graph
    cannot be quantized."""
    drawn = np.random.default_rng(0).permutation(len(texts)).tolist()
    half = len(texts) // 2
    found.tokenizer.enable_truncation(most_tokens)
    encodings = found.tokenizer.encode_batch([texts[at] for at in drawn[:half][:_MOST_RANGED]])
    try:
        return int8_form(
            stage,
            files,
            tokens=[encoding.ids for encoding in encodings],
            texts=[texts[at] for at in drawn[half:][:_MOST_COMPARED]],
            threshold=_EVEN,
        )
    except Exception as error:  # whatever a stranger's graph provokes in the quantizer
        said = " ".join(str(error).split())[:200] or type(error).__name__
        raise ConfigError(f"{source}: cannot be made int8: {said}") from error


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
    together = _require_alone(scorer, source)
    if found.model is None:
        return
    found.tokenizer.enable_truncation(most_tokens)
    own = [found.chance(found.tokenizer.encode(text).ids, label) for text in _PROBES]
    if (apart := float(np.abs(together - own).max())) > _LARGEST_DIFFERENCE:
        raise ConfigError(
            f"{source}: the exported graph's scores are up to {apart:.3f} from the model's own: "
            "export it to ONNX yourself, and import that file"
        )


def _require_alone(scorer: OnnxScorer, source: Path) -> NDArray[np.float32]:
    """The scores of the probes. Raises ConfigError where they depend on each other."""
    together = scorer.score(_PROBES)
    alone = np.array([scorer.score([text])[0] for text in _PROBES])
    if (apart := float(np.abs(together - alone).max())) > _LARGEST_DIFFERENCE:
        raise ConfigError(
            f"{source}: a text's score changes by {apart:.3f} with the texts beside it, so scores "
            "cannot be remembered: dynamic quantization does that; import the float32 model"
        )
    return together


def _facts(
    name: str,
    source: str,
    label: str,
    stage: dict[str, Any],
    quality: Sequence[Quality],
    graph: bytes,
    license_name: str,
) -> dict[str, Any]:
    libraries = {each: version(each) for each in ("onnx", "optimum", "torch", "transformers")}
    return {
        "name": name,
        "description": f"P({label}) by the imported classifier {source}.",
        "stages": [stage],
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
        "quality": [figure.model_dump() for figure in quality],
        "speed": [],
        "license": {"pack": license_name, "base_weights": license_name},
    }


def _card(name: str, source: str, label: str, max_tokens: int, notes: Sequence[str]) -> str:
    said = "".join(f"\n- {note}" for note in notes)
    return (
        f"""# {name}

The classifier `{source}`, imported: its score is the model's probability of `{label}`.

It reads canonical text (mask set `{MASK_SET_VERSION}`), at most {max_tokens} tokens. It was not
trained on canonical text, nor on your stream, as far as is known, and how good it is was not
measured: run `stream-filter evaluate` on labelled events of the stream, and keep it in shadow mode
until it is calibrated.
{said}
""".rstrip()
        + "\n"
    )
