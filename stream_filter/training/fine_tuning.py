"""Fine-tunes a pretrained encoder into a classifier of canonical texts. CPU, the same for a seed."""

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from stream_filter.core.errors import ConfigError
from stream_filter.training.encoders import encoder_source
from stream_filter.training.vocabulary import trimmed

_CHUNK = 1024
"""Texts are sorted by length within chunks of this size: batches need little padding."""
_CHECKPOINT = "slm.pt"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How an encoder becomes a classifier."""

    encoder: str
    layers: int
    """The first ones are kept."""
    max_tokens: int = 64
    epochs: int = 3
    batch: int = 32
    rate: float = 1e-4
    seed: int = 7


class Classifier:
    """A Hugging Face model with one logit, and the tokenizer as the runtime reads it."""

    def __init__(self, model: Any, tokenizer_json: str, *, max_tokens: int) -> None:
        self.model = model
        self.tokenizer_json = tokenizer_json
        self._tokenizer = Tokenizer.from_str(tokenizer_json)
        self._tokenizer.enable_truncation(max_tokens)
        self._tokenizer.no_padding()

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]

    def forward(self, tokens: Sequence[list[int]]) -> Tensor:
        """Shape (texts,)."""
        longest = max(map(len, tokens))
        ids = torch.zeros(len(tokens), longest, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, one in enumerate(tokens):
            ids[row, : len(one)] = torch.tensor(one)
            mask[row, : len(one)] = 1
        logits: Tensor = self.model(input_ids=ids, attention_mask=mask).logits.squeeze(1)
        return logits

    def logits(self, texts: Sequence[str]) -> Floats:
        """Shape (n,), in float32's precision."""
        tokens = self.tokens(texts)
        found = np.zeros(len(tokens))
        order = np.argsort([len(ids) for ids in tokens], kind="stable").tolist()
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(order), 64):
                chosen = order[start : start + 64]
                found[chosen] = self.forward([tokens[index] for index in chosen]).numpy()
        return found


def pretrained(recipe: Recipe, texts: Sequence[str]) -> Classifier:
    """The encoder with its first layers, a new head, and of its vocabulary what `texts` and
    English log lines need. Raises ConfigError where there is no such encoder."""
    source = encoder_source(recipe.encoder)
    torch.manual_seed(recipe.seed)
    try:
        tokenizer = AutoTokenizer.from_pretrained(source).backend_tokenizer
        # Never a pickle, never the model's own code.
        model = AutoModelForSequenceClassification.from_pretrained(
            source, num_hidden_layers=recipe.layers, num_labels=1, use_safetensors=True
        )
    except (OSError, ValueError, KeyError, AttributeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise ConfigError(f"encoder {recipe.encoder!r} cannot be loaded: {problem}") from error
    text, kept = trimmed(tokenizer.to_str(), texts)
    table = model.get_input_embeddings()
    if kept is not None:
        rows = table.weight.detach()[kept]
        table = torch.nn.Embedding.from_pretrained(rows)
        model.set_input_embeddings(table)
        model.config.vocab_size = len(kept)
    # A few thousand texts are too few to move the meaning of words.
    table.weight.requires_grad_(False)
    return Classifier(model, text, max_tokens=recipe.max_tokens)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long to train, and where to go on after a break."""

    until_s: float
    """By `clock_s`. What does not fit is left out, at the end of a shorter schedule."""
    folder: Path | None
    """Holds a checkpoint an epoch; None: none is written."""
    clock_s: Callable[[], float] = time.monotonic
    told: Callable[[str], None] = lambda _: None


def fine_tune(
    classifier: Classifier,
    texts: Sequence[str],
    important: Floats,
    weights: Floats,
    recipe: Recipe,
    schedule: Schedule,
) -> int:
    """Train in place. `important`: shape (n,), in [0, 1]; `weights`: shape (n,). Adam with decoupled
    decay, a tenth of the steps to warm up, then linearly down to 0. Returns the steps that were
    made, fewer than asked for where time is short.
    """
    tokens = classifier.tokens(texts)
    truth = torch.tensor(important, dtype=torch.float32)
    weight = torch.tensor(weights / weights.mean(), dtype=torch.float32)
    batches = -(-len(tokens) // recipe.batch)
    planned = steps = recipe.epochs * batches
    learning = [each for each in classifier.model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(learning, lr=recipe.rate, weight_decay=0.01)
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    done = _restore(classifier, optimizer, schedule)
    classifier.model.train()
    began_s, began = schedule.clock_s(), done
    for epoch in range(done // batches, recipe.epochs):
        order = _batches([len(ids) for ids in tokens], recipe, epoch)
        for chosen in order[done - epoch * batches :]:
            now_s = schedule.clock_s()
            if done > began:
                pace_s = (now_s - began_s) / (done - began)
                steps = min(planned, done + max(1, int((schedule.until_s - now_s) / pace_s)))
                if (done - began) % 20 == 0:
                    left_s = pace_s * (steps - done)
                    schedule.told(f"slm: step {done:,} of {steps:,}, {left_s:,.0f} s left")
            for group in optimizer.param_groups:
                group["lr"] = recipe.rate * _pace_of_learning(done, steps)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(
                classifier.forward([tokens[index] for index in chosen]),
                truth[chosen],
                weight[chosen],
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(learning, 1.0)
            optimizer.step()
            done += 1
            if done >= steps or schedule.clock_s() > schedule.until_s:
                classifier.model.eval()
                return done
        _save(classifier, optimizer, schedule, done)
    classifier.model.eval()
    return done


def _pace_of_learning(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    return (step + 1) / warm if step < warm else max(0.02, (steps - step) / (steps - warm))


def _batches(lengths: list[int], recipe: Recipe, epoch: int) -> list[list[int]]:
    """Of one epoch, the same whenever it is asked for."""
    rng = random.Random(recipe.seed * 1_000 + epoch)
    order = list(range(len(lengths)))
    rng.shuffle(order)
    for start in range(0, len(order), _CHUNK):
        order[start : start + _CHUNK] = sorted(
            order[start : start + _CHUNK], key=lambda index: lengths[index]
        )
    found = [order[at : at + recipe.batch] for at in range(0, len(order), recipe.batch)]
    rng.shuffle(found)
    return found


def _save(
    classifier: Classifier, optimizer: torch.optim.Optimizer, schedule: Schedule, done: int
) -> None:
    if schedule.folder is None:
        return
    state = {
        "model": classifier.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "random": torch.get_rng_state(),
        "done": done,
    }
    scratch = schedule.folder / f"{_CHECKPOINT}.new"
    torch.save(state, scratch)
    scratch.rename(schedule.folder / _CHECKPOINT)


def _restore(classifier: Classifier, optimizer: torch.optim.Optimizer, schedule: Schedule) -> int:
    if schedule.folder is None or not (schedule.folder / _CHECKPOINT).is_file():
        return 0
    state = torch.load(schedule.folder / _CHECKPOINT, weights_only=True)
    classifier.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    schedule.told(f"slm: goes on after step {state['done']:,}")
    return int(state["done"])
