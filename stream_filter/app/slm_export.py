"""A float32 SLM as a pack's stage: int8 where it says the same, with the figures of both."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from stream_filter.app.pack_bench import measure_speed
from stream_filter.models.manifest import GRAPH_NAME, TOKENIZER_NAME, Affine, SlmStage, Speed
from stream_filter.models.onnx_scorer import OnnxScorer

MOST_MEAN_DIFFERENCE = 0.02
MOST_CHANGED = 0.01
_INT8 = "int8 (weights per channel, word embeddings per row, activations with fixed ranges)"
_INT8_SPARED = _INT8 + ", feed-forward outputs float32"
_FLOAT = "float32"


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedSlm:
    """The stage, its files and what was measured."""

    stage: dict[str, Any]
    files: dict[str, bytes]
    parity: Parity
    """Of the int8 form, whether it was taken or not."""
    speed: tuple[Speed, ...]
    notes: list[str]


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

    Takes int8 where scores differ by at most 0.02 in the mean and 1 % of the texts change sides;
    spares the feed-forward outputs if that is needed for it; else keeps float32.
    """
    from stream_filter.training.slm_quantizing import quantized

    def stage(quantization: str) -> dict[str, Any]:
        return {
            "kind": "slm",
            "quantization": quantization,
            "max_tokens": max_tokens,
            "window": max_tokens,
            "calibration": calibration.model_dump(),
        }

    files = {GRAPH_NAME: graph, TOKENIZER_NAME: tokenizer}
    exact = _scorer(stage(_FLOAT), files)
    said = exact.score(texts)
    exact_speed = _speed(exact)
    for spared, name in ((False, _INT8), (True, _INT8_SPARED)):
        smaller = {**files, GRAPH_NAME: quantized(graph, tokens, spared=spared)}
        scorer = _scorer(stage(name), smaller)
        other = scorer.score(texts)
        difference = np.abs(other - said)
        parity = Parity(
            mean=float(difference.mean()),
            largest=float(difference.max()),
            changed=float(((other >= threshold) != (said >= threshold)).mean()),
        )
        speed = _speed(scorer)
        if parity.is_close:
            return ExportedSlm(
                stage=stage(name),
                files=smaller,
                parity=parity,
                speed=speed,
                notes=[_beside(parity, speed, exact_speed, len(graph), smaller)],
            )
    return ExportedSlm(
        stage=stage(_FLOAT),
        files=files,
        parity=parity,
        speed=exact_speed,
        notes=[
            "float32 was kept: int8 is too far from it. "
            + _beside(parity, speed, exact_speed, len(graph), smaller)
        ],
    )


def _scorer(stage: Mapping[str, Any], files: Mapping[str, bytes]) -> OnnxScorer:
    return OnnxScorer(SlmStage.model_validate(stage), files.__getitem__, threads=1)


def _speed(scorer: OnnxScorer) -> tuple[Speed, ...]:
    return measure_speed(scout=None, slm=scorer, threads=1, machine=platform.machine())


def _beside(
    parity: Parity,
    speed: Sequence[Speed],
    exact: Sequence[Speed],
    exact_bytes: int,
    files: Mapping[str, bytes],
) -> str:
    paces = ", ".join(
        f"{ours.texts_per_s:g} against {theirs.texts_per_s:g} texts/s at {ours.tokens} tokens"
        for ours, theirs in zip(speed, exact, strict=True)
    )
    return (
        f"int8 beside float32: scores differ by {parity.mean:.4f} in the mean, "
        f"{parity.largest:.4f} at most; {parity.changed:.2%} of the held-out texts change sides; "
        f"{paces}, one thread; "
        f"{len(files[GRAPH_NAME]) / 1e6:.1f} against {exact_bytes / 1e6:.1f} MB."
    )
