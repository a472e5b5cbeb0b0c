"""Small ONNX models for the tests of the import, and onnxruntime to say what they should give."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnxruntime
from onnx import ModelProto, TensorProto, defs, helper, numpy_helper

Weights = dict[str, np.ndarray]


def node(kind: str, inputs: str, outputs: str, name: str = "", **attributes: Any) -> Any:
    """Return a node; inputs and outputs are names with blanks between, ``-`` for one that is left out."""
    split = ([part.replace("-", "") if part == "-" else part for part in text.split()] for text in (inputs, outputs))
    return helper.make_node(kind, *split, name=name, **attributes)


def model(
    nodes: list[Any],
    weights: Weights | None = None,
    shape: tuple[Any, ...] = ("N", 2, 6, 7),
    *,
    opset: int = 18,
    dtype: int = TensorProto.FLOAT,
    outputs: tuple[str, ...] = ("y",),
    more_inputs: tuple[tuple[str, tuple[Any, ...]], ...] = (),
) -> ModelProto:
    """Return a model of one input ``x`` and the outputs, ``y`` unless others are named."""
    inputs = [helper.make_tensor_value_info(name, dtype, size) for name, size in (("x", shape), *more_inputs)]
    results = [helper.make_tensor_value_info(name, dtype, None) for name in outputs]
    tensors = [numpy_helper.from_array(array, name) for name, array in (weights or {}).items()]
    graph = helper.make_graph(nodes, "graph", inputs, results, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def expected(made: ModelProto | bytes, x: np.ndarray, **others: np.ndarray) -> np.ndarray:
    """Return what onnxruntime gives."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    data = made if isinstance(made, bytes) else made.SerializeToString()
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x, **others})[0])


def has(kind: str, attribute: str, opset: int) -> bool:
    """Tell whether an operator has an attribute in an opset."""
    return attribute in defs.get_schema(kind, max_inclusive_version=opset, domain="").attributes


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Return random numbers in float32."""
    return rng.normal(size=shape).astype(np.float32)


def lenet(rng: np.random.Generator, *, classes: int = 4, end: str = "") -> ModelProto:
    """Return a small classifier with PyTorch's names, which takes (N, 1, 12, 12); ``end`` is a last activation."""
    weights = {
        "conv1.weight": normal(rng, 6, 1, 3, 3) / 3,
        "conv1.bias": normal(rng, 6),
        "bn1.weight": rng.uniform(0.5, 2, 6).astype(np.float32),
        "bn1.bias": normal(rng, 6),
        "bn1.running_mean": normal(rng, 6),
        "bn1.running_var": rng.uniform(0.5, 2, 6).astype(np.float32),
        "conv2.weight": normal(rng, 8, 6, 3, 3) / 7,
        "fc.weight": normal(rng, classes, 72) / 8,
        "fc.bias": normal(rng, classes),
    }
    scores = "scores" if end else "y"
    nodes = [
        node("Conv", "x conv1.weight conv1.bias", "c1", "/conv1/Conv", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "c1 bn1.weight bn1.bias bn1.running_mean bn1.running_var", "b1", momentum=0.8),
        node("Relu", "b1", "r1", "/relu/Relu"),
        node("MaxPool", "r1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 conv2.weight", "c2", "/conv2/Conv", auto_pad="SAME_LOWER", strides=[2, 2]),
        node("Flatten", "c2", "f"),
        node("Dropout", "f", "d"),
        node("Gemm", "d fc.weight fc.bias", scores, transB=1),
        *([node(end, scores, "y")] if end else []),
    ]
    return model(nodes, weights, ("N", 1, 12, 12))
