from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import ConfigError, ShapeError
from pellucid.explain import check_gradients
from pellucid.layers import Add, Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Residual
from pellucid.regularizers import L2


@dataclass(frozen=True)
class Cube(Layer):
    """A user's own layer: y = s·x³, with one learnable s; its derivative can be spoilt."""

    factor: float = 3.0

    def output_shape(self, shape):
        return shape

    def init_params(self, shape, rng):
        return {"s": np.array([2.0])}

    def forward(self, params, x, **_):
        return params["s"] * x**3, x

    def backward(self, params, saved, dy):
        x = saved
        return dy * params["s"] * self.factor * x**2, {"s": np.array([(dy * x**3).sum()])}


def test_a_users_own_layer_passes_when_right_and_is_named_when_wrong() -> None:
    assert check_gradients(Cube(), (3, 2)).passed
    report = check_gradients(Cube(factor=2.0), (3, 2))
    assert not report.passed
    assert report.worst.layer == "Cube(factor=2.0)"
    assert report.worst.tensor == "input"
    assert report.worst.numeric == pytest.approx(1.5 * report.worst.analytic, rel=1e-6)
    assert "FAILED" in str(report)
    assert "Cube(factor=2.0) input[" in str(report)


def test_both_derivatives_are_those_worked_out_by_hand() -> None:
    # J = ½(2·3 − 1·4 + 0 − 5)² with w = (2, −1), b = 0, x = (3, 4), y = 5: ∂J/∂b = −3, ∂J/∂w = −3·x, ∂J/∂x = −3·w.
    net = Network([Linear(1)], (2,), loss="squared_error", dtype="float64")
    net.parameters["0.weight"] = [[2.0, -1.0]]
    report = check_gradients(net, x=np.array([[3.0, 4.0]]), y=np.array([5.0]), jitter=0.0, samples=1, seed=1)
    expected = {("input", (0, 0)): -6.0, ("input", (0, 1)): 3.0, ("weight", (0, 0)): -9.0, ("weight", (0, 1)): -12.0}
    expected["bias", (0,)] = -3.0
    assert len(report.worst_by_tensor) == 3
    for entry in report.worst_by_tensor:
        assert entry.analytic == pytest.approx(expected[entry.tensor, entry.index], rel=1e-12)
        assert entry.numeric == pytest.approx(expected[entry.tensor, entry.index], rel=1e-8)


def test_a_wrong_entry_deep_in_a_network_is_found_and_named() -> None:
    net = Network(
        [Linear(5, name="first"), Cube(factor=3.3, name="cube"), Linear(3, name="last")], (4,), engine="reference"
    )
    report = check_gradients(net)
    wrong = {entry.layer for entry in report.worst_by_tensor if entry.error > 1e-6}
    assert wrong == {"input", "first"}  # the cube's own s and everything after it are right


def test_every_entry_is_checked_or_as_many_as_asked() -> None:
    net = Network([Conv2d(2, 3), ReLU(), Flatten(), Linear(3)], (1, 5, 5))
    inputs, parameters = 2 * 25, sum(p.size for p in net.parameters.values())
    assert check_gradients(net).checked == inputs + parameters
    assert check_gradients(net, samples=4).checked == 4 + 4 + 2 + 4 + 3
    first, second = check_gradients(net, samples=4, seed=1), check_gradients(net, samples=4, seed=2)
    assert [e.index for e in first.worst_by_tensor] != [e.index for e in second.worst_by_tensor]


def test_a_kink_hit_exactly_accepts_a_slope_between_the_two() -> None:
    # The input is exactly 0: left slope 0, right slope weight; ReLU's 0 is one of them.
    net = Network([ReLU(), Linear(2)], (3,), dtype="float64")
    report = check_gradients(net, x=np.zeros((2, 3)), y=[0, 1])
    assert report.passed
    # Two of three tied maxima move together with the weight: the true slopes differ on both sides.
    pool = Network([Conv2d(1, 1, bias=False), MaxPool2d(2), Flatten(), Linear(2)], (1, 2, 2))
    tied = np.array([[[[1.0, 1.0], [0.5, 1.0]]]])
    assert check_gradients(pool, x=tied, y=[1]).passed


def test_a_kink_does_not_excuse_a_wrong_gradient() -> None:
    @dataclass(frozen=True)
    class HalfReLU(ReLU):
        def backward(self, params, saved, dy):
            return 1.5 * dy * saved, {}

    inputs = np.zeros((1, 3))
    inputs[0, 0] = 1.0
    net = Network([HalfReLU(), Linear(2)], (3,), engine="reference")
    assert not check_gradients(net, x=inputs, y=[0]).passed


def test_kinks_near_by_are_stepped_around() -> None:
    near = np.array([[3e-5, -3e-5, 1e-4, -1e-4, 0.5]])
    report = check_gradients(Network([ReLU(), Linear(2)], (5,)), x=near, y=[1])
    assert report.passed
    assert report.kinks == 0


def test_penalties_are_part_of_what_is_checked() -> None:
    net = Network([Linear(3)], (4,), regularization=[L2(0.5)])
    assert check_gradients(net).passed


def test_checking_changes_nothing() -> None:
    net = Network([Conv2d(2, 3), ReLU(), Flatten(), Linear(3)], (1, 5, 5), seed=3)
    before = {name: value.copy() for name, value in net.parameters.items()}
    check_gradients(net, samples=2)
    assert net.step == 0
    for name, value in net.parameters.items():
        np.testing.assert_array_equal(value, before[name])


def test_several_inputs_and_containers() -> None:
    report = check_gradients(Add(), [(2, 3, 3), (2, 3, 3)])
    assert [entry.tensor for entry in report.worst_by_tensor] == ["input 0", "input 1"]
    assert report.passed
    block = check_gradients(Residual([Conv2d(2, 3, padding=1, name="conv1")]), (2, 4, 4))
    assert [entry.layer for entry in block.worst_by_tensor] == ["input", "conv1", "conv1"]
    assert block.passed


def test_gradients_of_the_wrong_form_are_refused_with_the_layer_named() -> None:
    @dataclass(frozen=True)
    class Shapeless(Cube):
        def backward(self, params, saved, dy):
            return dy, {"s": np.zeros(2)}

    @dataclass(frozen=True)
    class Nameless(Cube):
        def backward(self, params, saved, dy):
            return dy, {}

    with pytest.raises(ShapeError, match=r"Shapeless\(\): the gradient of s has shape \(2,\), expected \(1,\)"):
        check_gradients(Shapeless(), (3,))
    with pytest.raises(ShapeError, match=r"Nameless\(\): backward gives gradients of \[\], its parameters are \['s'\]"):
        check_gradients(Nameless(), (3,))


def test_a_layer_needs_a_shape_and_numbers_have_limits() -> None:
    with pytest.raises(ConfigError, match=r"give the input_shape to check Linear\(3\) with"):
        check_gradients(Linear(3))
    with pytest.raises(ConfigError, match="must be at least 1; got 0 and None"):
        check_gradients(Linear(3), (4,), batch=0)
