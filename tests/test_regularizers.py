"""Penalties: values and derivatives by hand, and their part in the loss of a network."""

from __future__ import annotations

import numpy as np
import pytest
from harness import awkward

from pellucid import Network
from pellucid.description import from_json, to_json
from pellucid.errors import ConfigError
from pellucid.layers import BatchNorm2d, Conv2d, Flatten, Linear, Tanh
from pellucid.regularizers import L1, L2, Penalty

WEIGHT = np.array([[[3.0, -0.5]], [[0.0, -2.0]]])


@pytest.mark.parametrize(
    ("penalty", "value", "gradient"),
    [
        (L1(0.2), 1.1, [[[0.2, -0.2]], [[0.0, -0.2]]]),
        (L2(0.2), 1.325, [[[0.6, -0.1]], [[0.0, -0.4]]]),
        (L1(0.0), 0.0, [[[0.0, 0.0]], [[0.0, 0.0]]]),
        (L2(0), 0.0, [[[0.0, 0.0]], [[0.0, 0.0]]]),
    ],
)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_worked_by_hand(penalty, value, gradient, dtype):
    for weight in (WEIGHT.astype(dtype), awkward(WEIGHT.astype(dtype))):
        assert penalty.value(weight) == pytest.approx(value, rel=1e-6)
        assert type(penalty.value(weight)) is float
        np.testing.assert_allclose(penalty.gradient(weight), np.array(gradient), rtol=1e-6)
        assert penalty.gradient(weight).dtype == dtype


def network(*penalties):
    """Return a network with weights, biases and batch-norm coefficients, none of them 0."""
    layers = [Conv2d(2, 3), BatchNorm2d(), Tanh(), Flatten(), Linear(3)]
    net = Network(layers, (1, 5, 4), dtype="float64", regularization=penalties, seed=2)
    rng = np.random.default_rng(7)
    for value in net.parameters.values():
        value += np.where(rng.random(value.shape) < 0.5, -0.3, 0.4)
    return net


SAMPLES = np.random.default_rng(8).normal(size=(6, 1, 5, 4)), np.array([0, 1, 2, 2, 1, 0])
WEIGHTS = ("0.weight", "4.weight")


def test_penalties_act_on_weights_only():
    plain, penalised = network(), network(L1(0.01), L2(0.3))
    plain_loss, plain_grads = plain.loss_and_gradients(*SAMPLES)
    loss, grads = penalised.loss_and_gradients(*SAMPLES)
    entries = [float(w) for name in WEIGHTS for w in plain.parameters[name].ravel()]
    expected = sum(0.01 * abs(w) for w in entries) + sum(0.15 * w * w for w in entries)
    assert loss - plain_loss == pytest.approx(expected, rel=1e-12)
    assert set(grads) == {"0.weight", "0.bias", "1.weight", "1.bias", "4.weight", "4.bias"}
    for name, grad in grads.items():
        weight = plain.parameters[name]
        extra = 0.01 * np.sign(weight) + 0.3 * weight if name in WEIGHTS else np.zeros_like(weight)
        np.testing.assert_allclose(grad - plain_grads[name], extra, rtol=0, atol=1e-14)


def test_evaluation_leaves_penalties_out():
    assert network(L2(5.0)).evaluate(*SAMPLES) == network().evaluate(*SAMPLES)


@pytest.mark.parametrize("penalties", [(L1(0.1),), (L2(0.7),), (L1(0.02), L2(0.3))], ids=str)
def test_gradients_are_those_of_the_penalised_loss(penalties):
    """Central differences; no weight lies near 0, where |θ| has its kink."""
    net = network(*penalties)
    _, grads = net.loss_and_gradients(*SAMPLES)
    step = 1e-5
    for name, param in net.parameters.items():
        assert name not in WEIGHTS or abs(param).min() > 2 * step
        for i in np.ndindex(param.shape):
            start = param[i]
            param[i] = start + step
            above, _ = net.loss_and_gradients(*SAMPLES)
            param[i] = start - step
            below, _ = net.loss_and_gradients(*SAMPLES)
            param[i] = start
            assert grads[name][i] == pytest.approx((above - below) / (2 * step), rel=1e-6, abs=1e-9), (name, i)


def test_settings_survive_json():
    assert to_json(L2(0.25)) == {"type": "L2", "strength": 0.25}
    assert from_json({"type": "L1", "strength": 0.5}, Penalty) == L1(0.5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: L1(-0.1), "L1: strength must be finite and not negative; got -0.1"),
        (lambda: L2(float("nan")), "L2: strength must be finite and not negative; got nan"),
        (lambda: L2(float("inf")), "L2: strength must be finite and not negative; got inf"),
    ],
)
def test_settings_out_of_range(make, message):
    with pytest.raises(ConfigError) as caught:
        make()
    assert str(caught.value) == message
