"""The pack's network: the first layers of MiniLM, the last of them read at one place only.

A classifier needs one vector, so the last layer computes attention, output
projection and feed-forward for the `[CLS]` position alone. Of its cost only the
keys and values of the other tokens remain, a sixth of a full layer.
"""

import json
import math
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

HIDDEN = 384
HEADS = 12
INTERMEDIATE = 1536
MASKED = -1e4
"""Added to the attention logit of padding: its softmax weight is exactly 0 in float32."""


class Layer(nn.Module):
    """One BERT encoder layer (post-norm), optionally for the first position only."""

    def __init__(self, *, first_only: bool) -> None:
        super().__init__()
        self.first_only = first_only
        self.query = nn.Linear(HIDDEN, HIDDEN)
        self.key = nn.Linear(HIDDEN, HIDDEN)
        self.value = nn.Linear(HIDDEN, HIDDEN)
        self.attended = nn.Linear(HIDDEN, HIDDEN)
        self.attended_norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.up = nn.Linear(HIDDEN, INTERMEDIATE)
        self.down = nn.Linear(INTERMEDIATE, HIDDEN)
        self.down_norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.dropout = nn.Dropout(0.1)

    def forward(self, hidden: Tensor, bias: Tensor) -> Tensor:
        """`hidden` (texts, tokens, HIDDEN) and `bias` (texts, 1, 1, tokens) to the next hidden."""
        asking = hidden[:, :1] if self.first_only else hidden
        query, key, value = (
            projected.unflatten(2, (HEADS, HIDDEN // HEADS)).transpose(1, 2)
            for projected in (self.query(asking), self.key(hidden), self.value(hidden))
        )
        logits = query @ key.transpose(2, 3) / math.sqrt(HIDDEN // HEADS) + bias
        mixed = (logits.softmax(-1) @ value).transpose(1, 2).flatten(2)
        asking = self.attended_norm(asking + self.dropout(self.attended(mixed)))
        grown = nn.functional.gelu(self.up(asking))
        out: Tensor = self.down_norm(asking + self.dropout(self.down(grown)))
        return out


class TriageNet(nn.Module):
    """Token ids and mask, both (texts, tokens), to P(important), shape (texts,)."""

    def __init__(self, *, vocabulary: int, max_tokens: int, layers: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, HIDDEN)
        self.places = nn.Embedding(max_tokens, HIDDEN)
        self.norm = nn.LayerNorm(HIDDEN, eps=1e-12)
        self.layers = nn.ModuleList(
            Layer(first_only=number == layers - 1) for number in range(layers)
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(HIDDEN, 1)
        self.temperature = nn.Parameter(torch.ones(()), requires_grad=False)

    def logits(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The raw logits, shape (texts,)."""
        return self.read(self.words(ids), mask)

    def read(self, words: Tensor, mask: Tensor) -> Tensor:
        """The raw logits of embedded words (texts, tokens, HIDDEN)."""
        hidden = self.norm(words + self.places.weight[: words.shape[1]])
        bias = ((1 - mask) * MASKED)[:, None, None, :].to(hidden.dtype)
        for layer in self.layers:
            hidden = layer(hidden, bias)
        out: Tensor = self.head(self.dropout(hidden[:, 0])).squeeze(1)
        return out

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """The calibrated probability that a text is important."""
        return torch.sigmoid(self.logits(ids, mask) / self.temperature)


def pretrained(folder: Path, kept: list[int], *, max_tokens: int, layers: int) -> TriageNet:
    """A `TriageNet` with MiniLM's first `layers` layers and the vocabulary rows `kept`."""
    if json.loads((folder / "config.json").read_text())["hidden_size"] != HIDDEN:
        raise ValueError("the base weights are not MiniLM with 384 hidden units")
    weights = load_file(folder / "model.safetensors")
    net = TriageNet(vocabulary=len(kept), max_tokens=max_tokens, layers=layers)
    state = {
        "words.weight": weights["embeddings.word_embeddings.weight"][kept],
        "places.weight": weights["embeddings.position_embeddings.weight"][:max_tokens]
        + weights["embeddings.token_type_embeddings.weight"][0],
        "norm.weight": weights["embeddings.LayerNorm.weight"],
        "norm.bias": weights["embeddings.LayerNorm.bias"],
    }
    names = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "attended": "attention.output.dense",
        "attended_norm": "attention.output.LayerNorm",
        "up": "intermediate.dense",
        "down": "output.dense",
        "down_norm": "output.LayerNorm",
    }
    for number in range(layers):
        for ours, theirs in names.items():
            for part in ("weight", "bias"):
                source = f"encoder.layer.{number}.{theirs}.{part}"
                state[f"layers.{number}.{ours}.{part}"] = weights[source]
    missing, unexpected = net.load_state_dict(state, strict=False)
    if unexpected or set(missing) != {"head.weight", "head.bias", "temperature"}:
        raise ValueError(f"the base weights do not fit: {missing}, {unexpected}")
    return net
