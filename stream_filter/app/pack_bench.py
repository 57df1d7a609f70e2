"""How many texts a second a pack's stages read on this machine."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stream_filter.models.manifest import Speed
from stream_filter.models.onnx_scorer import OnnxScorer
from stream_filter.models.scout import Scout
from stream_filter.models.staged_scorer import StagedScorer

TOKENS = (16, 32)
_TURNS = 3
_ROUNDS = 5
_WORDS = ("order", "payment", "error", "node", "disk", "user", "time", "lost")
_BATCH = 64


def measure_speed(
    *, scout: Scout | None, slm: OnnxScorer | None, threads: int, machine: str
) -> tuple[Speed, ...]:
    """Each stage on texts of exactly 16 and 32 tokens of a BERT tokenizer, none twice in a round's
    batch, tokenizer included; the best of five rounds."""
    found = []
    for tokens in TOKENS:
        # [CLS] and [SEP] are two of the tokens.
        texts = [
            " ".join(_WORDS[(row * 7 + column * (row % 5 + 1)) % 8] for column in range(tokens - 2))
            for row in range(1024)
        ]
        if scout is not None:
            pace = _pace(scout.score, texts)
            found.append(
                Speed(
                    stage="scout",
                    tokens=tokens,
                    batch_size=len(texts),
                    threads=1,
                    texts_per_s=pace,
                    machine=machine,
                )
            )
        if slm is not None:
            pace = _pace(slm.score, texts)
            found.append(
                Speed(
                    stage="slm",
                    tokens=tokens,
                    batch_size=_BATCH,
                    threads=threads,
                    texts_per_s=pace,
                    machine=machine,
                )
            )
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class TextSpeed:
    """A pack on a stream's own distinct texts."""

    texts: int
    read_share: float
    """Of the texts, how many the SLM reads."""
    texts_per_s: dict[str, float]
    """By what reads: `pack`, `scout`, `slm`."""


def measure_texts(scorer: StagedScorer, texts: Sequence[str]) -> TextSpeed:
    """Each stage alone and the pack as it is, turn by turn, all of the texts each time; the best of
    three turns."""
    readers: dict[str, Callable[[Sequence[str]], object]] = {"pack": scorer.score}
    if scorer.scout is not None:
        readers["scout"] = scorer.scout.score
    if scorer.slm is not None:
        readers["slm"] = scorer.slm.score
    best = dict.fromkeys(readers, np.inf)
    for _ in range(_TURNS):
        for name, score in readers.items():
            best[name] = min(best[name], _seconds(score, texts))
    return TextSpeed(
        texts=len(texts),
        read_share=float(scorer.unsure(texts).mean()),
        texts_per_s={name: float(f"{len(texts) / took:.3g}") for name, took in best.items()},
    )


def _pace(score: Callable[[Sequence[str]], NDArray[np.float32]], texts: Sequence[str]) -> float:
    score(texts)
    best = min(_seconds(score, texts) for _ in range(_ROUNDS))
    return float(f"{len(texts) / best:.3g}")


def _seconds(score: Callable[[Sequence[str]], object], texts: Sequence[str]) -> float:
    start = time.perf_counter()
    score(texts)
    return time.perf_counter() - start
