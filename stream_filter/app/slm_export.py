"""A float32 SLM as a pack's stage: int8 where it says the same, with the figures of both."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_filter.app.pack_bench import measure_speed
from stream_filter.models.manifest import (
    GRAPH_NAME,
    TOKENIZER_NAME,
    Affine,
    Quality,
    SlmStage,
    Speed,
)
from stream_filter.models.onnx_scorer import OnnxScorer

MOST_MEAN_DIFFERENCE = 0.02
MOST_CHANGED = 0.01
_INT8 = "int8 (weights per channel, word embeddings per row, activations with fixed ranges)"
_INT8_SPARED = _INT8 + ", feed-forward outputs float32"
_FLOAT = "float32"
TOO_FAR = "float32 was kept: int8 is too far from it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """int8 beside float32, on held-out texts."""

    mean: float
    largest: float
    changed: float
    """Share of texts on the other side of the threshold."""

    @property
    def is_close(self) -> bool:
        return self.mean <= MOST_MEAN_DIFFERENCE and self.changed <= MOST_CHANGED

    @property
    def figures(self) -> tuple[Quality, ...]:
        """As a manifest has them."""
        return tuple(
            Quality(
                metric=f"int8 beside float32: {name}", value=round(value, 5), split="held-out texts"
            )
            for name, value in (
                ("mean difference", self.mean),
                ("largest difference", self.largest),
                ("decisions changed", self.changed),
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSlm:
    """The stage, its files and what was measured."""

    stage: dict[str, Any]
    files: dict[str, bytes]
    parity: Parity
    """Of the int8 form, whether it was taken or not."""
    speed: tuple[Speed, ...]
    notes: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Form:
    """An int8 form of a stage, beside the float32 one."""

    stage: dict[str, Any]
    files: dict[str, bytes]
    parity: Parity

    def beside(self, exact: Mapping[str, bytes], paces: str = "") -> str:
        """In words. `exact`: the files of the float32 form; `paces`: how fast both are."""
        parity = self.parity
        return (
            f"int8 beside float32: scores differ by {parity.mean:.4f} in the mean, "
            f"{parity.largest:.4f} at most; {parity.changed:.2%} of the held-out texts change "
            f"sides; {paces}"
            f"{len(self.files[GRAPH_NAME]) / 1e6:.1f} against {len(exact[GRAPH_NAME]) / 1e6:.1f} "
            "MB."
        )


def export_slm(
    graph: bytes,
    tokenizer: bytes,
    *,
    max_tokens: int,
    calibration: Affine,
    tokens: Sequence[list[int]],
    texts: Sequence[str],
    threshold: float,
) -> ExportedSlm:
    """`graph`: float32 ONNX from token ids and mask to a calibrated score. `tokens`: of the stream,
    for the ranges of activations. `texts`: not trained on, for parity. `threshold`: in [0, 1].

    Takes int8 where it is close to float32; else keeps float32.
    """
    stage = {
        "kind": "slm",
        "quantization": _FLOAT,
        "max_tokens": max_tokens,
        "window": max_tokens,
        "calibration": calibration.model_dump(),
    }
    files = {GRAPH_NAME: graph, TOKENIZER_NAME: tokenizer}
    int8 = int8_form(stage, files, tokens=tokens, texts=texts, threshold=threshold)
    speed, exact_speed = _speed(int8.stage, int8.files), _speed(stage, files)
    paces = ", ".join(
        f"{ours.texts_per_s:g} against {theirs.texts_per_s:g} texts/s at {ours.tokens} tokens"
        for ours, theirs in zip(speed, exact_speed, strict=True)
    )
    said = int8.beside(files, f"{paces}, one thread; ")
    is_close = int8.parity.is_close
    return ExportedSlm(
        stage=int8.stage if is_close else stage,
        files=int8.files if is_close else files,
        parity=int8.parity,
        speed=speed if is_close else exact_speed,
        notes=[said if is_close else f"{TOO_FAR} {said}"],
    )


def int8_form(
    stage: Mapping[str, Any],
    files: Mapping[str, bytes],
    *,
    tokens: Sequence[list[int]],
    texts: Sequence[str],
    threshold: float,
) -> Int8Form:
    """Of a float32 stage and its files. Close is a form whose scores differ by at most 0.02 in the
    mean, and where 1 % of the texts change sides; spares the feed-forward outputs if that is needed
    for it. `tokens`, `texts`, `threshold`: as `export_slm` has them."""
    from stream_filter.training.slm_quantizing import quantized

    said = _scorer(stage, files).score(texts)
    for spared, name in ((False, _INT8), (True, _INT8_SPARED)):
        smaller = {**files, GRAPH_NAME: quantized(files[GRAPH_NAME], tokens, spared=spared)}
        other = _scorer(stage, smaller).score(texts)
        difference = np.abs(other - said)
        found = Int8Form(
            stage={**stage, "quantization": name},
            files=smaller,
            parity=Parity(
                mean=float(difference.mean()),
                largest=float(difference.max()),
                changed=float(((other >= threshold) != (said >= threshold)).mean()),
            ),
        )
        if found.parity.is_close:
            break
    return found


def _scorer(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> OnnxScorer:
    return OnnxScorer(SlmStage.model_validate(stage), files.__getitem__, threads=1)


def _speed(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> tuple[Speed, ...]:
    scorer = _scorer(stage, files)
    return measure_speed(scout=None, slm=scorer, threads=1, machine=platform.machine())
