from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from native_nets import LOSSES, RNG, SETS, set_isa
from rounding import ACTIVATION_ULPS

from pellucid import Network
from pellucid.layers import ELU, Conv2d, Flatten, Layer, LeakyReLU, Linear, MaxPool2d, ReLU, Sigmoid, Tanh
from pellucid.losses import SquaredError

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Activation:
    """A layer, and its function and slope in float64; neither overflows."""

    layer: Layer
    value: Function
    slope: Function
    scale: float = 1.0


def elu(alpha: float) -> Activation:
    return Activation(
        ELU(alpha),
        lambda x: np.where(x < 0, alpha * np.expm1(np.minimum(x, 0)), x),
        lambda x: np.where(x < 0, alpha * np.exp(np.minimum(x, 0)), 1),
        max(1, alpha),
    )


def leaky(slope: float) -> Activation:
    rounded = float(np.float32(slope))
    return Activation(
        LeakyReLU(slope), lambda x: np.where(x > 0, x, rounded * x), lambda x: np.where(x > 0, 1, rounded)
    )


ACTIVATIONS = {
    "relu": Activation(ReLU(), lambda x: np.maximum(x, 0), lambda x: x > 0),
    "leaky relu": leaky(0.3),
    "leaky relu 0": leaky(0.0),
    "elu": elu(1.0),
    "elu 2.5": elu(2.5),
    "sigmoid": Activation(
        Sigmoid(),
        lambda x: np.where(x < 0, np.exp(-abs(x)), 1) / (1 + np.exp(-abs(x))),
        lambda x: np.exp(-abs(x)) / (1 + np.exp(-abs(x))) ** 2,
    ),
    "tanh": Activation(Tanh(), np.tanh, lambda x: 4 * np.exp(-2 * abs(x)) / (1 + np.exp(-2 * abs(x))) ** 2),
}


def whole_range() -> np.ndarray:
    """Return (-, 1000) numbers of every size up to 1e4, both signs, dense where an implementation changes its ways."""
    rng = RNG(9)
    sizes = 10 ** rng.uniform(-44, 4, 60_000) * rng.choice([-1, 1], 60_000)
    dense = [rng.uniform(-a, a, 20_000) for a in (1.0, 20.0, 100.0)]
    edges = [np.linspace(-a * 1.01, -a * 0.99, 5_000) for a in (0.3125, 0.625, 9.0, 87.3)]
    tiny, least = 2.0**-126, 2.0**-149
    special = [0, -0.0, 1e4, -1e4, tiny, -tiny, least, -least, 88.8, -88.8, -103.9, -104]
    x = np.concatenate([special, *edges, *(-e for e in edges), *dense, sizes]).astype(np.float32)
    return x[: len(x) // 1000 * 1000].reshape(-1, 1000)


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_values_are_right_to_3_units_in_the_last_place(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    activation, x = ACTIVATIONS[name], whole_range()
    given = Network([activation.layer], (1000,), loss="squared_error", engine="native").forward(x)
    exact = activation.value(x.astype(np.float64))
    error, unit = abs(given - exact), np.spacing(abs(exact).astype(np.float32)).astype(np.float64)
    # Numbers below 2⁻¹²⁶ are flushed to 0, and on the way there may be a half of x.
    wrong = (error > ACTIVATION_ULPS * unit) & (error > 2.0**-125 * activation.scale)
    assert not wrong.any(), f"{x[wrong][:5]} give {given[wrong][:5]} and not {exact[wrong][:5]}"


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_slopes_over_the_whole_range(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # A filter of weight 1 before the activation, target y − 1: δ is 1, and its gradient is x·f′(x).
    set_isa(monkeypatch, isa)
    activation = ACTIVATIONS[name]
    rng = RNG(10)
    x = np.concatenate([rng.uniform(-1, 1, 300), rng.uniform(-20, 20, 300), [1e4, -1e4, 200, -200, 90, -90, 0, -0.0]])
    x = x.astype(np.float32)
    n = len(x)
    network = Network(
        [Conv2d(n, 1, groups=n, bias=False), activation.layer, Flatten()],
        (n, 1, 1),
        loss=SquaredError("sum"),
        engine="native",
    )
    network.parameters["0.weight"][...] = 1
    maps = x[None, :, None, None]
    y = network.forward(maps)[0].astype(np.float64)
    _, gradients = network.loss_and_gradients(maps, y[None] - 1)
    exact = x.astype(np.float64) * activation.slope(x.astype(np.float64))
    # f′ comes from y, as y(1 − y), 1 − y² or y + α: it is right to the last places of 1 or α, not of itself. δ has the
    # rounding of the target in it.
    slope_error = (4 * ACTIVATION_ULPS + 3) * 2.0**-24 * activation.scale
    allowed = abs(x) * slope_error + abs(exact) * 2.0**-23 * (1 + abs(y)) + 2.0**-120
    given = gradients["0.weight"].ravel()
    wrong = abs(given - exact) > allowed
    assert not wrong.any(), f"{x[wrong][:5]} give {given[wrong][:5]} and not {exact[wrong][:5]}"


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_stays_nan_whatever_its_bits(name: str, isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    bits = np.array([0x7FC00000, 0xFFC00000, 0x7FC00001, 0x7FC12345, 0x7FFFFFFF, 0xFFFFFFFF], np.uint32)
    network = Network([Linear(len(bits)), ACTIVATIONS[name].layer], (1,), loss="squared_error", engine="native")
    network.parameters["0.weight"][...] = 0
    network.parameters["0.bias"][...] = bits.view(np.float32)
    assert np.isnan(network.forward(np.ones((1, 1)))).all()
    assert np.isnan(network.loss_and_gradients(np.ones((1, 1)), np.zeros((1, len(bits))))[0])


@pytest.mark.parametrize(
    ("layer", "low", "high"),
    [(ReLU(), 0, np.inf), (LeakyReLU(), -np.inf, np.inf), (ELU(1.5), -1.5, np.inf), (Sigmoid(), 0, 1), (Tanh(), -1, 1)],
    ids=str,
)
def test_infinity_goes_to_the_limit(layer: Layer, low: float, high: float) -> None:
    network = Network([Linear(2), layer], (1,), loss="squared_error", engine="native")
    network.parameters["0.weight"][...] = 0
    network.parameters["0.bias"][...] = [-np.inf, np.inf]
    assert network.forward(np.ones((3, 1))).tolist() == [[low, high]] * 3


@pytest.mark.parametrize("size", [2, 3])
def test_nan_and_infinity_win_a_max_pool(size: int) -> None:
    layers = [Conv2d(1, 1, bias=False), MaxPool2d(size, 2), Flatten()]
    network = Network(layers, (1, size, size + 2), loss="squared_error", engine="native")
    network.parameters["0.weight"][...] = 1e37
    x = np.ones((2, 1, size, size + 2))
    x[0, 0, 1, 1] = x[1, 0, 0, 0] = 100  # times 1e37: infinity
    x[:, 0, -1, -1] = 4
    assert network.forward(x).tolist() == [[np.inf, float(np.float32(1e37) * 4)]] * 2
    network.parameters["0.weight"][...] = np.inf
    x[0, 0, 1, 1] = x[1, 0, 0, -1] = 0  # times infinity: NaN
    assert np.isnan(network.forward(x)).tolist() == [[True, False], [False, True]]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_output_that_is_not_a_number_makes_the_loss_none(place: int, loss: Any) -> None:
    network = Network([Linear(3)], (1,), loss=loss, engine="native")
    network.parameters["0.bias"][place] = np.nan
    value, gradients = network.loss_and_gradients(np.ones((2, 1)), np.eye(3)[:2])
    assert np.isnan(value)
    assert np.isnan(gradients["0.bias"][place])
