"""What cannot be imported is refused in words that name the node and say why."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import Weights, lenet, model, node

from pellucid.errors import MissingExtraError, ModelFileError
from pellucid.interop.onnx import import_model


def weights(**shapes: tuple[int, ...]) -> Weights:
    return {name: np.ones(shape, np.float32) for name, shape in shapes.items()}


def test_all_unknown_operators_are_named_at_once() -> None:
    nodes = [
        node("Relu", "x", "a"),
        node("Softplus", "a", "b", "soft"),
        node("GRU", "b w", "c"),
        node("Softplus", "c", "d", "softer"),
        node("FusedConv", "d", "y", "fast", domain="com.microsoft"),
    ]
    message = (
        r"the ONNX model: has operators that cannot be imported: Softplus \(soft, softer\); "
        r"GRU \(the one that gives c\); com.microsoft.FusedConv \(fast\)\. Those that can are Add, AveragePool, "
    )
    with pytest.raises(ModelFileError, match=message):
        import_model(model(nodes, weights(w=(1,))).SerializeToString())


@pytest.mark.parametrize(
    ("opset", "message"),
    [
        (5, "is of opset 5; opsets 6 to 28 are known. Export it again, or convert it with onnx.version_converter"),
        (29, "is of opset 29; opsets 6 to 28"),
        (2**62, "is of opset 4611686018427387904; opsets"),
    ],
)
def test_opsets_that_are_not_known(opset: int, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        import_model(model([node("Relu", "x", "y")], opset=opset).SerializeToString())


def test_no_opset_and_two() -> None:
    made = lenet(np.random.default_rng(0))
    made.opset_import.append(helper.make_opsetid("ai.onnx", 12))
    with pytest.raises(
        ModelFileError, match=r"should name one version of ONNX's operators \(opset\), and names 12, 18"
    ):
        import_model(made.SerializeToString())
    del made.opset_import[:]
    with pytest.raises(ModelFileError, match="and names none"):
        import_model(made.SerializeToString())


def test_another_domain_is_no_harm() -> None:
    made = lenet(np.random.default_rng(0))
    made.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    assert import_model(made.SerializeToString()).output_shape == (4,)


CONV = weights(w=(4, 2, 3, 3))
REFUSED: list[tuple[list[Any], Weights, str]] = [
    # the graph
    ([node("Relu", "q", "y")], {}, "the Relu that gives 'y': reads 'q', which nothing in the model gives"),
    ([node("Relu", "x", "z")], {}, "its output 'y' comes from nowhere: no node gives it"),
    ([node("Relu", "x", "y", "r"), node("Tanh", "x", "y")], {}, "gives 'y' more than once; every value has a name"),
    ([node("Relu", "x", "x")], {}, "gives 'x' more than once"),
    ([node("Relu", "x", "w"), node("Tanh", "w", "y")], weights(w=(1,)), "gives 'w' more than once"),
    (
        [node("Add", "x c", "a", "first"), node("Relu", "a", "b"), node("Tanh", "b", "c"), node("Relu", "c", "y")],
        {},
        "its graph has a cycle, so that it cannot run: .*Add 'first' → the Relu that gives 'b'",
    ),
    ([node("Relu", "x", "-")], {}, "Relu '' gives nothing"),
    ([node("Identity", "x", "y")], {}, "its output 'y' is not computed from its input, so there is nothing to make"),
    ([node("Relu", "w", "y")], weights(w=(1,)), "its output 'y' is not computed from its input"),
    # attributes and inputs
    ([node("Relu", "x", "y", alpha=1.0)], {}, "its attribute 'alpha' is unknown, .* of the wrong type; opset 18"),
    ([node("Elu", "x", "y", alpha=1)], {}, "its attribute 'alpha' is unknown, given twice, or of the wrong type"),
    ([node("MaxPool", "x", "y")], {}, "lacks its attribute 'kernel_shape'"),
    ([node("Relu", "x x", "y")], {}, "has 2 inputs and 1 outputs, which it cannot have"),
    ([node("Conv", "x -", "y")], {}, "leaves out an input that it needs"),
    ([node("Concat", "x -", "y", axis=1)], {}, "leaves out an input that it needs"),
    ([node("Constant", "", "c"), node("Add", "x c", "y")], {}, "should have one value, and has 0"),
    # windows
    ([node("Conv", "x w", "y", pads=[1])], CONV, r"pads should be 4 whole numbers of at least 0, got \[1\]"),
    ([node("Conv", "x w", "y", pads=[1, 1, 1, -1])], CONV, r"pads should be .*, got \[1, 1, 1, -1\]"),
    ([node("Conv", "x w", "y", strides=[0, 1])], CONV, "strides should be 2 whole numbers of at least 1"),
    ([node("Conv", "x w", "y", auto_pad="SAME")], CONV, "auto_pad is 'SAME'; there are NOTSET, VALID, SAME_UPPER"),
    ([node("Conv", "x w", "y", auto_pad="VALID", pads=[1] * 4)], CONV, r"has pads \[1, .* and auto_pad VALID at once"),
    ([node("Conv", "x w", "y", dilations=[4, 1])], CONV, r"its window spans 9 pixels, more than .* 0 \+ 6 \+ 0"),
    ([node("Conv", "x w", "y", group=2)], CONV, r"weights have shape \(4, 2, 3, 3\), .* group is 2: this does"),
    ([node("Conv", "x w", "y", kernel_shape=[2, 2])], CONV, r"its kernel_shape is \[2, 2\]"),
    ([node("Conv", "x w b", "y")], CONV | weights(b=(3,)), r"its bias has shape \(3,\); it gives 4 outputs"),
    ([node("Relu", "x", "r"), node("Conv", "x r", "y")], {}, "its input 'r' is computed from the network's"),
    ([node("Conv", "w x", "y")], CONV, "its input 'w' is a constant; a network takes the sample there"),
    ([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[2, 0, 0, 0])], {}, "its windows may hold padding only"),
    ([node("MaxPool", "x", "a b", kernel_shape=[2, 2]), node("Add", "a b", "y")], {}, "its output 'b' is used"),
    ([node("Flatten", "x", "f"), node("GlobalMaxPool", "f", "y")], {}, "pools vectors; it takes maps"),
    ([node("LpPool", "x", "y", kernel_shape=[2, 2], p=0)], {}, r"LPPool2d\(2, .*norm_type must be a finite number"),
    # what samples cannot do
    ([node("Flatten", "x", "y", axis=2)], {}, "flattens at another axis than 1, and so into the batch"),
    ([node("Reshape", "x t", "y")], {"t": np.array([-1, 14])}, r"reshapes .* \(2, 6, 7\) to \[-1, 14\]; only"),
    ([node("Reshape", "x t", "y")], {"t": np.array([5, 17])}, "cannot reshape"),
    ([node("Concat", "x x", "y", axis=0)], {}, "joins along another axis than the channels"),
    ([node("Concat", "x x", "y", axis=7)], {}, "axis 7 is not one of the 4 axes of its input"),
    ([node("Softmax", "x", "y")], {}, r"runs over other entries of \(2, 6, 7\) than the channels"),
    ([node("Add", "x w", "y")], weights(w=(1,)), "adds a constant; that has a layer only as a bias"),
    ([node("Conv", "x w", "c"), node("Add", "c b", "y")], CONV | weights(b=(4, 5)), "adds a constant; that has"),
    ([node("Conv", "x w", "c"), node("Add", "c b", "y")], CONV | weights(b=(4, 1)), "adds a constant; that has"),
    ([node("Conv", "x w", "c"), node("Add", "c b", "y")], CONV | weights(b=(4,)), "adds a constant; that has"),
    ([node("Flatten", "x", "f"), node("Gemm", "f w", "y", transA=1)], weights(w=(84, 2)), "transA turns the batch"),
    ([node("Flatten", "x", "f"), node("Gemm", "f w", "y")], weights(w=(83, 2)), r"multiplies \(N, 84\) by \(83, 2\)"),
    ([node("Flatten", "x", "f"), node("Gemm", "f w b", "y")], weights(w=(84, 2), b=(3, 2)), "not the same to every"),
    ([node("MatMul", "x w", "y")], weights(w=(7, 2)), r"multiplies \(N, 2, 6, 7\) by \(7, 2\); a layer takes vectors"),
    ([node("Dropout", "x r t", "y")], {"r": np.array(0.5), "t": np.array(True)}, "is in training mode"),
    ([node("LRN", "x", "y", size=4)], {}, "size is 4; it should be odd"),
    ([node("Pad", "x p", "y", mode="reflect")], {"p": np.array([0, 0, 1, 1] * 2)}, "mode is 'reflect'"),
    ([node("Pad", "x p", "y")], {"p": np.array([0, 0, -1, 0] * 2)}, "layers pad with a constant, and cut nothing off"),
    ([node("Pad", "x p", "y")], {"p": np.array([0, 1, 0, 0] * 2)}, "pads the batch, or channels otherwise"),
    ([node("Pad", "x p", "y")], {"p": np.array([1, 2])}, "has 2 pads for 4 axes; there should be two for each"),
    (
        [node("BatchNormalization", "x s b m v", "y", training_mode=1)],
        weights(s=(2,), b=(2,), m=(2,), v=(2,)),
        "is in training mode, with the statistics of each batch; export the model for inference",
    ),
    (
        [node("BatchNormalization", "x s b m v", "y")],
        weights(s=(2,), b=(2,), m=(3,), v=(2,)),
        r"its statistics have shapes \[\(2,\), \(3,\)\], its input \(N, \(2, 6, 7\)\)",
    ),
    ([node("Conv", "x w", "y")], {"w": np.full((1, 2, 3, 3), np.nan, np.float32)}, "'conv1.weight': the new values"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "tensors", "message"), REFUSED)
def test_forms_that_no_layer_has(nodes: list[Any], tensors: Weights, message: str) -> None:
    with pytest.raises(ModelFileError, match=message):
        import_model(model(nodes, tensors).SerializeToString(), engine="reference")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shape": ("N", 3)}, r"its input 'x' has the shape \[None, 3\], which is not input_shape \(4, 5\)"),
        ({"shape": (1, 2, 3, 4, 5)}, r"has the shape \[1, 2, 3, 4, 5\]; a network takes \(N, C, H, W\), \(N, C, L\)"),
        ({"shape": (3,)}, r"has the shape \[3\]; a network takes"),
        ({"shape": ("N", 3, "H", "W")}, "which leaves the sizes open; give input_shape, such as"),
        ({"shape": ("N", 3, 0, 4)}, "which leaves the sizes open"),
        ({"dtype": TensorProto.INT8}, "is of type int8; a network takes float32, float64, or uint8 as pixels"),
        ({"dtype": TensorProto.BFLOAT16}, "its input 'x' is of type None; a network takes float32"),
        ({"more_inputs": (("z", (1,)),)}, "takes x, z and gives y; a network takes one input and gives one output"),
        ({"outputs": ("y", "x")}, "takes x and gives y, x; a network takes one input"),
    ],
)  # fmt: skip
def test_inputs_and_outputs_that_no_network_has(settings: dict[str, Any], message: str) -> None:
    size = {"input_shape": (4, 5)} if settings.get("shape") == ("N", 3) else {}
    with pytest.raises(ModelFileError, match=message):
        import_model(model([node("Relu", "x", "y")], **settings).SerializeToString(), **size)


def test_a_constant_that_other_nodes_stand_before() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Add", "c b", "a"), node("Add", "a r", "y")]
    with pytest.raises(ModelFileError, match="the Add that gives 'a': adds a constant"):
        import_model(model(nodes, CONV | weights(b=(4, 1, 1))).SerializeToString())


def test_without_the_package_onnx(monkeypatch: pytest.MonkeyPatch) -> None:
    data = lenet(np.random.default_rng(0)).SerializeToString()
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r'ONNX models need the package onnx.*pip install "pellucid\[onnx\]"'):
        import_model(data)
    monkeypatch.setitem(sys.modules, "onnx.backend.base", None)
    monkeypatch.delitem(sys.modules, "pellucid.interop.onnx.backend", raising=False)
    with pytest.raises(MissingExtraError, match="the ONNX backend needs onnx"):
        importlib.import_module("pellucid.interop.onnx.backend")
