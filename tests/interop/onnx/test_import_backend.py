"""ONNX's backend interface, and the operators in NumPy where their meaning changed from opset to opset."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx_models import expected, lenet, model, node, normal

from pellucid.errors import DataError, ModelFileError
from pellucid.interop.onnx import backend

RNG = np.random.default_rng


def test_a_network_is_run_as_one() -> None:
    made = lenet(RNG(0), end="Softmax")
    prepared = backend.prepare(made)
    x = normal(RNG(1), 3, 1, 12, 12)
    for inputs in ([x], {"x": x}):
        (found,) = prepared.run(inputs)
        np.testing.assert_allclose(found, expected(made, x), rtol=1e-5, atol=1e-6)
    assert (prepared.ran_as, prepared.reason) == ("network", None)


def test_what_is_no_network_runs_operator_by_operator() -> None:
    made = model([node("Add", "x z", "y")], shape=(2, 3), more_inputs=(("z", (3,)),))
    prepared = backend.prepare(made)
    (found,) = prepared.run([np.float32([[1, 2, 3], [4, 5, 6]]), np.float32([10, 20, 30])])
    assert found.tolist() == [[11, 22, 33], [14, 25, 36]]
    assert prepared.ran_as == "operators"
    assert "adds a constant" in str(prepared.reason)


def test_inputs_that_are_not_the_models() -> None:
    prepared = backend.prepare(lenet(RNG(0)))
    for wrong in ([], [1, 2], {"z": 1}):
        with pytest.raises(DataError, match="the model takes x; give it an array for each"):
            prepared.run(wrong)
    with pytest.raises(ModelFileError, match=r"Conv '/conv1/Conv': its input has shape \(1, 2\)"):
        prepared.run([np.zeros((1, 2), np.float32)])


def test_the_other_doors() -> None:
    made = model([node("Relu", "x", "y")], shape=(1, 2))
    (found,) = backend.run_model(made, [np.float32([[-1, 2]])])
    assert found.tolist() == [[0, 2]]
    assert backend.supports_device("CPU")
    assert not backend.supports_device("CUDA")
    with pytest.raises(NotImplementedError, match="put the node into a model, which names the opset"):
        backend.PellucidBackend.run_node(made.graph.node[0], [])


@pytest.mark.parametrize(
    ("opset", "nodes", "weights", "shape"),
    [
        # before opset 13 a softmax runs over all axes from its own on
        (12, [node("Softmax", "x", "y")], {}, (2, 3, 4)),
        (11, [node("Softmax", "x", "y", axis=-1)], {}, (2, 3, 4)),
        (11, [node("Softmax", "x", "y", axis=2)], {}, (2, 3, 4, 2)),
        (13, [node("Softmax", "x", "y", axis=1)], {}, (2, 3, 4, 2)),
        (7, [node("Pad", "x", "y", pads=[1, 0, 2, 0, 1, 0], value=2.5)], {}, (2, 3, 4)),
        (18, [node("Pad", "x p - a", "y")], {"p": np.array([1, 2]), "a": np.array([-2])}, (2, 3, 4)),
        (13, [node("Pad", "x p", "y", mode="edge")], {"p": np.array([0, 1, 0, 0, 0, 2])}, (2, 3, 4)),
        (13, [node("Pad", "x p", "y")], {"p": np.array([0, -1, 1, 0, 0, -2])}, (2, 3, 4)),
        (9, [node("Gemm", "x w b", "y", transA=1, alpha=2.0)], {"w": np.ones((2, 4)), "b": np.ones((3, 1))}, (2, 3)),
        (14, [node("Reshape", "x t", "y", allowzero=1)], {"t": np.array([4, 3, 2])}, (2, 3, 4)),
        (12, [node("MaxPool", "x", "y", kernel_shape=[2, 2, 2], ceil_mode=1, strides=[2, 1, 3])], {}, (1, 2, 5, 4, 6)),
        (19, [node("AveragePool", "x", "y", kernel_shape=[2, 2, 2], pads=[1, 0, 1, 0, 1, 1])], {}, (1, 2, 5, 4, 6)),
        (11, [node("Conv", "x w", "y", group=2)], {"w": np.ones((4, 1, 2, 2, 2))}, (1, 2, 5, 4, 6)),
    ],
)
def test_older_forms_give_onnxruntimes_numbers(
    opset: int, nodes: list[Any], weights: dict[str, np.ndarray], shape: tuple[int, ...]
) -> None:
    cast = {name: w.astype(np.float32) if w.dtype == np.float64 else w for name, w in weights.items()}
    made = model(nodes, cast, shape, opset=opset)
    x = normal(RNG(2), *shape)
    (found,) = backend.prepare(made).run([x])
    np.testing.assert_allclose(found, expected(made, x), rtol=1e-5, atol=1e-6)


def test_where_the_largest_pixels_lie() -> None:
    nodes = [node("MaxPool", "x", "m y", kernel_shape=[2, 3], strides=[1, 2], pads=[0, 1, 1, 1])]
    made = model(nodes, {}, (2, 3, 4, 5))
    made.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    x = normal(RNG(8), 2, 3, 4, 5)
    (found,) = backend.prepare(made).run([x])
    np.testing.assert_array_equal(found, expected(made, x))


def test_an_even_neighbourhood_reaches_further_up() -> None:
    x = normal(RNG(7), 2, 5, 3, 2)
    prepared = backend.prepare(model([node("LRN", "x", "y", size=4, alpha=0.5, beta=0.6, bias=2.0)], {}, (2, 5, 3, 2)))
    (found,) = prepared.run([x])
    assert "size is 4; it should be odd" in str(prepared.reason)
    for c in range(5):
        s = 2 + 0.5 / 4 * sum(x[:, i] ** 2 for i in range(c - 1, c + 3) if 0 <= i < 5)
        np.testing.assert_allclose(found[:, c], x[:, c] / s**0.6, rtol=1e-5)


def test_sums_of_opset_6_say_where_they_broadcast() -> None:
    x, z = normal(RNG(3), 2, 3, 4), np.float32([1, 2, 3])
    made = model([node("Add", "x z", "y", broadcast=1, axis=1)], shape=(2, 3, 4), more_inputs=(("z", (3,)),), opset=6)
    (found,) = backend.prepare(made).run([x, z])
    np.testing.assert_allclose(found, x + z[:, None], rtol=1e-6)
    weights = {"w": normal(RNG(4), 3, 2, 1, 1), "z": z}
    biased = model([node("Conv", "x w", "c"), node("Add", "c z", "y", broadcast=1, axis=1)], weights, opset=6)
    x = normal(RNG(5), 2, 2, 6, 7)
    prepared = backend.prepare(biased)
    (found,) = prepared.run([x])
    assert prepared.ran_as == "network"
    wanted = np.einsum("tcuv,fc->tfuv", x, weights["w"][:, :, 0, 0]) + z[:, None, None]
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


def test_opset_6_trains_unless_it_says_that_it_tests() -> None:
    statistics = {name: np.float32([2.0, 3.0]) for name in "sbmv"}
    x = normal(RNG(6), 4, 2)
    nodes = [node("BatchNormalization", "x s b m v", "y")]
    prepared = backend.prepare(model(nodes, statistics, ("N", 2), opset=6))
    (found,) = prepared.run([x])
    wanted = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5) * statistics["s"] + statistics["b"]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert "is in training mode" in str(prepared.reason)
    with pytest.raises(ModelFileError, match="trains, and gives what chance will have it"):
        backend.prepare(model([node("Dropout", "x", "y")], {}, ("N", 2), opset=6)).run([x])


def test_statistics_before_opset_14_are_trainings() -> None:
    nodes = [node("BatchNormalization", "x s b m v", "y mean")]
    made = model(nodes, {name: np.float32([1.0]) for name in "sbmv"}, ("N", 1), opset=9, outputs=("y", "mean"))
    with pytest.raises(ModelFileError, match="gives statistics, which before opset 14 only training does"):
        backend.prepare(made).run([np.ones((2, 1), np.float32)])


def test_tensors_in_every_form() -> None:
    forms = {
        TensorProto.FLOAT: [1.0, -2.5], TensorProto.DOUBLE: [1.0, -2.5], TensorProto.FLOAT16: [1.0, -2.5],
        TensorProto.INT64: [1, -2], TensorProto.INT32: [1, -2], TensorProto.INT16: [1, -2], TensorProto.INT8: [1, -2],
        TensorProto.UINT8: [1, 255], TensorProto.UINT16: [1, 65535], TensorProto.UINT32: [1, 2**32 - 1],
        TensorProto.UINT64: [1, 2**64 - 1], TensorProto.BOOL: [True, False],
    }  # fmt: skip
    for kind, values in forms.items():
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        for raw in (False, True):
            held = np.array(values, dtype).tobytes() if raw else values
            constant = node("Constant", "", "y", value=helper.make_tensor("t", kind, [2], held, raw=raw))
            made = model([constant], dtype=kind)
            (found,) = backend.prepare(made).run([np.zeros((1, 2, 6, 7), dtype)])
            assert (found.dtype, found.tolist()) == (dtype, values), TensorProto.DataType.Name(kind)
