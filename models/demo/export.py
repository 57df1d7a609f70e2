"""From the trained network to the files of a pack: trimmed tokenizer, int8 graph.

The score of a text must not depend on the texts beside it, or a cache of scores
would not be exact. Dynamic quantization breaks that: it takes one activation
range over the whole batch. So the activation ranges are fixed here, once
(static quantization), the word embeddings get one scale a row, and what is
sensitive and cheap stays float32.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantizationMode, QuantType
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import CalibrationConfig, QuantizationConfig
from tokenizers import Tokenizer
from torch import Tensor, nn

from models.demo.net import TriageNet
from models.demo.training import padded

QUANTIZATION = (
    "weights int8 (per channel, 7 bits used; word embeddings per row), activations uint8 with "
    "ranges fixed at build time; softmax, norms and the last feed-forward product float32"
)
MOST_FREQUENT = 14_000
"""Word pieces are ordered by frequency in the base vocabulary: the head that is always kept."""


def trim(tokenizer_json: str, texts: Sequence[str], wanted: Sequence[str]) -> tuple[str, list[int]]:
    """A smaller tokenizer and the old ids of its word pieces, in the order of the new ids.

    Kept are special tokens, single characters, frequent ASCII pieces and every
    piece that `texts` or `wanted` words use.
    """
    document = json.loads(tokenizer_json)
    document["truncation"] = document["padding"] = None
    whole = Tokenizer.from_str(json.dumps(document))
    used = {
        piece for encoding in whole.encode_batch([*texts, *wanted]) for piece in encoding.tokens
    }
    vocabulary: dict[str, int] = document["model"]["vocab"]
    special = {token["content"] for token in document["added_tokens"]}
    kept = [
        piece
        for piece, number in sorted(vocabulary.items(), key=lambda item: item[1])
        if piece in special or piece in used or _is_general(piece, number)
    ]
    old = [vocabulary[piece] for piece in kept]
    new = {piece: number for number, piece in enumerate(kept)}
    document["model"]["vocab"] = new
    for token in document["added_tokens"]:
        token["id"] = new[token["content"]]
    for token in document["post_processor"].get("special_tokens", {}).values():
        token["ids"] = [new[piece] for piece in token["tokens"]]
    for field in ("sep", "cls"):
        if field in document["post_processor"]:
            piece = document["post_processor"][field][0]
            document["post_processor"][field] = [piece, new[piece]]
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")), old


def _is_general(piece: str, number: int) -> bool:
    bare = piece.removeprefix("##")
    if len(bare) == 1:
        return True
    return bare.isascii() and not bare.startswith("[") and number < MOST_FREQUENT


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
    products = [node for node in model.graph.node if node.op_type in ("MatMul", "Gemm")]
    # Products of two activations, and the one whose input has outliers (it reads one row a text:
    # float32 costs 2 MB and next to no time).
    kept_float = [
        node.name
        for node in products
        if not constants.intersection(node.input) or node.name.endswith("/down/MatMul")
    ]
    config = QuantizationConfig(
        is_static=True,
        format=QuantFormat.QDQ,
        mode=QuantizationMode.QLinearOps,
        activations_dtype=QuantType.QUInt8,
        weights_dtype=QuantType.QInt8,
        weights_symmetric=True,
        per_channel=True,
        reduce_range=True,  # AVX2 without VNNI saturates on full-range products
        nodes_to_exclude=kept_float,
        operators_to_quantize=["MatMul", "Gemm"],
    )
    samples = [
        {"input_ids": np.array(ids, np.int64), "attention_mask": np.ones(len(ids), np.int64)}
        for ids in tokens
    ]
    with TemporaryDirectory() as scratch:
        quantizer = ORTQuantizer.from_pretrained(float_graph.parent, file_name=float_graph.name)
        ranges = quantizer.fit(
            samples,
            CalibrationConfig(
                dataset_name="generator",
                dataset_config_name="",
                dataset_split="",
                dataset_num_samples=len(samples),
                method=CalibrationMethod.MinMax,
            ),
            onnx_augmented_model_name=Path(scratch, "augmented.onnx"),
            operators_to_quantize=["MatMul", "Gemm"],
        )
        quantizer.quantize(
            config, save_dir=scratch, file_suffix="", calibration_tensors_range=ranges
        )
        quantized = onnx.load(Path(scratch, float_graph.name))
    onnx.checker.check_model(quantized)
    target.write_bytes(quantized.SerializeToString(deterministic=True))
