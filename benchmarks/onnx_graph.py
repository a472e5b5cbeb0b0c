"""Nguyen's network as an ONNX graph, node by node."""

from __future__ import annotations

import numpy as np
from onnx import ModelProto, NodeProto, TensorProto, checker, helper, numpy_helper

from pellucid.arrays import Tensors


def nguyen(weights: Tensors) -> ModelProto:
    """Return the graph from pixels (N, 1, 28, 28), uint8, to probabilities (N, 10)."""
    constants = {**weights, "white": np.array(255, np.float32)}
    nodes = [
        helper.make_node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["numbers", "white"], ["x"]),
        *_convolution("conv1", "x", "p1"),
        *_convolution("conv2", "p1", "p2"),
        helper.make_node("Flatten", ["p2"], ["f"]),
        helper.make_node("Gemm", ["f", "fc.weight", "fc.bias"], ["a"], transB=1),
        helper.make_node("Softmax", ["a"], ["p"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "nguyen",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["N", 1, 28, 28])],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 10])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    return model


def _convolution(name: str, source: str, result: str) -> list[NodeProto]:
    return [
        helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [f"{name}.s"], kernel_shape=[5, 5]),
        helper.make_node("Relu", [f"{name}.s"], [f"{name}.c"]),
        helper.make_node("MaxPool", [f"{name}.c"], [result], kernel_shape=[2, 2], strides=[2, 2]),
    ]
