"""Every operator, its options drawn at random, in every opset: onnxruntime's numbers, as a network and in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx_models import Weights, expected, has, model, node, normal

from pellucid import Network
from pellucid.interop.onnx import import_model
from pellucid.interop.onnx.importer_read import read
from pellucid.interop.onnx.numpy_operators import evaluate

Rng = np.random.Generator
#: the nodes, the weights, and the shape of the input
Case = tuple[list[Any], Weights, tuple[int, ...]]
OPSETS = (7, 8, 9, 10, 11, 12, 13, 14, 17, 18, 19, 21, 22)


def numbers(values: Any) -> list[int]:
    return [int(n) for n in values]


def window(rng: Rng, kind: str, opset: int, kernel: np.ndarray) -> tuple[dict[str, Any], list[int]]:
    """Return attributes of a window, and sizes of maps that it fits."""
    axes = len(kernel)
    dilation = rng.integers(1, 3, axes) if has(kind, "dilations", opset) else np.ones(axes, int)
    span = dilation * (kernel - 1) + 1
    stride = rng.integers(1, 4, axes)
    attributes: dict[str, Any] = {"strides": numbers(stride)}
    if (dilation > 1).any():
        attributes["dilations"] = numbers(dilation)
    mode = rng.choice(["NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"])
    if mode == "NOTSET":
        attributes["pads"] = numbers(rng.integers(0, kernel.tolist() * 2))
    elif (dilation == 1).all() and (stride <= kernel).all():  # onnxruntime's auto_pad has neither
        attributes["auto_pad"] = str(mode)
    return attributes, numbers(np.maximum(span, dilation * 2) + rng.integers(0, 6, axes))


def conv(rng: Rng, opset: int) -> Case:
    axes = int(rng.integers(1, 3))
    kernel = rng.integers(1, 4, axes)
    attributes, sizes = window(rng, "Conv", opset, kernel)
    groups, channels, filters = (int(n) for n in rng.integers(1, 4, 3))
    weights = {"w": normal(rng, groups * filters, channels, *kernel), "b": normal(rng, groups * filters)}
    inputs = "x w b" if rng.integers(2) else "x w"
    if rng.integers(2):
        attributes["kernel_shape"] = numbers(kernel)
    return [node("Conv", inputs, "y", group=groups, **attributes)], weights, (groups * channels, *sizes)


def pool(kind: str) -> Callable[[Rng, int], Case]:
    def draw(rng: Rng, opset: int) -> Case:
        kernel = rng.integers(2, 4, int(rng.integers(1, 3)))
        attributes, sizes = window(rng, kind, opset, kernel)
        free = not attributes.get("auto_pad", "").startswith("SAME")
        if free and has(kind, "ceil_mode", opset):
            attributes["ceil_mode"] = int(rng.integers(2))
        if kind == "AveragePool":
            attributes["count_include_pad"] = int(rng.integers(2))
        if kind == "LpPool":
            attributes["p"] = int(rng.integers(1, 4))
        return [node(kind, "x", "y", kernel_shape=numbers(kernel), **attributes)], {}, (2, *sizes)

    return draw


def whole(kind: str) -> Callable[[Rng, int], Case]:
    def draw(rng: Rng, opset: int) -> Case:
        return [node(kind, "x", "y")], {}, (3, *numbers(rng.integers(1, 6, rng.integers(1, 3))))

    return draw


def any_shape(rng: Rng) -> tuple[int, ...]:
    return tuple(numbers(rng.integers(2, 6, rng.integers(1, 4))))


def activation(kind: str, **attributes: Any) -> Callable[[Rng, int], Case]:
    return lambda rng, opset: ([node(kind, "x", "y", **attributes)], {}, any_shape(rng))


def softmax(rng: Rng, opset: int) -> Case:
    ndim = 2 if opset < 13 else int(rng.integers(2, 5))
    return [node("Softmax", "x", "y", axis=1)], {}, tuple(numbers(rng.integers(2, 6, ndim - 1)))


def batch_norm(rng: Rng, opset: int) -> Case:
    shape = any_shape(rng)
    weights = {name: normal(rng, shape[0]) for name in ("s", "b", "m")}
    weights["v"] = rng.uniform(0.1, 2, shape[0]).astype(np.float32)
    return [node("BatchNormalization", "x s b m v", "y", epsilon=1e-3)], weights, shape


def gemm(rng: Rng, opset: int) -> Case:
    inputs, outputs = (int(n) for n in rng.integers(1, 6, 2))
    turned = int(rng.integers(2))
    addend = [(), (1,), (outputs,), (1, outputs)][rng.integers(4)]
    weights = {"w": normal(rng, *((outputs, inputs) if turned else (inputs, outputs))), "b": normal(rng, *addend)}
    return [node("Gemm", "x w b", "y", transB=turned, alpha=0.5, beta=3.0)], weights, (inputs,)


def mat_mul(rng: Rng, opset: int) -> Case:
    weights = {"w": normal(rng, 5, 3), "b": normal(rng, *[(3,), (1, 3), (1,)][rng.integers(3)])}
    return [node("MatMul", "x w", "m"), node("Add", "b m" if rng.integers(2) else "m b", "y")], weights, (5,)


def conv_and_add(rng: Rng, opset: int) -> Case:
    weights = {"w": normal(rng, 3, 2, 2, 2), "b": normal(rng, *[(3, 1, 1), (1, 3, 1, 1), (1,)][rng.integers(3)])}
    return [node("Conv", "x w", "m"), node("Add", "m b", "y")], weights, (2, 4, 5)


def joined(rng: Rng, opset: int) -> Case:
    shape = any_shape(rng)
    nodes = [
        node("Relu", "x", "a"),
        node("Tanh", "x", "b"),
        node("Add", "a b", "c"),
        node("Concat", "a c b", "y", axis=1),
    ]
    return nodes, {}, shape


def flat(rng: Rng, opset: int) -> Case:
    shape = any_shape(rng)
    axis = {"axis": -len(shape)} if opset >= 11 and rng.integers(2) else {}
    return [node("Tanh", "x", "t"), node("Flatten", "t", "y", **axis)], {}, shape


def reshape(rng: Rng, opset: int) -> Case:
    shape = any_shape(rng)
    target = [[0, -1], [-1, int(np.prod(shape))], [3, -1]][rng.integers(3)]
    return [node("Tanh", "x", "h"), node("Reshape", "h t", "y")], {"t": np.array(target)}, shape


def dropout(rng: Rng, opset: int) -> Case:
    if opset < 12:
        return [node("Dropout", "x", "y", ratio=0.3)], {}, any_shape(rng)
    return [node("Dropout", "x r", "y")], {"r": np.float32([0.3]).reshape(())}, any_shape(rng)


def response_norm(rng: Rng, opset: int) -> Case:
    size = int(rng.choice([1, 3, 5, 7]))
    return [node("LRN", "x", "y", size=size, alpha=0.3, beta=0.6, bias=1.5)], {}, (int(rng.integers(1, 8)), 3, 4)


def pad(rng: Rng, opset: int) -> Case:
    shape = any_shape(rng)
    widths = [0, 0 if len(shape) == 1 else int(rng.integers(3)), *numbers(rng.integers(0, 3, len(shape) - 1))]
    before = [0, 0, *numbers(rng.integers(0, 3, len(shape) - 1))]
    value = 0.0 if widths[1] else float(rng.integers(-1, 2))
    first = node("Tanh", "x", "h")
    if opset < 11:
        return [first, node("Pad", "h", "y", pads=before + widths, value=value)], {}, shape
    weights = {"p": np.array(before + widths), "v": np.array(value, np.float32)}
    if opset < 18 or widths[1]:
        return [first, node("Pad", "h p v", "y")], weights, shape
    axes = list(range(2, len(shape) + 1))
    weights |= {"p": np.array([*before[2:], *widths[2:]], np.int64), "a": np.array(axes, np.int64)}
    return [first, node("Pad", "h p v a", "y")], weights, shape


def passed_on(rng: Rng, opset: int) -> Case:
    return [node("Identity", "x", "a"), node("Relu", "a", "b"), node("Identity", "b", "y")], {}, any_shape(rng)


CASES: dict[str, Callable[[Rng, int], Case]] = {
    "Conv": conv,
    "MaxPool": pool("MaxPool"),
    "AveragePool": pool("AveragePool"),
    "LpPool": pool("LpPool"),
    "GlobalAveragePool": whole("GlobalAveragePool"),
    "GlobalMaxPool": whole("GlobalMaxPool"),
    "BatchNormalization": batch_norm,
    "Relu": activation("Relu"),
    "LeakyRelu": activation("LeakyRelu", alpha=0.2),
    "Elu": activation("Elu", alpha=0.7),
    "Sigmoid": activation("Sigmoid"),
    "Tanh": activation("Tanh"),
    "Softmax": softmax,
    "Gemm": gemm,
    "MatMul and Add": mat_mul,
    "Conv and Add": conv_and_add,
    "Concat and Add": joined,
    "Flatten": flat,
    "Reshape": reshape,
    "Dropout": dropout,
    "LRN": response_norm,
    "Pad": pad,
    "Identity": passed_on,
}


def outputs(network: Network, x: np.ndarray) -> np.ndarray:
    """Run a network that an Identity at the end may have given another loss than the default."""
    return network.forward(x.reshape(len(x), *network.input_shape))


def by_operators(made: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    graph = read(made, None)
    values: dict[str, Any] = {**graph.constants, "x": x, "": None}
    for operation in graph.operations:
        values[operation.outputs[0]] = evaluate(operation, [values[name] for name in operation.inputs])[0]
    return values["y"]


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.filterwarnings("ignore:the network runs on the slower reference engine")
def test_it_gives_onnxruntimes_numbers(kind: str) -> None:
    rng = np.random.default_rng(list(CASES).index(kind))
    for opset in OPSETS * (6 if "Pool" in kind or kind == "Conv" else 2):
        nodes, weights, shape = CASES[kind](rng, opset)
        fixed = "Reshape" in kind
        made = model(nodes, weights, (3 if fixed else "N", *shape), opset=opset)
        x = normal(rng, 3, *shape)
        wanted = expected(made, x)
        message = f"opset {opset}, input {shape}: {nodes}"
        slack = 1e-5 * max(1.0, float(abs(wanted).max()))
        np.testing.assert_allclose(by_operators(made, x), wanted, rtol=1e-5, atol=slack, err_msg=message)
        for engine in ("auto", "reference"):
            found = outputs(import_model(made.SerializeToString(), engine=engine), x)
            np.testing.assert_allclose(found.reshape(wanted.shape), wanted, rtol=1e-5, atol=slack, err_msg=message)
