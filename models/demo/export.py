"""From the trained network to the int8 graph of a pack.

The score of a text must not depend on the texts beside it, or a cache of scores
would not be exact. Dynamic quantization breaks that: it takes one activation
range over the whole batch. So the activation ranges are fixed here, once
(static quantization), the word embeddings get one scale a row, and what is
sensitive and cheap stays float32.
"""

import warnings
from collections.abc import Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

from models.demo.net import TriageNet
from models.demo.training import padded
from stream_filter.training.slm_quantizing import PRODUCTS, static_int8

QUANTIZATION = (
    "weights int8 (per channel, 7 bits used; word embeddings per row), activations uint8 with "
    "ranges fixed at build time; softmax, norms and the last feed-forward product float32"
)


class _CompactNet(nn.Module):
    """The network with its word embeddings as int8 rows, each with its own scale."""

    def __init__(self, net: TriageNet) -> None:
        super().__init__()
        table = net.words.weight.detach()
        scale = table.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
        self.register_buffer("codes", (table / scale).round().to(torch.int8))
        self.register_buffer("scales", scale)
        self.net = net

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        words = self.codes[ids].to(torch.float32) * self.scales[ids]  # type: ignore[index]  # a registered buffer
        return torch.sigmoid(self.net.read(words, mask) / self.net.temperature)


def export_float(net: TriageNet, path: Path) -> None:
    """Write the float32 graph (embeddings already compact). Deterministic."""
    example = padded([[1, 2, 3], [1, 2, 3, 4]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        # The newer exporter needs one more dependency and gives the same graph.
        torch.onnx.export(
            _CompactNet(net).eval(),
            example,
            str(path),
            input_names=["input_ids", "attention_mask"],
            output_names=["score"],
            dynamic_axes={
                "input_ids": {0: "texts", 1: "tokens"},
                "attention_mask": {0: "texts", 1: "tokens"},
                "score": {0: "texts"},
            },
            opset_version=17,
            dynamo=False,
        )


def quantize(float_graph: Path, target: Path, tokens: Sequence[list[int]]) -> None:
    """Quantize to int8 with activation ranges seen on `tokens`; writes `target`."""
    model = onnx.load(float_graph)
    constants = {tensor.name for tensor in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in PRODUCTS]
    # Products of two activations, and the one whose input has outliers (it reads one row a text:
    # float32 costs 2 MB and next to no time).
    kept_float = [
        node.name
        for node in products
        if not constants.intersection(node.input) or node.name.endswith("/down/MatMul")
    ]
    quantized = static_int8(model, tokens, kept_float=kept_float)
    target.write_bytes(quantized.SerializeToString(deterministic=True))
