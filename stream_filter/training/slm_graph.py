"""From a classifier to the graph that the runtime reads: token ids and mask in, a score out."""

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from optimum.exporters.onnx import onnx_export_from_model

from stream_filter.core.errors import ConfigError
from stream_filter.models.manifest import Affine
from stream_filter.training.fine_tuning import LENGTH, MeanPooled

IDS, MASK, SCORE = "input_ids", "attention_mask", "score"
_TYPES = "token_type_ids"
_OLDEST_OPSET = 13
OURS = "sf_"
"""What is added to a graph has names that begin so."""


def exported(net: MeanPooled) -> onnx.ModelProto:
    """The network as ONNX, float32: optimum exports the encoder, the head is added to it.

    One output, `logits`, shape (texts, 1).
    """
    with TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer's, about shapes that are fixed here
        onnx_export_from_model(net.encoder, folder, task="feature-extraction", do_validation=False)
        model = onnx.load(Path(folder, "model.onnx"))
    graph = model.graph
    head = {
        "sf_tokens": np.array([1], np.int64),
        "sf_last": np.array([2], np.int64),
        "sf_length": np.array(LENGTH, np.float32),
        "sf_weight": net.head.weight.detach().numpy().T.copy(),
        "sf_bias": net.head.bias.detach().numpy(),
    }
    graph.initializer.extend(numpy_helper.from_array(each, name) for name, each in head.items())
    node = helper.make_node
    graph.node.extend(
        [
            # The mean of the hidden states: its length is all that their number would change.
            node("Cast", [MASK], ["sf_mask"], to=TensorProto.FLOAT),
            node("Unsqueeze", ["sf_mask", "sf_last"], ["sf_shown"]),
            node("Mul", ["last_hidden_state", "sf_shown"], ["sf_hidden"]),
            node("ReduceSum", ["sf_hidden", "sf_tokens"], ["sf_sum"], keepdims=0),
            node("LpNormalization", ["sf_sum"], ["sf_unit"], axis=1, p=2),
            node("Mul", ["sf_unit", "sf_length"], ["sf_pooled"]),
            node("MatMul", ["sf_pooled", "sf_weight"], ["sf_weighed"], name=f"{OURS}head"),
            node("Add", ["sf_weighed", "sf_bias"], ["logits"]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["texts", 1]))
    return model


def finished(model: onnx.ModelProto, calibration: Affine, *, important: int) -> onnx.ModelProto:
    """`model` with the inputs `input_ids` and `attention_mask`, both int64 of shape (texts,
    tokens), and one output `score`, float32 of shape (texts,).

    A model with one logit is taken at its word; of several, label `important` stands against the
    others: log-odds are its logit less the others' log-sum-exp. Then comes the calibration.
    Raises ConfigError where the model has other inputs, or no logits of shape (texts, labels).
    """
    graph = model.graph
    opset = next(each.version for each in model.opset_import if not each.domain)
    if opset < _OLDEST_OPSET:
        raise ConfigError(f"the graph is of opset {opset}: export it with {_OLDEST_OPSET} or later")
    names = {each.name for each in graph.input}
    if not {IDS, MASK} <= names or names - {IDS, MASK, _TYPES}:
        raise ConfigError(
            f"the graph's inputs are {', '.join(sorted(names))}: it needs {IDS} and {MASK}"
        )
    logits = next((each for each in graph.output if each.name == "logits"), graph.output[0])
    shape = logits.type.tensor_type.shape.dim
    labels = shape[1].dim_value if len(shape) == 2 else 0
    if not labels:
        raise ConfigError(f"the graph's output {logits.name!r} is not (texts, labels)")
    if labels > 1 and not 0 <= important < labels:
        raise ConfigError(f"the graph has {labels} labels: there is none with number {important}")
    if _TYPES in names:
        _fill_types(graph)
    raw = logits.name
    if labels == 1:
        nodes = [helper.make_node("Squeeze", [raw, "sf_axis"], ["sf_logit"])]
    else:
        others = [number for number in range(labels) if number != important]
        graph.initializer.extend(
            [
                numpy_helper.from_array(np.array(important, np.int64), "sf_important"),
                numpy_helper.from_array(np.array(others, np.int64), "sf_others"),
            ]
        )
        nodes = [
            helper.make_node("Gather", [raw, "sf_important"], ["sf_for"], axis=1),
            helper.make_node("Gather", [raw, "sf_others"], ["sf_rest"], axis=1),
            # Since opset 18 the axes are an input.
            helper.make_node("ReduceLogSumExp", ["sf_rest", "sf_axis"], ["sf_against"], keepdims=0)
            if opset >= 18
            else helper.make_node(
                "ReduceLogSumExp", ["sf_rest"], ["sf_against"], axes=[1], keepdims=0
            ),
            helper.make_node("Sub", ["sf_for", "sf_against"], ["sf_logit"]),
        ]
    graph.initializer.extend(
        [
            numpy_helper.from_array(np.array([1], np.int64), "sf_axis"),
            numpy_helper.from_array(np.array(calibration.slope, np.float32), "sf_slope"),
            numpy_helper.from_array(np.array(calibration.intercept, np.float32), "sf_intercept"),
        ]
    )
    graph.node.extend(
        [
            *nodes,
            helper.make_node("Mul", ["sf_logit", "sf_slope"], ["sf_steep"]),
            helper.make_node("Add", ["sf_steep", "sf_intercept"], ["sf_even"]),
            helper.make_node("Sigmoid", ["sf_even"], [SCORE]),
        ]
    )
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(SCORE, TensorProto.FLOAT, ["texts"]))
    onnx.checker.check_model(model)
    return model


def _fill_types(graph: onnx.GraphProto) -> None:
    """Every token is of the first kind: zeros of the ids' shape."""
    for number, each in enumerate(graph.input):
        if each.name == _TYPES:
            del graph.input[number]
            break
    zero = helper.make_tensor("value", TensorProto.INT64, [1], [0])
    shape = helper.make_node("Shape", [IDS], ["sf_shape"])
    zeros = helper.make_node("ConstantOfShape", ["sf_shape"], [_TYPES], value=zero)
    for at, node in enumerate((shape, zeros)):
        graph.node.insert(at, node)


def compact_words(model: onnx.ModelProto) -> None:
    """Store the word embeddings as int8 with one scale a row; in place. A model without a table
    that the ids look up directly stays as it is."""
    graph = model.graph
    tables = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Gather" and node.input[1] == IDS and node.input[0] in tables:
            break
    else:
        return
    tensor = tables[node.input[0]]
    table = numpy_helper.to_array(tensor).astype(np.float32)
    scales = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-8) / 127
    codes = np.round(table / scales).astype(np.int8)
    graph.initializer.remove(tensor)
    graph.initializer.extend(
        [
            numpy_helper.from_array(codes, "sf_word_codes"),
            numpy_helper.from_array(scales, "sf_word_scales"),
        ]
    )
    output = node.output[0]
    at = list(graph.node).index(node)
    graph.node.remove(node)
    for offset, made in enumerate(
        (
            helper.make_node("Gather", ["sf_word_codes", IDS], ["sf_words_int8"]),
            helper.make_node("Cast", ["sf_words_int8"], ["sf_words"], to=TensorProto.FLOAT),
            helper.make_node("Gather", ["sf_word_scales", IDS], ["sf_words_scale"]),
            helper.make_node("Mul", ["sf_words", "sf_words_scale"], [output]),
        )
    ):
        graph.node.insert(at + offset, made)
