"""What an exported model takes and gives, its file, and what cannot be exported."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator
from onnx_run import assert_same, attributes, constants, disturb, kinds, run

from pellucid import Network
from pellucid.errors import ConfigError, ExportError, FileWriteError, MissingExtraError
from pellucid.interop.onnx import Place, export_bytes, export_model, exporter, onnx_form
from pellucid.layers import Conv2d, Flatten, Layer, LeakyReLU, Linear, MaxPool2d, ReLU
from pellucid.losses import LogLoss, SquaredError

X = np.random.default_rng(0).normal(size=(5, 2, 6, 6)).astype(np.float32)


def small(loss: Any = "cross_entropy", **settings: Any) -> Network:
    layers = [Conv2d(3, 3, name="conv"), ReLU(), MaxPool2d(2), Flatten(), Linear(4, name="fc")]
    return disturb(Network(layers, (2, 6, 6), loss=loss, **settings))


def message(network: Network, **settings: Any) -> str:
    with pytest.raises(ExportError) as caught:
        export_bytes(network, **settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("loss", "last"), [("cross_entropy", "Softmax"), ("log_loss", "Sigmoid"), ("squared_error", "Identity")]
)
def test_it_computes_what_predict_gives_or_what_forward_gives(loss: str, last: str) -> None:
    net = small(loss)
    with_activation, without = export_bytes(net), export_bytes(net, activation=False)
    np.testing.assert_allclose(run(with_activation, X), net.predict(X), rtol=0, atol=1e-6)
    np.testing.assert_allclose(run(without, X), net.forward(X), rtol=0, atol=1e-5)
    layers = ["Conv", "Relu", "MaxPool", "Flatten", "Gemm"]
    assert (kinds(with_activation), kinds(without)) == ([*layers, last], [*layers, "Identity"])


def test_what_goes_in_and_what_comes_out() -> None:
    model = onnx.load_from_string(export_bytes(small()))
    assert (model.ir_version, model.opset_import[0].version, model.producer_name) == (8, 18, "pellucid")
    tensors = {value.name: value.type.tensor_type for value in (*model.graph.input, *model.graph.output)}
    shapes = {name: [d.dim_param or d.dim_value for d in tensor.shape.dim] for name, tensor in tensors.items()}
    assert shapes == {"input": ["N", 2, 6, 6], "output": ["N", 4]}
    assert {tensor.elem_type for tensor in tensors.values()} == {onnx.TensorProto.FLOAT}


def test_any_number_of_samples() -> None:
    net = small()
    data = export_bytes(net)
    for n in (1, 2, 5):
        np.testing.assert_allclose(run(data, X[:n]), net.predict(X[:n]), rtol=0, atol=1e-6)


def test_bytes_become_numbers_inside() -> None:
    net = small(input_mean=[0.4, 0.2])
    pixels = np.random.default_rng(1).integers(0, 256, (3, 2, 6, 6), np.uint8)
    data = export_bytes(net, pixels=True)
    assert kinds(data)[:3] == ["Cast", "Div", "Sub"]
    np.testing.assert_allclose(run(data, pixels), net.predict(pixels), rtol=0, atol=1e-6)
    np.testing.assert_allclose(
        run(export_bytes(net), pixels.astype(np.float32) / 255), net.predict(pixels), rtol=0, atol=1e-6
    )
    with pytest.raises(Exception, match="expected: \\(tensor\\(uint8\\)\\)"):
        run(data, X)


@pytest.mark.parametrize("mean", [[1.0, -2.0], X[0], None])
def test_the_mean_is_taken_off(mean: Any) -> None:
    net = small(input_mean=mean)
    data = assert_same(net, X)
    assert kinds(data).count("Sub") == (mean is not None)
    if mean is not None:
        np.testing.assert_array_equal(constants(data)["input.mean"], net.input_mean)


def test_a_vector_goes_in() -> None:
    net = disturb(Network([Linear(5), LeakyReLU(0.2), Linear(2)], (3,), input_mean=np.array([1.0, 2.0, 3.0])))
    assert_same(net, np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32))


def test_float64_weights_are_rounded_unless_asked_for() -> None:
    net = small(dtype="float64", input_mean=[1.0, -2.0])
    assert constants(assert_same(net, X))["fc.weight"].dtype == np.float32
    data = export_bytes(net, dtype="float64")
    assert {value.dtype.name for value in constants(data).values()} == {"float64"}
    (found,) = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"input": X.astype(np.float64)})
    np.testing.assert_allclose(found, net.predict(X.astype(np.float64)), rtol=1e-12)
    pixels = np.random.default_rng(1).integers(0, 256, (3, 2, 6, 6), np.uint8)
    data = export_bytes(net, dtype="float64", pixels=True)
    (found,) = ReferenceEvaluator(onnx.load_from_string(data)).run(None, {"input": pixels})
    np.testing.assert_allclose(found, net.predict(pixels), rtol=1e-12)


def test_names_are_the_networks() -> None:
    net = Network([Conv2d(2, 1, name="output"), ReLU(name="a/b ü"), Flatten(), Linear(2)], (1, 2, 2))
    data = assert_same(net, np.random.default_rng(3).normal(size=(2, 1, 2, 2)).astype(np.float32))
    np.testing.assert_array_equal(constants(data)["output.weight"], net.parameters["output.weight"])
    assert [node.name for node in onnx.load_from_string(data).graph.node] == [
        "output/Conv", "a/b ü/Relu", "2/Flatten", "3/Gemm", "output",
    ]  # fmt: skip


def test_whole_numbers_where_onnx_wants_real_ones() -> None:
    data = export_bytes(Network([Linear(2), LeakyReLU(1)], (3,)))
    assert (attributes(data, "LeakyRelu")["alpha"], type(attributes(data, "LeakyRelu")["alpha"])) == (1.0, float)


def test_the_same_network_gives_the_same_file(tmp_path: Path) -> None:
    net = small()
    export_model(net, tmp_path / "a.onnx", activation=False, pixels=True)
    export_model(net, str(tmp_path / "b.onnx"), activation=False, pixels=True)
    a, b = ((tmp_path / name).read_bytes() for name in ("a.onnx", "b.onnx"))
    assert a == b == export_bytes(net, activation=False, pixels=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.onnx", "b.onnx"]


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(FileWriteError, match="there is no folder"):
        export_model(small(), tmp_path / "nowhere" / "a.onnx")


def test_a_failed_export_leaves_the_file_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"old")
    net = small()
    size = sum(value.nbytes for value in net.parameters.values())
    monkeypatch.setattr(exporter, "LARGEST", size)
    export_bytes(net)
    monkeypatch.setattr(exporter, "LARGEST", size - 1)
    with pytest.raises(
        ExportError, match=r"the network's weights take 0\.00 GiB as float32; an ONNX file holds at most"
    ):
        export_model(net, path)
    assert path.read_bytes() == b"old"


def test_numbers_too_large_for_float32() -> None:
    net = Network([Linear(2, name="fc")], (2,), dtype="float64")
    net.parameters["fc.weight"] = [[1, 1e39], [0, 0]]
    assert message(net) == "'fc.weight' holds numbers too large for float32; export with dtype='float64'"
    assert constants(export_bytes(net, dtype="float64"))["fc.weight"][0, 1] == 1e39


def test_a_dtype_that_is_none() -> None:
    with pytest.raises(ConfigError, match="dtype must be 'float32' or 'float64', got 'float16'"):
        export_bytes(small(), dtype="float16")


def test_without_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'ONNX export needs the package onnx.*pip install "pellucid\[onnx\]"'):
        export_bytes(small())


def test_onnx_is_loaded_when_it_is_needed() -> None:
    script = "import sys, pellucid.interop.onnx; print('onnx' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


@dataclass(frozen=True)
class ScaledCube(Layer):
    """y = scale·x³."""

    scale: float = 1.0

    def output_shape(self, input_shape: tuple[int, ...]) -> tuple[int, ...]:
        return input_shape

    def forward(self, params: Any, x: np.ndarray, **_: Any) -> tuple[np.ndarray, Any]:
        return self.scale * x**3, x


@dataclass(frozen=True)
class TwiceTheConvolution(Conv2d):
    """Computes something else than what it descends from."""

    def forward(self, params: Any, x: np.ndarray, **_: Any) -> tuple[np.ndarray, Any]:
        y, saved = super().forward(params, x)
        return 2 * y, saved


@dataclass(frozen=True)
class SameConvolution(Conv2d):
    """Computes the same."""


def of(layer: Layer) -> Network:
    return Network([Linear(4), layer, Linear(2)], (3,), engine="reference")


def test_a_layer_without_a_form() -> None:
    assert message(of(ScaledCube(2.0))) == (
        "layer '1', ScaledCube(scale=2.0), has no ONNX form; tell which operators it is made of with "
        "@pellucid.interop.onnx.onnx_form(ScaledCube), see docs/onnx.md"
    )


def test_a_layer_that_computes_something_else_than_its_parent() -> None:
    net = Network([TwiceTheConvolution(2, 3, name="twice"), Flatten()], (1, 4, 4), engine="reference")
    assert message(net).startswith("layer 'twice', TwiceTheConvolution(2, 3, name='twice'), has no ONNX form;")
    same = disturb(Network([SameConvolution(2, 3), Flatten()], (1, 4, 4), engine="reference"))
    assert_same(same, np.random.default_rng(4).normal(size=(2, 1, 4, 4)).astype(np.float32))


@pytest.fixture
def forms(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget the forms that a test registers."""
    from pellucid.interop.onnx import exporter_layers

    monkeypatch.setattr(exporter_layers, "_FORMS", dict(exporter_layers._FORMS))


@pytest.mark.usefixtures("forms")
def test_a_form_of_ones_own() -> None:
    @onnx_form(ScaledCube)
    def cube(layer: ScaledCube, place: Place) -> str:
        (x,) = place.inputs
        assert place.input_shapes == ((4,),)
        power = place.add("Pow", x, place.constant("three", 3))
        return place.add("Mul", power, place.constant("scale", layer.scale))

    data = assert_same(of(ScaledCube(2.0)), np.random.default_rng(5).normal(size=(2, 3)).astype(np.float32))
    assert constants(data)["1.scale"] == 2.0


@pytest.mark.usefixtures("forms")
def test_a_form_that_is_nothing() -> None:
    onnx_form(ScaledCube)(lambda layer, place: place.inputs[0])
    net = Network([ScaledCube(), Linear(2)], (3,), engine="reference")
    np.testing.assert_allclose(
        run(export_bytes(net, activation=False), np.ones((1, 3), np.float32))[0],
        net.parameters["1.weight"].sum(axis=1), rtol=1e-6,
    )  # fmt: skip


@pytest.mark.usefixtures("forms")
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (lambda place, x: place.add("Cubed", x), "No Op registered for Cubed"),
        (lambda place, x: place.add("Elu", x, alpha=1), "Mismatched attribute type"),
        (lambda place, x: place.add("Concat", x, x, axis=1), "Inferred shape and existing shape differ in dimension 1"),
        (lambda place, x: place.add("Elu", x) + "_", "Nodes in a graph must be topologically sorted"),
    ],
)
def test_a_form_that_is_wrong(wrong: Callable[[Place, str], str], told: str) -> None:
    onnx_form(ScaledCube)(lambda layer, place: wrong(place, *place.inputs))
    with pytest.raises(ExportError, match=f"the ONNX form of one of the layers is not right: (.|\\n)*{told}"):
        export_bytes(of(ScaledCube()))


@dataclass(frozen=True)
class Tempered(LogLoss):
    """Has an activation of its own."""

    def activation(self, a: np.ndarray) -> np.ndarray:
        return super().activation(a / 2)


@dataclass(frozen=True)
class AbsoluteError(SquaredError):
    """Has its parent's."""

    def per_sample(self, a: np.ndarray, target: np.ndarray) -> np.ndarray:
        return np.abs(a - target).sum(axis=1)


def test_a_loss_of_ones_own() -> None:
    told = message(small(Tempered(), engine="reference"))
    assert told.startswith("the loss Tempered() has an activation of its own, which has no ONNX form; export with acti")
    assert_same(small(Tempered(), engine="reference"), X)
    assert kinds(export_bytes(small(AbsoluteError(), engine="reference")))[-1] == "Identity"


@pytest.mark.usefixtures("forms")
def test_the_page_about_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = Path(__file__).parents[3] / "docs/onnx.md"
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    monkeypatch.chdir(tmp_path)
    shown: dict[str, Any] = {"__name__": "page"}
    for block in blocks[:2]:
        exec(compile(block, page.name, "exec"), shown)
    x = np.random.default_rng(6).normal(size=(4, 3)).astype(np.float32)
    np.testing.assert_allclose(run(shown["model"], x), shown["net"].predict(x), rtol=1e-5)
