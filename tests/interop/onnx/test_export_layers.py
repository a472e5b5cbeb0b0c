"""Every layer as ONNX operators, run by ONNX Runtime, against the layer's own NumPy in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from harness import random_shape, random_window
from onnx.reference import ReferenceEvaluator
from onnx_run import assert_same, attributes, constants, disturb, kinds

from pellucid import Network
from pellucid.interop.onnx import export_bytes
from pellucid.layers import (
    ELU,
    Add,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Input,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    Pad2d,
    PadChannels,
    ReLU,
    Residual,
    Sequential,
    Sigmoid,
    Softmax,
    Tanh,
)

NORMS = [1.0, 2.0, 3.0, 1.5, 4.7]


def same(layers: Layer | list[Layer], shape: tuple[int, ...], seed: int = 0) -> bytes:
    net = disturb(Network(layers, shape, engine="reference", loss="squared_error", seed=seed))
    x = np.random.default_rng(seed).normal(size=(3, *shape)).astype(np.float32)
    return assert_same(net, x)


def test_convolutions() -> None:
    rng = np.random.default_rng(0)
    for seed in range(60):
        settings, size = random_window(rng, pooling=False)
        groups, share = int(rng.integers(1, 4)), int(rng.integers(1, 4))
        options = {"groups": groups, "bias": bool(seed % 3), "flip": bool(seed % 2)}
        same(Conv2d(2 * groups, **settings, **options), (share * groups, *size), seed)


@pytest.mark.parametrize("padding", ["valid", "same", "full"])
@pytest.mark.parametrize("layer", [Conv2d, MaxPool2d, AvgPool2d, LPPool2d])
def test_named_paddings(layer: Any, padding: str) -> None:
    for kernel in (2, 3, (4, 1)):
        for stride in (1, 2, 3):
            window = {"kernel_size": kernel, "padding": padding, "stride": 1 if padding == "full" else stride}
            same(layer(4, **window) if layer is Conv2d else layer(**window), (2, 7, 8))


def test_max_pools() -> None:
    rng = np.random.default_rng(1)
    for seed in range(60):
        settings, size = random_window(rng, pooling=True)
        same(MaxPool2d(**settings), (2, *size), seed)


def test_a_border_wider_than_the_kernel_never_wins() -> None:
    net = Network([MaxPool2d(2, 1, 2, dilation=3)], (1, 5, 5), engine="reference")
    data = assert_same(net, np.full((1, 1, 5, 5), -7, np.float32))
    assert kinds(data) == ["Pad", "MaxPool", "Identity"]
    assert kinds(same(MaxPool2d(2, 1, 1, dilation=3), (1, 5, 5))) == ["MaxPool", "Identity"]


def test_average_pools() -> None:
    rng = np.random.default_rng(2)
    for seed in range(90):
        settings, size = random_window(rng, pooling=True)
        same(AvgPool2d(**settings, count_include_pad=bool(seed % 3)), (2, *size), seed)
        settings["dilation"] = 1
        size = tuple(np.maximum(size, settings["kernel_size"]).tolist())
        same(AvgPool2d(**settings, count_include_pad=bool(seed % 3)), (2, *size), seed)


def test_what_hangs_over_counts_not_even_beside_padding_that_does() -> None:
    net = Network([AvgPool2d(3, 2, 1, ceil_mode=True)], (1, 4, 4), engine="reference")
    data = assert_same(net, np.ones((1, 1, 4, 4), np.float32))
    assert kinds(data) == ["Pad", "AveragePool", "Identity"]
    assert net.forward(np.ones((1, 1, 4, 4)))[0, 0, 2, 2] == pytest.approx(1 / 4)


@pytest.mark.parametrize("p", NORMS)
def test_norm_pools(p: float) -> None:
    rng = np.random.default_rng(3)
    for seed in range(25):
        settings, size = random_window(rng, pooling=True)
        same(LPPool2d(**settings, norm_type=p), (2, *size), seed)
    same(LPPool2d(2, 1, 2, dilation=3, norm_type=p), (2, 5, 5))


@pytest.mark.parametrize(
    "layer",
    [ReLU(), LeakyReLU(), LeakyReLU(0), LeakyReLU(-0.5), ELU(), ELU(2), Sigmoid(), Tanh(), Softmax(), Flatten()],
    ids=repr,
)
def test_layers_without_numbers(layer: Layer) -> None:
    rng = np.random.default_rng(4)
    for seed in range(6):
        same(layer, random_shape(rng), seed)


def test_flattening_column_by_column() -> None:
    same(Flatten(column_major=True), (2, 3, 4))
    same(Flatten(column_major=True), (5,))


@pytest.mark.parametrize("layer", [Linear(4), Linear(3, bias=False), BatchNorm(eps=0.25), Dropout(0.3)], ids=repr)
def test_layers_of_vectors(layer: Layer) -> None:
    same(layer, (7,))


@pytest.mark.parametrize(
    "layer", [BatchNorm2d(), BatchNorm2d(1), BatchNorm(), GlobalAvgPool2d(), Dropout(), PadChannels(5), PadChannels(3),
              Pad2d(2), Pad2d(((1, 0), (2, 3)), -0.5)],
    ids=repr,
)  # fmt: skip
def test_layers_of_maps(layer: Layer) -> None:
    same(layer, (3, 4, 5))


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"size": 1}, ["LRN"]),
        ({"size": 5, "alpha": 0.5, "beta": 0.6, "k": 2}, ["LRN"]),
        ({"size": 25, "alpha": 1}, ["LRN"]),
        ({"size": 2, "alpha": 0.7}, ["Mul", "Conv", "Pow", "Mul"]),
        ({"size": 6, "alpha": 3, "k": 1}, ["Mul", "Conv", "Pow", "Mul"]),
        ({"size": 3, "alpha": 0}, ["Mul", "Conv", "Pow", "Mul"]),
        ({"size": 3, "alpha": 2, "beta": -1, "k": 3}, ["Mul", "Conv", "Pow", "Mul"]),
        ({"size": 3, "alpha": 2, "beta": 0}, ["Mul", "Conv", "Pow", "Mul"]),
    ],
)
def test_response_norms(settings: dict[str, Any], expected: list[str]) -> None:
    assert kinds(same(LocalResponseNorm(**settings), (7, 3, 2))) == [*expected, "Identity"]


def test_layers_of_several_inputs() -> None:
    x = Input((3, 4, 4))
    branches = [Conv2d(2, 1)(x), Tanh()(x), MaxPool2d(3, 1, 1)(x)]
    joined = Concat()(*branches)
    halves = [Conv2d(5, 1)(joined) for _ in range(4)]
    disturbed = disturb(Network(Add()(*halves), loss="squared_error", engine="reference"))
    data = assert_same(disturbed, np.random.default_rng(5).normal(size=(2, 3, 4, 4)).astype(np.float32))
    assert kinds(data).count("Add") == 3


def test_blocks_within_blocks() -> None:
    body = [Conv2d(4, 3, padding=1, bias=False, name="conv"), BatchNorm2d(name="bn"), ReLU()]
    shortcut = Sequential([PadChannels(4), Dropout()])
    inception = Concat([Conv2d(3, 1, name="a"), Sequential([MaxPool2d(3, 1, 1), Conv2d(1, 1)])])
    layers = [Residual(body, shortcut, name="block"), Residual(inception), GlobalAvgPool2d(), Linear(3, name="fc")]
    data = same(layers, (2, 6, 5))
    assert {"block.conv.weight", "block.bn.running_var", "1.0.a.bias", "fc.weight"} <= constants(data).keys()


def test_a_turned_filter_is_stored_turned() -> None:
    net = Network([Conv2d(2, 3, flip=True, name="conv")], (1, 5, 5), engine="reference")
    stored = constants(export_bytes(net))["conv.weight"]
    np.testing.assert_array_equal(stored, net.parameters["conv.weight"][:, :, ::-1, ::-1])


def test_the_same_momentum_in_onnxs_own_words() -> None:
    layers = [BatchNorm2d(momentum=0.3, name="bn"), Flatten()]
    net = disturb(Network(layers, (2, 3, 3), dtype="float64", loss="squared_error"))
    model = onnx.load_from_string(export_bytes(net, dtype="float64"))
    (norm,) = (node for node in model.graph.node if node.op_type == "BatchNormalization")
    norm.attribute.append(onnx.helper.make_attribute("training_mode", 1))
    norm.output.extend(["mean", "var"])
    model.graph.output.append(onnx.helper.make_tensor_value_info("mean", onnx.TensorProto.DOUBLE, [2]))
    x = np.random.default_rng(6).normal(1, 2, (4, 2, 3, 3))
    _, mean = ReferenceEvaluator(model).run(None, {"input": x})
    net.loss_and_gradients(x, np.zeros((4, 18)))
    np.testing.assert_allclose(mean, net.state["bn.running_mean"], rtol=1e-6)


def test_an_average_over_all_batches_has_no_momentum() -> None:
    net = Network([BatchNorm2d(running="cumulative")], (1, 2, 2), engine="reference")
    assert "momentum" not in attributes(export_bytes(net), "BatchNormalization")


def test_dropout_keeps_its_probability() -> None:
    data = export_bytes(Network([Linear(4), Dropout(0.25, name="drop"), Linear(2)], (3,)))
    assert kinds(data) == ["Gemm", "Dropout", "Gemm", "Softmax"]
    assert constants(data)["drop.p"] == 0.25
