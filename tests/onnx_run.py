"""Exported networks run by ONNX Runtime, the oracle of the ONNX tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime

from pellucid import Network
from pellucid.interop.onnx import export_bytes


def run(data: bytes, x: np.ndarray) -> np.ndarray:
    """Return what ONNX Runtime makes of ``x``."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    (output,) = session.run(["output"], {"input": x})
    return np.asarray(output)


def kinds(data: bytes) -> list[str]:
    """Return the operators of a model, in running order."""
    return [node.op_type for node in onnx.load_from_string(data).graph.node]


def attributes(data: bytes, kind: str) -> dict[str, Any]:
    """Return the attributes of the first operator of that kind."""
    node = next(node for node in onnx.load_from_string(data).graph.node if node.op_type == kind)
    return {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}


def constants(data: bytes) -> dict[str, np.ndarray]:
    """Return the constants of a model by name."""
    return {entry.name: onnx.numpy_helper.to_array(entry) for entry in onnx.load_from_string(data).graph.initializer}


def disturb(net: Network, seed: int = 0) -> Network:
    """Draw every bias, coefficient and running statistic, so that none is 0 or 1; return the network."""
    rng = np.random.default_rng(seed)
    for name, value in (*net.parameters.items(), *net.state.items()):
        if name.endswith(("running_var", "weight")) and value.ndim in (1, 3):
            value[...] = rng.uniform(0.5, 2, value.shape)
        elif not name.endswith(("weight", "num_batches")):
            value[...] = rng.normal(size=value.shape) / 4
    return net


def assert_same(net: Network, x: np.ndarray, **settings: Any) -> bytes:
    """Check ONNX Runtime's outputs against the network's in float64, to 1e-5 of the largest; return the model."""
    data = export_bytes(net, activation=False, **settings)
    expected = net.copy(dtype="float64").forward(x)
    found = run(data, x)
    assert found.shape == expected.shape
    layers = [node.layer for node in net.graph.nodes]
    slack = 1e-5 * float(abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=slack, err_msg=f"{layers} on {net.input_shape}")
    return data
