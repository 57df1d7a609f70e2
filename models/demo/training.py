"""Training and calibrating the pack's network, the same for the same seed."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor

from models.demo.data import Sample
from models.demo.net import TriageNet, pretrained

BATCH = 32
EPOCHS = 3
LEARNING_RATE = 1e-4
CHUNK = 1024
"""Texts are sorted by length within chunks of this size, so that batches need little padding."""


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of each text; truncation is the tokenizer's."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]


def padded(tokens: Sequence[list[int]]) -> tuple[Tensor, Tensor]:
    """Token ids and attention mask, both (texts, longest), int64."""
    longest = max(len(ids) for ids in tokens)
    ids = torch.zeros(len(tokens), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, one in enumerate(tokens):
        ids[row, : len(one)] = torch.tensor(one)
        mask[row, : len(one)] = 1
    return ids, mask


def train(
    data: Sequence[Sample],
    tokenizer: Tokenizer,
    base: Path,
    kept: list[int],
    *,
    layers: int,
    max_tokens: int,
    seed: int,
) -> TriageNet:
    """Fine-tune the base weights on `data`. The word embeddings stay as they are."""
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    rng = random.Random(seed)
    net = pretrained(base, kept, max_tokens=max_tokens, layers=layers)
    net.words.weight.requires_grad_(False)
    weights = [parameter for parameter in net.parameters() if parameter.requires_grad]
    tokens = tokenize(tokenizer, [sample.text for sample in data])
    truth = torch.tensor([sample.label for sample in data])
    batches_an_epoch = sum(
        -(-min(CHUNK, len(data) - start) // BATCH) for start in range(0, len(data), CHUNK)
    )
    optimizer = torch.optim.AdamW(weights, lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * batches_an_epoch + 1, pct_start=0.1
    )
    net.train()
    for _ in range(EPOCHS):
        for batch in _batches([len(ids) for ids in tokens], rng):
            logits = net.logits(*padded([tokens[index] for index in batch]))
            loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth[batch])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch's
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
    return net.eval()


def _batches(lengths: list[int], rng: random.Random) -> list[list[int]]:
    shuffled = list(range(len(lengths)))
    rng.shuffle(shuffled)
    batches: list[list[int]] = []
    for start in range(0, len(shuffled), CHUNK):
        chunk = sorted(shuffled[start : start + CHUNK], key=lambda index: lengths[index])
        batches.extend(chunk[at : at + BATCH] for at in range(0, len(chunk), BATCH))
    rng.shuffle(batches)
    return batches


@torch.no_grad()
def logits_of(net: TriageNet, tokenizer: Tokenizer, texts: Sequence[str]) -> NDArray[np.float32]:
    """The raw logits of `texts`, shape (n,)."""
    tokens = tokenize(tokenizer, texts)
    order = sorted(range(len(tokens)), key=lambda index: len(tokens[index]))
    out = np.zeros(len(tokens), np.float32)
    for start in range(0, len(order), 64):
        chosen = order[start : start + 64]
        out[chosen] = net.logits(*padded([tokens[index] for index in chosen])).numpy()
    return out


def fit_temperature(logits: NDArray[np.float32], truth: NDArray[np.bool_]) -> float:
    """The temperature in [0.5, 4] that minimises the log loss of held-out logits."""
    grid = np.linspace(0.5, 4.0, 71)
    signed = np.where(truth, logits, -logits)
    losses = [float(np.logaddexp(0.0, -signed / step).mean()) for step in grid]
    return float(grid[int(np.argmin(losses))])
