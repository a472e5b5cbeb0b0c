from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from harness import assert_gradients, awkward

from pellucid import Network
from pellucid.errors import ConfigError, ShapeError
from pellucid.initializers import Initializer
from pellucid.layers import Linear
from pellucid.losses import SquaredError

RNG = np.random.default_rng


def loops(x, weight, bias, dy):
    """Return y, dx, dweight and dbias by Nguyen's (5), (29), (25) and (37), one product at a time."""
    (samples, inputs), outputs = x.shape, len(weight)
    y, dx, dweight, dbias = np.zeros(dy.shape), np.zeros(x.shape), np.zeros(weight.shape), np.zeros(outputs)
    for t, i in product(range(samples), range(outputs)):
        y[t, i] = bias[i]
        dbias[i] += dy[t, i]
        for j in range(inputs):
            y[t, i] += weight[i, j] * x[t, j]
            dweight[i, j] += dy[t, i] * x[t, j]
            dx[t, j] += dy[t, i] * weight[i, j]
    return y, dx, dweight, dbias


def draw(rng, samples, inputs, outputs, dtype=np.float64):
    shapes = ((samples, inputs), (outputs, inputs), (outputs,), (samples, outputs))
    return (rng.normal(size=shape).astype(dtype) for shape in shapes)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (1, 4, 3), (5, 1, 2), (3, 7, 1), (2, 192, 10), (4, 65, 12)])
def test_values_and_gradients_against_loops(sizes):
    x, weight, bias, dy = draw(RNG(0), *sizes)
    layer, params = Linear(sizes[2]), {"weight": weight, "bias": bias}
    y, saved = layer.forward(params, x)
    dx, grads = layer.backward(params, saved, dy)
    for value, expected in zip((y, dx, grads["weight"], grads["bias"]), loops(x, weight, bias, dy), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-11, atol=1e-12)
    plain, saved = Linear(sizes[2], bias=False).forward({"weight": weight}, x)
    np.testing.assert_allclose(plain, loops(x, weight, np.zeros(sizes[2]), dy)[0], rtol=1e-11, atol=1e-12)
    _, grads = Linear(sizes[2], bias=False).backward({"weight": weight}, saved, dy)
    assert list(grads) == ["weight"]


def test_bindings_two_layer_example_by_hand():
    # Figure A.1: x → w₃ → y₃, then y₁ = w₁y₃ and y₂ = w₂y₃, with x = ½, w = (3, −1, 2) and targets (1, 2).
    net = Network(
        [Linear(1, bias=False), Linear(2, bias=False)], (1,), loss=SquaredError(reduction="sum"), dtype="float64"
    )
    net.parameters = {"0.weight": [[2.0]], "1.weight": [[3.0], [-1.0]]}
    assert net.forward([[0.5]]).tolist() == [[3.0, -1.0]]  # (A.2)
    error, gradients = net.loss_and_gradients([[0.5]], [[1.0, 2.0]])
    assert error == 0.5 * (2**2 + 3**2)  # (A.1)
    assert gradients["1.weight"].tolist() == [[2.0 * 2 * 0.5], [-3.0 * 2 * 0.5]]  # (A.3): δ_k w₃ x
    assert gradients["0.weight"].tolist() == [[(2.0 * 3 + -3.0 * -1) * 0.5]]  # (A.4), last line: (Σ_k δ_k w_k) x
    trace = net.trace([[0.5]], [[1.0, 2.0]])
    assert trace["1"].delta.tolist() == [[2.0, -3.0]]  # (2.10)
    assert trace["0"].delta.tolist() == [[9.0]]  # (2.13)
    # (A.4) prints w₁w₂x for y₂ in its second line, which is not what its last line gives.
    printed = (3.0 * 2 * 0.5 - 1) * 3 * 0.5 + (3.0 * -1 * 0.5 - 2) * -1 * 0.5
    assert printed == 4.75 != gradients["0.weight"].item() == 4.5


def test_nguyens_delta_of_the_flattened_maps():
    x, weight, bias, dls = draw(RNG(1), 1, 192, 10)
    layer, params = Linear(10), {"weight": weight, "bias": bias}
    _, saved = layer.forward(params, x)
    dlf, grads = layer.backward(params, saved, dls)
    for k in range(192):
        assert dlf[0, k] == pytest.approx(sum(dls[0, i] * weight[i, k] for i in range(10)), rel=1e-10)  # (37)
    for i, j in product(range(10), range(192)):
        assert grads["weight"][i, j] == pytest.approx(dls[0, i] * x[0, j], rel=1e-12)  # (30)
    assert grads["bias"].tolist() == dls[0].tolist()  # (26)


@pytest.mark.parametrize("bias", [True, False])
def test_gradients_of_random_shapes(bias):
    rng = RNG(2)
    for trial in range(60):
        layer = Linear(int(rng.integers(1, 9)), bias=bias)
        assert_gradients(layer, (int(rng.integers(1, 9)),), seed=trial, batch=int(rng.integers(1, 6)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_read_only_strided_arrays_give_the_same_in_their_own_dtype(dtype):
    x, weight, bias, dy = draw(RNG(3), 4, 6, 5, dtype)
    layer, params = Linear(5), {"weight": awkward(weight), "bias": awkward(bias)}
    y, saved = layer.forward(params, awkward(x))
    dx, grads = layer.backward(params, saved, awkward(dy))
    tolerance = 1e-5 if dtype == np.float32 else 1e-12
    for value, expected in zip((y, dx, grads["weight"], grads["bias"]), loops(x, weight, bias, dy), strict=True):
        assert value.dtype == dtype
        np.testing.assert_allclose(value, expected, rtol=tolerance, atol=tolerance)


@dataclass(frozen=True)
class FansOfLinear(Initializer):
    def __call__(self, shape, fan_in, fan_out, rng):
        return np.full(shape, 1000.0 * fan_in + fan_out)


def test_weights_are_drawn_with_inputs_and_outputs_as_fans():
    params = Linear(10, weight_init=FansOfLinear(), bias_init=FansOfLinear()).init_params((192,), RNG(0))
    assert params["weight"].shape == (10, 192)
    assert params["bias"].shape == (10,)
    assert (params["weight"] == 192010).all()
    assert (params["bias"] == 192010).all()
    assert (Linear(3).init_params((2,), RNG(0))["bias"] == 0).all()
    assert list(Linear(3, bias=False).init_params((2,), RNG(0))) == ["weight"]


def test_output_shape_and_multiply_adds():
    assert Linear(10).output_shape((192,)) == (10,)
    assert Linear(10).multiply_adds((192,)) == 1920


@pytest.mark.parametrize("features", [0, -3, 2.0, "10", True])
def test_the_number_of_outputs_must_be_whole_and_positive(features):
    with pytest.raises(ConfigError) as error:
        Linear(features)
    assert str(error.value) == (
        f"Linear({features!r}): out_features must be a whole number of at least 1; got {features!r}"
    )


@pytest.mark.parametrize("setting", ["weight_init", "bias_init"])
def test_initialisers_must_exist(setting):
    with pytest.raises(ConfigError, match="no initialiser called 'xavier'; there are he, glorot, lecun"):
        Linear(3, **{setting: "xavier"})


def test_maps_must_be_flattened_first():
    with pytest.raises(ShapeError) as error:
        Linear(3).output_shape((2, 4, 4))
    assert str(error.value) == (
        "Linear(3) takes a vector of shape (K,), but its input has shape (2, 4, 4); put Flatten() before it"
    )
