"""What stands before the first layer of a model: bytes and a mean, which a network has too."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx_models import Weights, expected, model, node, normal
from onnx_run import run

from pellucid import Network
from pellucid.errors import ModelFileError
from pellucid.interop.onnx import export_bytes, import_model
from pellucid.interop.onnx.backend import prepare
from pellucid.layers import Conv2d, Flatten, Linear
from pellucid.losses import CrossEntropy, SquaredError

MEAN = np.random.default_rng(1).random((2, 6, 7)).astype(np.float32)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def classifier(mean: Any, **settings: Any) -> Network:
    return Network([Conv2d(3, 3), Flatten(), Linear(4)], (2, 6, 7), input_mean=mean, **settings)


@pytest.mark.parametrize("activation", [True, False])
@pytest.mark.parametrize("pixels", [True, False])
@pytest.mark.parametrize("mean", [None, [0.4, 0.2], MEAN], ids=["none", "channel", "pixel"])
def test_our_own_exports_come_back(rng: np.random.Generator, mean: Any, pixels: bool, activation: bool) -> None:
    net = classifier(mean)
    data = export_bytes(net, pixels=pixels, activation=activation)
    loss = None if activation or mean is not None else "cross_entropy"
    back = import_model(data, loss=loss)
    x = rng.integers(0, 256, (3, 2, 6, 7), np.uint8) if pixels else normal(rng, 3, 2, 6, 7)
    assert [type(entry.layer) for entry in back.graph.nodes] == [Conv2d, Flatten, Linear]
    assert back.loss == CrossEntropy()
    if mean is None:
        assert back.input_mean is None
    else:
        np.testing.assert_array_equal(back.input_mean, net.input_mean)
    found = back.predict(x) if activation else back.forward(x)
    np.testing.assert_allclose(found, run(data, x), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(back.predict(x), net.predict(x), rtol=1e-5, atol=1e-6)


def test_bytes_may_become_doubles(rng: np.random.Generator) -> None:
    net = classifier([0.4, 0.2], dtype="float64")
    back = import_model(export_bytes(net, pixels=True, dtype="float64"))
    pixels = rng.integers(0, 256, (3, 2, 6, 7), np.uint8)
    assert back.dtype == np.float64
    np.testing.assert_allclose(back.predict(pixels), net.predict(pixels), rtol=1e-13)


def test_it_trains_on_with_its_mean(rng: np.random.Generator) -> None:
    back = import_model(export_bytes(classifier(MEAN)))
    back.fit(normal(rng, 8, 2, 6, 7), np.arange(8) % 4, epochs=1, verbose=0)
    np.testing.assert_array_equal(back.input_mean, MEAN)


@pytest.mark.parametrize(
    ("taken", "mean"),
    [
        (np.float32(0.25), np.full((2, 1, 1), 0.25)),
        (np.array([0.25], np.float32), np.full((2, 1, 1), 0.25)),
        (np.array([0.25, -2], np.float32).reshape(1, 2, 1, 1), [[[0.25]], [[-2]]]),
        (MEAN[:, :1], np.repeat(MEAN[:, :1], 6, axis=1)),
        (MEAN[0, 0], np.broadcast_to(MEAN[0, 0], (2, 6, 7))),
        (MEAN[None], MEAN),
    ],
    ids=["number", "one", "channels", "row", "last row", "pixels"],
)
def test_what_is_taken_off_is_spread_as_onnx_spreads_it(rng: np.random.Generator, taken: Any, mean: Any) -> None:
    nodes = [node("Sub", "x m", "s"), node("Conv", "s w", "c"), node("Flatten", "c", "y")]
    made = model(nodes, {"m": np.asarray(taken), "w": normal(rng, 3, 2, 3, 3)})
    net, x = import_model(made.SerializeToString()), normal(rng, 3, 2, 6, 7)
    np.testing.assert_array_equal(net.input_mean, mean)
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-5, atol=1e-5)


def test_of_sequences_and_vectors(rng: np.random.Generator) -> None:
    nodes = [node("Sub", "x m", "s"), node("Conv", "s w", "c"), node("Flatten", "c", "y")]
    made = model(nodes, {"m": normal(rng, 3, 20), "w": normal(rng, 4, 3, 5)}, ("N", 3, 20))
    x = normal(rng, 6, 3, 20)
    found = import_model(made.SerializeToString()).forward(x[:, :, None])
    np.testing.assert_allclose(found, expected(made, x), rtol=1e-5, atol=1e-5)
    made = model(
        [node("Sub", "x m", "s"), node("Gemm", "s w", "y")], {"m": normal(rng, 5), "w": normal(rng, 5, 2)}, ("N", 5)
    )
    np.testing.assert_allclose(
        import_model(made.SerializeToString()).forward(x[:, 0, :5]), expected(made, x[:, 0, :5]), rtol=1e-5, atol=1e-5
    )


def test_before_opset_7_axis_says_where_it_belongs(rng: np.random.Generator) -> None:
    nodes = [node("Sub", "x m", "s", axis=1, broadcast=1), node("Flatten", "s", "y")]
    net = import_model(model(nodes, {"m": np.array([1, 2], np.float32)}, opset=6).SerializeToString())
    x = normal(rng, 2, 2, 6, 7)
    wanted = x - np.array([1, 2], np.float32)[:, None, None]
    np.testing.assert_array_equal(net.forward(x), wanted.reshape(2, -1))


def test_a_model_that_ends_in_identity_is_a_regression_only_without_a_mean(rng: np.random.Generator) -> None:
    nodes = [node("Sub", "x m", "s"), node("Gemm", "s w", "g"), node("Identity", "g", "y")]
    made = model(nodes, {"m": normal(rng, 3), "w": normal(rng, 3, 3)}, ("N", 3))
    bare = model([node("Gemm", "x w", "g"), nodes[2]], {"w": normal(rng, 3, 3)}, ("N", 3))
    x = normal(rng, 4, 3)
    net = import_model(made.SerializeToString())
    assert (net.loss, import_model(bare.SerializeToString()).loss) == (CrossEntropy(), SquaredError())
    np.testing.assert_allclose(net.forward(x), expected(made, x), rtol=1e-5, atol=1e-5)


BYTES = (
    "of type uint8, which a network divides by 255: the model must begin with a Cast to float32 or float64 and a Div"
)
ELSEWHERE = (
    "has no layer; right behind its input a network divides bytes by 255 and takes a constant off, and that is all"
)


@pytest.mark.parametrize(
    ("nodes", "tensors", "dtype", "message"),
    [
        ([node("Relu", "x", "y")], {}, "uint8", BYTES),
        ([node("Cast", "x", "c", to=TensorProto.FLOAT), node("Relu", "c", "y")], {}, "uint8", BYTES),
        ([node("Cast", "x", "c", to=TensorProto.INT32), node("Div", "c m", "y")], {"m": 255}, "uint8", BYTES),
        ([node("Cast", "x", "c", to=TensorProto.FLOAT), node("Div", "c m", "y")], {"m": 256.0}, "uint8", BYTES),
        ([node("Cast", "x", "c", to=TensorProto.FLOAT), node("Div", "m c", "y")], {"m": 255.0}, "uint8", BYTES),
        ([node("Div", "x m", "d"), node("Relu", "d", "y")], {"m": 255.0}, "float32", ELSEWHERE),
        ([node("Sub", "m x", "d"), node("Relu", "d", "y")], {"m": 1.0}, "float32", ELSEWHERE),
        ([node("Relu", "x", "r"), node("Sub", "r m", "y")], {"m": 1.0}, "float32", ELSEWHERE),
        ([node("Sub", "x m", "s"), node("Sub", "s m", "y")], {"m": 1.0}, "float32", ELSEWHERE),
        ([node("Sub", "x x", "y")], {}, "float32", ELSEWHERE),
        ([node("Sub", "x m", "s"), node("Add", "x s", "y")], {"m": 1.0}, "float32", ELSEWHERE),
        ([node("Sub", "x m", "y")], {"m": 1.0}, "float32", "is not computed from its input, so there is nothing"),
        ([node("Sub", "x m", "s"), node("Relu", "s", "y")], {"m": np.nan}, "float32", "input_mean contains NaN"),
        (
            [node("Sub", "x m", "s"), node("Relu", "s", "y")],
            {"m": np.ones((3, 2, 1, 1))},
            "float32",
            r"takes an array of shape \(3, 2, 1, 1\) off samples of shape \(2, 6, 7\); a network has one",
        ),
        ([node("Sub", "x m", "s"), node("Relu", "s", "y")], {"m": np.ones(5)}, "float32", r"of shape \(5,\) off"),
        (
            [node("Cast", "m", "c", to=TensorProto.FLOAT), node("Conv", "x c", "y")],
            {"m": np.ones((1, 2, 3, 3))},
            "float32",
            "the Cast that gives 'c': is known right behind a network's input only",
        ),
    ],
)  # fmt: skip
def test_what_no_network_does_with_its_input(nodes: list[Any], tensors: Any, dtype: str, message: str) -> None:
    weights: Weights = {name: np.asarray(value, np.float32) for name, value in tensors.items()}
    code = TensorProto.UINT8 if dtype == "uint8" else TensorProto.FLOAT
    with pytest.raises(ModelFileError, match=message):
        import_model(model(nodes, weights, dtype=code).SerializeToString(), engine="reference")


def test_the_backend_runs_our_exports_as_networks(rng: np.random.Generator) -> None:
    data = export_bytes(classifier(MEAN), pixels=True)
    prepared, pixels = prepare(onnx.load_from_string(data)), rng.integers(0, 256, (3, 2, 6, 7), np.uint8)
    np.testing.assert_allclose(prepared.run([pixels])[0], run(data, pixels), rtol=1e-5, atol=1e-6)
    assert prepared.ran_as == "network"
