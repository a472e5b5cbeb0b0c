"""Whole models: they give onnxruntime's numbers, keep their names, and are networks like any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import expected, lenet, model, node, normal

from pellucid import Network
from pellucid.errors import ConfigError, DataError, EngineError
from pellucid.interop.onnx import import_model
from pellucid.layers import (
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    Linear,
    MaxPool2d,
    ReLU,
    Softmax,
    Tanh,
)
from pellucid.losses import CrossEntropy, LogLoss, SquaredError


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_classifier_from_a_file(rng: np.random.Generator, tmp_path: Path) -> None:
    made = lenet(rng)
    onnx.save(made, tmp_path / "net.onnx")
    x = normal(rng, 5, 1, 12, 12)
    for source in (tmp_path / "net.onnx", str(tmp_path / "net.onnx"), made.SerializeToString()):
        net = import_model(source)
        assert net.engine == "native"
        np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-5, atol=1e-5)


def test_parameters_are_called_after_the_initializers_and_layers_after_the_nodes(rng: np.random.Generator) -> None:
    made = lenet(rng)
    net = import_model(made.SerializeToString())
    assert [node.name for node in net.graph.nodes] == [
        "conv1", "bn1", "relu.Relu", "maxpool4", "conv2", "flatten6", "dropout7", "fc",
    ]  # fmt: skip
    names = ["conv1.weight", "conv1.bias", "bn1.weight", "bn1.bias", "conv2.weight", "fc.weight", "fc.bias"]
    assert list(net.parameters) == names
    for tensor in made.graph.initializer:
        table = net.parameters if tensor.name in net.parameters else net.state
        np.testing.assert_array_equal(table[tensor.name], onnx.numpy_helper.to_array(tensor))


def test_weights_that_have_lost_their_names_get_those_of_pytorchs_modules(rng: np.random.Generator) -> None:
    nodes = [
        node("Conv", "x onnx::Conv_1", "a", "/layer1/layer1.0/downsample/downsample.0/Conv"),
        node("Conv", "a onnx::Conv_2", "b", "/conv1/Conv"),
        node("Relu", "b", "c", "/layer1/layer1.0/relu/Relu"),
        node("Flatten", "c", "d", "/Flatten"),
        node("MatMul", "d onnx::MatMul_3", "y", "plain"),
    ]
    weights = {"onnx::Conv_1": normal(rng, 2, 2, 1, 1), "onnx::Conv_2": normal(rng, 1, 2, 1, 1)}
    net = import_model(model(nodes, weights | {"onnx::MatMul_3": normal(rng, 42, 3)}).SerializeToString())
    assert [node.name for node in net.graph.nodes] == [
        "layer1.0.downsample.0", "conv1", "layer1.0.relu.Relu", "Flatten", "plain",
    ]  # fmt: skip
    assert list(net.parameters) == ["layer1.0.downsample.0.weight", "conv1.weight", "plain.weight"]


def test_onnx_weighs_the_old_value_with_its_momentum(rng: np.random.Generator) -> None:
    net = import_model(lenet(rng).SerializeToString())
    norm = next(node.layer for node in net.graph.nodes if isinstance(node.layer, BatchNorm2d))
    assert norm.momentum == pytest.approx(1 - 0.8)
    assert next(node.layer for node in net.graph.nodes if isinstance(node.layer, Dropout)).p == 0.5
    before = net.state["bn1.running_mean"].copy()
    x = normal(rng, 6, 1, 12, 12)
    start = Network([Conv2d(6, 3, padding=1)], (1, 12, 12), engine="reference")
    start.parameters = {"0.weight": net.parameters["conv1.weight"], "0.bias": net.parameters["conv1.bias"]}
    batch_mean = start.forward(x).mean(axis=(0, 2, 3))
    net.loss_and_gradients(x, np.zeros(6, int))
    np.testing.assert_allclose(net.state["bn1.running_mean"], 0.8 * before + 0.2 * batch_mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("engine", ["native", "reference"])
def test_it_trains_on(rng: np.random.Generator, engine: str) -> None:
    net = import_model(lenet(rng).SerializeToString(), engine=engine)
    assert net.engine == engine
    x, y = normal(rng, 64, 1, 12, 12), rng.integers(0, 4, 64)
    before = net.evaluate(x, y)["loss"]
    net.fit(x, y, epochs=8, batch_size=16, optimizer="adam", verbose=False)
    assert net.evaluate(x, y)["loss"] < 0.6 * before


def test_it_is_saved_and_loaded(rng: np.random.Generator, tmp_path: Path) -> None:
    net = import_model(lenet(rng, end="Softmax").SerializeToString())
    net.save(tmp_path / "net.safetensors")
    again = Network.load(tmp_path / "net.safetensors")
    x = normal(rng, 3, 1, 12, 12)
    np.testing.assert_array_equal(again.predict(x), net.predict(x))
    assert again.describe() == net.describe()


@pytest.mark.parametrize(("end", "loss"), [("Softmax", CrossEntropy), ("Sigmoid", LogLoss), ("Identity", SquaredError)])
def test_a_last_activation_is_the_losss_own(rng: np.random.Generator, end: str, loss: type) -> None:
    made = lenet(rng, end=end)
    net = import_model(made.SerializeToString())
    assert type(net.loss) is loss
    assert isinstance(net.graph.nodes[-1].layer, Linear)
    x = normal(rng, 4, 1, 12, 12)
    np.testing.assert_allclose(net.predict(x), expected(made, x), rtol=1e-5, atol=1e-6)


def test_another_loss_keeps_the_last_activation_as_a_layer(rng: np.random.Generator) -> None:
    made = lenet(rng, end="Sigmoid")
    net = import_model(made.SerializeToString(), loss="squared_error")
    x = normal(rng, 4, 1, 12, 12)
    np.testing.assert_allclose(net.predict(x), expected(made, x), rtol=1e-5, atol=1e-6)
    same = import_model(made.SerializeToString(), loss=LogLoss(reduction="sum"))
    assert same.loss == LogLoss(reduction="sum")
    np.testing.assert_allclose(same.predict(x), expected(made, x), rtol=1e-5, atol=1e-6)


def test_float64_stays_float64(rng: np.random.Generator) -> None:
    weights = {"w": rng.normal(size=(5, 3)), "b": rng.normal(size=3)}
    made = model([node("Gemm", "x w b", "y")], weights, ("N", 5), dtype=TensorProto.DOUBLE)
    net = import_model(made.SerializeToString())
    x = rng.normal(size=(4, 5))
    assert net.dtype == np.float64
    np.testing.assert_allclose(net.forward(x), x @ weights["w"] + weights["b"], rtol=1e-13)


def test_a_sequence_is_a_map_of_height_1(rng: np.random.Generator) -> None:
    weights = {"w": normal(rng, 4, 3, 5), "b": normal(rng, 4)}
    nodes = [
        node("Conv", "x w b", "c", pads=[1, 2], strides=[2], dilations=[1]),
        node("MaxPool", "c", "p", kernel_shape=[3], strides=[2], ceil_mode=1, pads=[1, 0]),
        node("GlobalAveragePool", "p", "g"),
        node("Flatten", "g", "y"),
    ]
    made = model(nodes, weights, ("N", 3, 20))
    net = import_model(made.SerializeToString())
    assert net.input_shape == (3, 1, 20)
    assert net.graph.nodes[0].layer == Conv2d(4, (1, 5), (1, 2), ((0, 0), (1, 2)), name="conv1")
    x = normal(rng, 6, 3, 20)
    np.testing.assert_allclose(net.forward(x[:, :, None]), expected(made, x), rtol=1e-5, atol=1e-5)


def test_sizes_that_the_model_leaves_open(rng: np.random.Generator) -> None:
    nodes = [node("Relu", "x", "r"), node("GlobalMaxPool", "r", "g"), node("Flatten", "g", "y")]
    made = model(nodes, {}, ("N", 3, "H", "W"))
    net = import_model(made.SerializeToString(), input_shape=(3, 9, 8))
    x = normal(rng, 2, 3, 9, 8)
    assert [node.layer for node in net.graph.nodes][1] == MaxPool2d((9, 8), name="globalmaxpool2")
    np.testing.assert_array_equal(net.forward(x), expected(made, x))


def test_maps_of_one_pixel_at_the_end_become_a_vector(rng: np.random.Generator) -> None:
    nodes = [node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "g"), node("Softmax", "g", "y", axis=1)]
    made = model(nodes, {"w": normal(rng, 5, 2, 3, 3)})
    net = import_model(made.SerializeToString())
    x = normal(rng, 3, 2, 6, 7)
    assert [type(node.layer) for node in net.graph.nodes] == [Conv2d, AvgPool2d, Flatten]
    np.testing.assert_allclose(net.predict(x), expected(made, x)[:, :, 0, 0], rtol=1e-5)
    net.fit(x, np.array([0, 1, 2]), epochs=1, verbose=False)


def test_branches_meet(rng: np.random.Generator) -> None:
    weights = {"a.weight": normal(rng, 2, 2, 3, 3), "b.weight": normal(rng, 3, 2, 1, 1), "b.bias": normal(rng, 3)}
    nodes = [
        node("Conv", "x a.weight", "a", pads=[1] * 4),
        node("Add", "a x", "s"),
        node("Relu", "s", "r"),
        node("Conv", "r b.weight b.bias", "b"),
        node("Concat", "r b r", "j", axis=-3),
        node("Flatten", "j", "y"),
    ]
    made = model(nodes, weights)
    net = import_model(made.SerializeToString())
    x = normal(rng, 3, 2, 6, 7)
    assert net.engine == "native"
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-5, atol=1e-5)


def test_statistics_of_every_activation_come_flattened(rng: np.random.Generator) -> None:
    weights = {name: normal(rng, 84) for name in "sbm"}
    weights |= {
        "v": rng.uniform(0.5, 2, 84).astype(np.float32),
        "t": np.array([0, 2, 6, 7]),
        "w": normal(rng, 3, 2, 6, 7),
    }
    nodes = [
        node("Flatten", "x", "f"),
        node("BatchNormalization", "f s b m v", "n"),
        node("Reshape", "n t", "r"),
        node("Conv", "r w", "c"),
        node("Flatten", "c", "y"),
    ]
    made = model(nodes, weights)
    net = import_model(made.SerializeToString())
    assert [type(node.layer) for node in net.graph.nodes] == [BatchNorm, Conv2d, Flatten]
    x = normal(rng, 3, 2, 6, 7)
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-4, atol=1e-5)


def test_a_reshape_behind_a_batch_norm_that_undoes_nothing(rng: np.random.Generator) -> None:
    weights = {name: np.abs(normal(rng, 84)) for name in "sbmv"} | {"t": np.array([0, -1])}
    nodes = [
        node("Flatten", "x", "f"),
        node("BatchNormalization", "f s b m v", "n"),
        node("Reshape", "n t", "r"),
        node("Tanh", "r", "y"),
    ]
    made = model(nodes, weights)
    net = import_model(made.SerializeToString())
    assert [type(node.layer) for node in net.graph.nodes] == [Flatten, BatchNorm, Tanh]
    x = normal(rng, 3, 2, 6, 7)
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-4, atol=1e-5)


def test_an_activation_of_maps_at_the_end_stays_a_layer(rng: np.random.Generator) -> None:
    nodes = [node("Conv", "x w", "c"), node("Softmax", "c", "y", axis=1)]
    made = model(nodes, {"w": normal(rng, 3, 2, 3, 3)})
    net = import_model(made.SerializeToString(), engine="reference")
    x = normal(rng, 2, 2, 6, 7)
    assert [type(node.layer) for node in net.graph.nodes] == [Conv2d, Softmax]
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-5, atol=1e-6)


def test_statistics_of_every_activation_before_opset_9(rng: np.random.Generator) -> None:
    weights = {name: normal(rng, 2, 3, 4) for name in "sbm"} | {"v": rng.uniform(0.5, 2, (2, 3, 4)).astype(np.float32)}
    made = model([node("BatchNormalization", "x s b m v", "y", spatial=0)], weights, ("N", 2, 3, 4), opset=8)
    net = import_model(made.SerializeToString(), engine="reference")
    x = normal(rng, 3, 2, 3, 4)
    wanted = (x - weights["m"]) / np.sqrt(weights["v"] + 1e-5) * weights["s"] + weights["b"]
    np.testing.assert_allclose(net.forward(x), wanted, rtol=1e-5, atol=1e-5)


def test_constants_are_worked_out_wherever_they_stand(rng: np.random.Generator) -> None:
    weights = {"w": normal(rng, 3, 84), "shift": normal(rng, 3), "old": np.array([3, 2, 42])}
    nodes = [
        node("Conv", "x k", "c"),
        node("Constant", "", "one", value_float=1.0),  # behind the node whose bias it becomes part of
        node("Add", "one shift", "b0"),
        node("Reshape", "b0 bias_shape", "b"),
        node("Constant", "", "bias_shape", value_ints=[3, 1, 1]),
        node("Add", "c b", "a"),
        node("Flatten", "a", "y"),
    ]
    made = model([nodes[4], *nodes[:4], *nodes[5:]], {**weights, "k": normal(rng, 3, 2, 2, 2)})
    net = import_model(made.SerializeToString())
    assert [type(node.layer) for node in net.graph.nodes] == [Conv2d, Flatten]
    np.testing.assert_allclose(net.parameters["conv1.bias"], weights["shift"] + 1, rtol=1e-6)
    x = normal(rng, 2, 2, 6, 7)
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-5, atol=1e-5)


def test_nodes_out_of_order_are_put_in_order(rng: np.random.Generator) -> None:
    made = lenet(rng)
    nodes = list(made.graph.node)
    del made.graph.node[:]
    made.graph.node.extend(nodes[::-1])
    x = normal(rng, 2, 1, 12, 12)
    found = import_model(made.SerializeToString()).forward(x)
    np.testing.assert_allclose(found, expected(lenet(np.random.default_rng(0)), x), rtol=1e-5, atol=1e-5)


def test_a_weight_that_two_nodes_share_becomes_two(rng: np.random.Generator) -> None:
    nodes = [node("Gemm", "x fc.weight", "a"), node("Relu", "a", "b"), node("Gemm", "b fc.weight", "y")]
    net = import_model(model(nodes, {"fc.weight": normal(rng, 3, 3)}, ("N", 3)).SerializeToString())
    assert list(net.parameters) == ["fc.weight", "fc_2.weight"]
    np.testing.assert_array_equal(net.parameters["fc.weight"], net.parameters["fc_2.weight"])


def test_names_that_networks_have_for_themselves(rng: np.random.Generator) -> None:
    nodes = [node("Relu", "x", "a", "input"), node("Tanh", "a", "y", "input")]
    net = import_model(model(nodes, {}, ("N", 3)).SerializeToString())
    assert [node.name for node in net.graph.nodes] == ["input_2", "input_3"]


def test_many_nodes_of_one_name_take_no_time(rng: np.random.Generator) -> None:
    nodes = [node("Relu", f"v{i}", f"v{i + 1}", "same") for i in range(2000)]
    made = model([node("Tanh", "x", "v0"), *nodes, node("Tanh", "v2000", "y", "same_7")], {}, ("N", 3))
    net = import_model(made.SerializeToString(), engine="reference")
    assert [node.name for node in net.graph.nodes][1:4] == ["same", "same_2", "same_3"]
    assert [node.name for node in net.graph.nodes][-2:] == ["same_2000", "same_7_2"]


def test_what_no_output_needs_is_left_out(rng: np.random.Generator) -> None:
    nodes = [node("Relu", "x", "y"), node("Tanh", "x", "z"), node("LRN", "z", "never", size=2)]
    net = import_model(model(nodes, {"big": normal(rng, 9)}, ("N", 3)).SerializeToString())
    assert [type(node.layer) for node in net.graph.nodes] == [ReLU]


def test_the_engine_is_taken_as_asked(rng: np.random.Generator) -> None:
    made = model([node("Relu", "x", "y")], {}).SerializeToString()
    assert import_model(made, engine="reference").engine == "reference"
    with pytest.raises(EngineError, match="the native engine needs a network that ends in a vector"):
        import_model(made, engine="native")
    with pytest.raises(ConfigError, match="no engine called 'fast'"):
        import_model(made, engine="fast")
    with pytest.raises(ConfigError, match="no loss called 'hinge'"):
        import_model(made, loss="hinge")


def test_images_are_held_to_the_networks_rules(rng: np.random.Generator) -> None:
    net: Any = import_model(lenet(rng).SerializeToString())
    with pytest.raises(DataError, match="sample 0 contains NaN"):
        net.predict(np.full((1, 1, 12, 12), np.nan, np.float32))
