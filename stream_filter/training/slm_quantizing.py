"""int8 for a float graph, such that a text's score does not depend on the texts beside it.

Dynamic quantization takes one range of activations over a whole batch, so a cache of scores would
not be exact. Here the ranges are found once, on the stream's own texts (static quantization).
"""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantizationMode, QuantType
from optimum.onnxruntime import ORTQuantizer
from optimum.onnxruntime.configuration import CalibrationConfig, QuantizationConfig

from stream_filter.training.slm_graph import IDS, MASK, OURS, compact_words

PRODUCTS = ("MatMul", "Gemm")


def quantized(graph: bytes, tokens: Sequence[list[int]], *, spared: bool) -> bytes:
    """Of an ONNX graph, float32: products with constant weights in int8 (per channel), word
    embeddings in int8 (per row), activations in uint8 with the ranges seen on `tokens`. `spared`:
    products that shrink their input stay float32; in a transformer these are the feed-forward
    outputs, whose activations have outliers."""
    model = onnx.load_from_string(graph)
    compact_words(model)
    constants = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    kept_float = []
    for node in model.graph.node:
        if node.op_type in PRODUCTS:
            dims = [constants[name] for name in node.input[:2] if name in constants]
            shrinks = bool(dims) and len(dims[0]) == 2 and dims[0][0] > dims[0][1] > 1
            is_head = node.name.startswith(OURS)
            if not dims or is_head or (spared and shrinks):
                kept_float.append(node.name)
    found = static_int8(model, tokens, kept_float=kept_float)
    return bytes(found.SerializeToString(deterministic=True))


def static_int8(
    model: onnx.ModelProto, tokens: Sequence[list[int]], *, kept_float: Sequence[str]
) -> onnx.ModelProto:
    """The products of `model` in int8, but for the nodes `kept_float`; as in `quantized`."""
    config = QuantizationConfig(
        is_static=True,
        format=QuantFormat.QDQ,
        mode=QuantizationMode.QLinearOps,
        activations_dtype=QuantType.QUInt8,
        weights_dtype=QuantType.QInt8,
        weights_symmetric=True,
        per_channel=True,
        reduce_range=True,  # AVX2 without VNNI saturates on full-range products
        nodes_to_exclude=list(kept_float),
        operators_to_quantize=list(PRODUCTS),
    )
    samples = [{IDS: np.array(ids, np.int64), MASK: np.ones(len(ids), np.int64)} for ids in tokens]
    with TemporaryDirectory() as scratch:
        onnx.save(model, Path(scratch, "float.onnx"))
        quantizer = ORTQuantizer.from_pretrained(scratch, file_name="float.onnx")
        ranges = quantizer.fit(
            samples,
            CalibrationConfig(
                dataset_name="stream",
                dataset_config_name="",
                dataset_split="",
                dataset_num_samples=len(samples),
                method=CalibrationMethod.MinMax,
            ),
            onnx_augmented_model_name=Path(scratch, "augmented.onnx"),
            operators_to_quantize=list(PRODUCTS),
        )
        target = Path(scratch, "int8")
        quantizer.quantize(
            config, save_dir=target, file_suffix="", calibration_tensors_range=ranges
        )
        found = onnx.load(target / "float.onnx")
    onnx.checker.check_model(found)
    return found
