"""Fine-tunes a pretrained encoder into a classifier of canonical texts; equal for equal seeds."""

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
from transformers import AutoModel, AutoTokenizer

from stream_filter.core.errors import ConfigError
from stream_filter.training.encoders import encoder_source
from stream_filter.training.vocabulary import trimmed

_CHUNK = 1024
"""Texts are sorted by length within chunks of this size: batches need little padding."""
_CHECKPOINT = "slm.pt"
LENGTH = 8.0
"""Of a pooled vector: what the head sees varies by about 1."""
_HEAD_RATE = 10.0
"""The head, which starts from nothing, learns so many times faster."""

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


class MeanPooled(torch.nn.Module):  # type: ignore[misc]  # torch has no types here
    """An encoder and one linear layer on the mean of its last hidden states, scaled to one length.

    So sentence encoders are made to be read: the head begins where the encoder's own similarity
    of texts already means something, which the first place of the sequence does not.
    """

    def __init__(self, encoder: Any, hidden: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(hidden, 1)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Token ids and mask, both (texts, tokens), to logits, shape (texts,)."""
        hidden = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        shown = mask.unsqueeze(2)
        mean = (hidden * shown).sum(1) / shown.sum(1).clamp(min=1)
        pooled = torch.nn.functional.normalize(mean, dim=1) * LENGTH
        logits: Tensor = self.head(self.dropout(pooled)).squeeze(1)
        return logits


class Classifier:
    """A network in training, and the tokenizer as the runtime reads it."""

    def __init__(self, net: MeanPooled, tokenizer_json: str, *, max_tokens: int) -> None:
        self.net = net
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
        logits: Tensor = self.net(ids, mask)
        return logits

    def logits(self, texts: Sequence[str]) -> Floats:
        """Shape (n,), in float32's precision."""
        tokens = self.tokens(texts)
        found = np.zeros(len(tokens))
        order = np.argsort([len(ids) for ids in tokens], kind="stable").tolist()
        self.net.eval()
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
        model = AutoModel.from_pretrained(
            source, num_hidden_layers=recipe.layers, use_safetensors=True
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
    net = MeanPooled(model, model.config.hidden_size)
    return Classifier(net, text, max_tokens=recipe.max_tokens)


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
    """Train in place. `important`: shape (n,), in [0, 1]; `weights`: shape (n,). Adam with
    decoupled decay, a tenth of the steps to warm up, then linearly down to 0. Returns the steps
    that were made, fewer than asked for where time is short.
    """
    tokens = classifier.tokens(texts)
    truth = torch.tensor(important, dtype=torch.float32)
    weight = torch.tensor(weights / weights.mean(), dtype=torch.float32)
    batches = -(-len(tokens) // recipe.batch)
    planned = steps = recipe.epochs * batches
    net = classifier.net
    learning = [each for each in net.parameters() if each.requires_grad]
    body = [each for each in net.encoder.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(
        [
            {"params": body, "factor": 1.0},
            {"params": list(net.head.parameters()), "factor": _HEAD_RATE},
        ],
        lr=recipe.rate,
        weight_decay=0.01,
    )
    torch.manual_seed(recipe.seed)
    torch.use_deterministic_algorithms(True)
    done = _restore(classifier, optimizer, schedule)
    classifier.net.train()
    began_s, began = schedule.clock_s(), done
    order: list[list[int]] = []
    while done < steps:
        epoch, at = divmod(done, batches)
        if not order or at == 0:
            order = _batches([len(ids) for ids in tokens], recipe, epoch)
        now_s = schedule.clock_s()
        if done > began:
            pace_s = (now_s - began_s) / (done - began)
            steps = min(planned, done + max(1, int((schedule.until_s - now_s) / pace_s)))
            if (done - began) % 20 == 0:
                left_s = pace_s * (steps - done)
                schedule.told(f"slm: step {done:,} of {steps:,}, {left_s:,.0f} s left")
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate * group["factor"] * _pace_of_learning(done, steps)
        chosen = order[at]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            classifier.forward([tokens[index] for index in chosen]), truth[chosen], weight[chosen]
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        done += 1
        if done % batches == 0:
            _save(classifier, optimizer, schedule, done)
        if schedule.clock_s() > schedule.until_s:
            break
    return done


def _pace_of_learning(step: int, steps: int) -> float:
    warm = max(1, steps // 10)
    return (step + 1) / warm if step < warm else max(0.02, (steps - step) / (steps - warm))


def _batches(lengths: list[int], recipe: Recipe, epoch: int) -> list[list[int]]:
    """Of one epoch, the same whenever it is asked for."""
    rng = np.random.default_rng((recipe.seed, epoch))
    order = rng.permutation(len(lengths)).tolist()
    for start in range(0, len(order), _CHUNK):
        order[start : start + _CHUNK] = sorted(
            order[start : start + _CHUNK], key=lambda index: lengths[index]
        )
    found = [order[at : at + recipe.batch] for at in range(0, len(order), recipe.batch)]
    return [found[at] for at in rng.permutation(len(found)).tolist()]


def _save(
    classifier: Classifier, optimizer: torch.optim.Optimizer, schedule: Schedule, done: int
) -> None:
    if schedule.folder is None:
        return
    state = {
        "model": classifier.net.state_dict(),
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
    classifier.net.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    torch.set_rng_state(state["random"])
    schedule.told(f"slm: goes on after step {state['done']:,}")
    return int(state["done"])
