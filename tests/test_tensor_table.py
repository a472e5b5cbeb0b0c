from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from written_out import pixels, small

from pellucid import Network
from pellucid.errors import ShapeError
from pellucid.layers import BatchNorm2d, Concat, Conv2d, Flatten, Linear, ReLU, Residual


def test_parameters_are_named_in_layer_order_and_have_their_shapes() -> None:
    assert {name: value.shape for name, value in small().parameters.items()} == {
        "conv.weight": (2, 1, 3, 3),
        "conv.bias": (2,),
        "out.weight": (3, 8),
        "out.bias": (3,),
    }
    assert list(small().parameters) == ["conv.weight", "conv.bias", "out.weight", "out.bias"]
    assert len(small().parameters) == 4


def test_nested_names_join_with_dots() -> None:
    block = Residual([Conv2d(2, 3, padding=1, name="conv1"), ReLU()], Conv2d(2, 1), name="block")
    network = Network(
        [block, Concat([Conv2d(1, 1), [Conv2d(1, 1)]]), Flatten(), Linear(2)], (1, 4, 4), engine="reference"
    )
    assert [name for name in network.parameters if name.endswith("weight")] == [
        "block.conv1.weight",
        "block.shortcut.weight",
        "1.0.weight",
        "1.1.0.weight",
        "3.weight",
    ]


def test_an_assigned_array_is_copied_in() -> None:
    network = small()
    mine = np.full((3, 8), 0.5)
    network.parameters["out.weight"] = mine
    mine[:] = 99
    np.testing.assert_array_equal(network.parameters["out.weight"], np.full((3, 8), 0.5))


def test_several_are_assigned_at_once_and_in_the_dtype_of_the_network() -> None:
    network = small(dtype="float32")
    network.parameters = {"out.bias": [1, 2, 3], "conv.bias": np.array([0.1, 0.2])}
    assert network.parameters["out.bias"].tolist() == [1, 2, 3]
    assert network.parameters["conv.bias"].tolist() == [np.float32(0.1), np.float32(0.2)]
    assert network.parameters["conv.bias"].dtype == np.float32


def test_arithmetic_in_place_changes_the_network() -> None:
    network, before = small(), small().parameters["conv.bias"].copy()
    network.parameters["conv.bias"] += 2
    network.parameters["conv.bias"][1] *= 3
    np.testing.assert_allclose(network.parameters["conv.bias"], [before[0] + 2, (before[1] + 2) * 3], rtol=1e-15)


def test_assigned_parameters_are_used() -> None:
    network = small()
    network.parameters["out.weight"] = np.zeros((3, 8))
    network.parameters["out.bias"] = [1, 2, 3]
    assert network.forward(pixels()).tolist() == [[1, 2, 3]] * 3


def test_an_unknown_name_is_refused_with_the_names_there_are() -> None:
    for use in (lambda p: p["out.weigth"], lambda p: p.__setitem__("out.weigth", 0)):
        with pytest.raises(
            KeyError, match=r"no tensor called 'out.weigth'; there are conv.weight, conv.bias, out.weight"
        ):
            use(small().parameters)


@pytest.mark.parametrize("value", [0.0, np.zeros(8), np.zeros((8, 3)), np.zeros((1, 3, 8))], ids=np.shape)
def test_another_shape_is_refused_and_not_broadcast(value: Any) -> None:
    network = small()
    before = network.parameters["out.weight"].copy()
    with pytest.raises(ShapeError, match=r"'out.weight' has shape \(3, 8\), cannot take an array of shape"):
        network.parameters["out.weight"] = value
    np.testing.assert_array_equal(network.parameters["out.weight"], before)


def test_parameters_cannot_be_deleted() -> None:
    network = small()
    with pytest.raises(TypeError, match=r"'out.bias' belongs to its layer and cannot be deleted"):
        del network.parameters["out.bias"]
    assert "out.bias" in network.parameters


def test_tables_show_names_dtypes_and_shapes() -> None:
    network = Network([BatchNorm2d(), Flatten(), Linear(2, bias=False)], (3, 1, 2), engine="reference")
    assert repr(network.parameters) == "{'0.weight': float32[3], '0.bias': float32[3], '2.weight': float32[2, 6]}"
    assert repr(network.state) == (
        "{'0.running_mean': float32[3], '0.running_var': float32[3], '0.num_batches': float32[1]}"
    )


def test_state_is_assigned_like_parameters() -> None:
    network = Network([BatchNorm2d(eps=1e-12), Flatten(), Linear(2)], (1, 2, 2), dtype="float64")
    network.state["0.running_mean"] = [5.0]
    network.state["0.running_var"] = [4.0]
    network.parameters["2.weight"] = np.eye(2, 4)
    x = np.arange(4.0).reshape(1, 1, 2, 2)
    np.testing.assert_allclose(network.forward(x), [[(0 - 5) / 2, (1 - 5) / 2]], rtol=1e-11)
