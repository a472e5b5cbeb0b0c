"""The gradient checker must catch wrong derivatives: here are many, each of a kind that people make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.explain import check_gradients
from pellucid.layers import (
    ELU,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.losses import CrossEntropy, LogLoss, SquaredError
from pellucid.regularizers import L1, L2

Gradients = dict[str, np.ndarray]
Mutation = Callable[[Gradients, dict[str, Any]], None]


@dataclass(frozen=True)
class Mutant(Layer):
    """A layer whose backward is spoilt: ``spoil(gradients, context)`` changes dx ("input") and the gradients."""

    inner: Layer
    spoil: Mutation

    def output_shape(self, shape):
        return self.inner.output_shape(shape)

    def init_params(self, shape, rng):
        return self.inner.init_params(shape, rng)

    def init_state(self, shape):
        return self.inner.init_state(shape)

    def forward(self, params, x, **context):
        y, saved = self.inner.forward(params, x, **context)
        return y, (saved, x, y)

    def backward(self, params, saved, dy):
        inner_saved, x, y = saved
        dx, grads = self.inner.backward(params, inner_saved, dy)
        gradients = {"input": np.array(dx), **{key: np.array(value) for key, value in grads.items()}}
        self.spoil(gradients, {"params": params, "x": x, "y": y, "dy": dy, "saved": inner_saved, "layer": self.inner})
        return gradients.pop("input"), gradients


def sign(key: str) -> Mutation:
    return lambda g, _: g.update({key: -g[key]})


def missing_mean(key: str) -> Mutation:
    return lambda g, c: g.update({key: g[key] * len(c["x"])})


def shifted(key: str, axis: int = -1) -> Mutation:
    return lambda g, _: g.update({key: np.roll(g[key], 1, axis)})


def transposed(key: str) -> Mutation:
    return lambda g, _: g.update({key: g[key].swapaxes(-1, -2)})


def turned(key: str) -> Mutation:
    return lambda g, _: g.update({key: g[key][..., ::-1, ::-1]})


def one_sample_missing(key: str) -> Mutation:
    def spoil(g: Gradients, _: dict[str, Any]) -> None:
        g[key][-1] = 0

    return spoil


def zero(key: str) -> Mutation:
    return lambda g, _: g.update({key: np.zeros_like(g[key])})


def slightly_off(key: str) -> Mutation:
    """One entry in a whole tensor, wrong by a part in ten thousand."""

    def spoil(g: Gradients, _: dict[str, Any]) -> None:
        g[key].flat[abs(g[key]).argmax()] *= 1 + 1e-4

    return spoil


def unflipped_filter(g: Gradients, c: dict[str, Any]) -> None:
    params = {**c["params"], "weight": c["params"]["weight"][..., ::-1, ::-1]}
    g["input"] = np.array(c["layer"].backward(params, c["saved"], c["dy"])[0])


def filters_of_other_group(g: Gradients, c: dict[str, Any]) -> None:
    params = {**c["params"], "weight": np.roll(c["params"]["weight"], 1, axis=0)}
    g["input"] = np.array(c["layer"].backward(params, c["saved"], c["dy"])[0])


def normalised(x: np.ndarray, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    centred = x - x.mean(axes, keepdims=True)
    deviation = np.sqrt(np.square(centred).mean(axes, keepdims=True) + 1e-5)
    return centred / deviation, deviation


def batch_norm_terms(axes: tuple[int, ...], *, mean: bool, variance: bool, gamma: bool = True) -> Mutation:
    """dx of batch norm from its three terms, some of them left out."""

    def spoil(g: Gradients, c: dict[str, Any]) -> None:
        x_hat, deviation = normalised(c["x"], axes)
        weight = c["params"]["weight"]
        weight = weight[:, None, None] if weight.ndim == 1 and c["x"].ndim == 4 else weight
        dy = c["dy"]
        dx = dy - mean * dy.mean(axes, keepdims=True) - variance * x_hat * (dy * x_hat).mean(axes, keepdims=True)
        g["input"] = dx / deviation * (weight if gamma else 1)

    return spoil


def replace_dx(formula: Callable[[dict[str, Any]], np.ndarray]) -> Mutation:
    return lambda g, c: g.update({"input": formula(c)})


CONV = Conv2d(4, 3, stride=2, padding=1)
MAPS = (2, 5, 5)
LAYERS: dict[str, tuple[Layer, tuple[int, ...], Mutation]] = {
    "conv: dx of the wrong sign": (CONV, MAPS, sign("input")),
    "conv: dweight of the wrong sign": (CONV, MAPS, sign("weight")),
    "conv: dbias of the wrong sign": (CONV, MAPS, sign("bias")),
    "conv: dx with the filter not turned": (Conv2d(4, 3), MAPS, unflipped_filter),
    "conv: dx with neighbouring filters": (CONV, MAPS, filters_of_other_group),
    "conv: dweight turned": (CONV, MAPS, turned("weight")),
    "conv: dweight transposed": (CONV, MAPS, transposed("weight")),
    "conv: dx transposed": (CONV, MAPS, transposed("input")),
    "conv: dx shifted by one column": (CONV, MAPS, shifted("input", 3)),
    "conv: dx shifted by one row": (CONV, MAPS, shifted("input", 2)),
    "conv: dx in the wrong map": (CONV, MAPS, shifted("input", 1)),
    "conv: dweight shifted by one tap": (CONV, MAPS, shifted("weight", 3)),
    "conv: dweight of the next filter": (CONV, MAPS, shifted("weight", 0)),
    "conv: dbias of the next filter": (CONV, MAPS, shifted("bias", 0)),
    "conv: dweight summed, not averaged": (CONV, MAPS, missing_mean("weight")),
    "conv: dbias missing": (CONV, MAPS, zero("bias")),
    "conv: one sample forgotten": (CONV, MAPS, one_sample_missing("input")),
    "conv: one weight off by 1e-4": (CONV, MAPS, slightly_off("weight")),
    "true convolution: dweight not turned back": (Conv2d(4, 3, flip=True), MAPS, turned("weight")),
    "grouped conv: filters of the other group": (Conv2d(4, 3, groups=2), MAPS, filters_of_other_group),
    "linear: dx of the wrong sign": (Linear(4), (4,), sign("input")),
    "linear: dweight transposed": (Linear(4), (4,), transposed("weight")),
    "linear: dx by weight instead of its transpose": (
        Linear(4),
        (4,),
        replace_dx(lambda c: c["dy"] @ c["params"]["weight"].T),
    ),
    "linear: dbias summed, not averaged": (Linear(4), (4,), missing_mean("bias")),
    "linear: dweight of the next output": (Linear(4), (4,), shifted("weight", 0)),
    "linear: one entry off by 1e-4": (Linear(4), (4,), slightly_off("input")),
    "max pool: to the pixel beside the maximum": (MaxPool2d(2), (2, 6, 6), shifted("input", 3)),
    "max pool: shared by the window": (
        MaxPool2d(2),
        (2, 6, 6),
        replace_dx(lambda c: c["dy"].repeat(2, axis=2).repeat(2, axis=3) / 4),
    ),
    "max pool: to every pixel of the window": (
        MaxPool2d(2),
        (2, 6, 6),
        replace_dx(lambda c: c["dy"].repeat(2, axis=2).repeat(2, axis=3)),
    ),
    "average pool: missing 1/R² (as Epelbaum prints it)": (
        AvgPool2d(2),
        (2, 6, 6),
        replace_dx(lambda c: c["dy"].repeat(2, axis=2).repeat(2, axis=3)),
    ),
    "average pool: 1/R instead of 1/R²": (
        AvgPool2d(2),
        (2, 6, 6),
        replace_dx(lambda c: c["dy"].repeat(2, axis=2).repeat(2, axis=3) / 2),
    ),
    "average pool: shifted by one": (AvgPool2d(2), (2, 6, 6), shifted("input", 2)),
    "L2 pool: as if it were a sum": (
        LPPool2d(2),
        (2, 6, 6),
        replace_dx(lambda c: c["dy"].repeat(2, axis=2).repeat(2, axis=3)),
    ),
    "L2 pool: missing 1/y": (
        LPPool2d(2),
        (2, 6, 6),
        replace_dx(lambda c: c["dy"].repeat(2, axis=2).repeat(2, axis=3) * c["x"]),
    ),
    "global average pool: missing 1/(HW)": (
        GlobalAvgPool2d(),
        MAPS,
        replace_dx(lambda c: np.broadcast_to(c["dy"].reshape(*c["dy"].shape[:2], 1, 1), c["x"].shape)),
    ),
    "ReLU: derivative of the wrong half": (ReLU(), MAPS, replace_dx(lambda c: c["dy"] * (c["x"] <= 0))),
    "ReLU: derivative left out": (ReLU(), MAPS, replace_dx(lambda c: c["dy"])),
    "leaky ReLU: slope forgotten": (LeakyReLU(0.1), MAPS, replace_dx(lambda c: c["dy"] * (c["x"] > 0))),
    "ELU: derivative 1 everywhere": (ELU(), MAPS, replace_dx(lambda c: c["dy"])),
    "ELU: y instead of y + 1": (
        ELU(),
        MAPS,
        replace_dx(lambda c: c["dy"] * np.where(c["x"] >= 0, 1, c["y"])),
    ),
    "sigmoid: missing 1 − y": (Sigmoid(), MAPS, replace_dx(lambda c: c["dy"] * c["y"])),
    "sigmoid: of the wrong sign": (Sigmoid(), MAPS, sign("input")),
    "tanh: 1 − y instead of 1 − y²": (Tanh(), MAPS, replace_dx(lambda c: c["dy"] * (1 - c["y"]))),
    "softmax: diagonal only": (Softmax(), (5,), replace_dx(lambda c: c["dy"] * c["y"] * (1 - c["y"]))),
    "softmax: sum over the batch": (
        Softmax(),
        (5,),
        replace_dx(lambda c: c["y"] * (c["dy"] - (c["dy"] * c["y"]).sum(0, keepdims=True))),
    ),
    "dropout: missing 1/(1 − p)": (Dropout(0.5), MAPS, lambda g, _: g.update({"input": g["input"] / 2})),
    "dropout: mask forgotten": (Dropout(0.5), MAPS, replace_dx(lambda c: 2 * c["dy"])),
    "response norm: cross term missing": (
        LocalResponseNorm(3, alpha=1.0),
        (4, 3, 3),
        replace_dx(lambda c: c["dy"] * c["y"] / c["x"]),
    ),
    "flatten: rows and columns swapped": (Flatten(), MAPS, transposed("input")),
    "batch norm per map: mean term missing": (
        BatchNorm2d(),
        MAPS,
        batch_norm_terms((0, 2, 3), mean=False, variance=True),
    ),
    "batch norm per map: variance term missing": (
        BatchNorm2d(),
        MAPS,
        batch_norm_terms((0, 2, 3), mean=True, variance=False),
    ),
    "batch norm per map: γ missing": (
        BatchNorm2d(),
        MAPS,
        batch_norm_terms((0, 2, 3), mean=True, variance=True, gamma=False),
    ),
    "batch norm per map: dγ from x instead of x̂": (
        BatchNorm2d(),
        MAPS,
        lambda g, c: g.update({"weight": np.einsum("tclm,tclm->c", c["dy"], c["x"])}),
    ),
    "batch norm per map: dβ averaged": (BatchNorm2d(), MAPS, lambda g, c: g.update({"bias": g["bias"] / len(c["x"])})),
    "batch norm per activation: mean term missing": (
        BatchNorm(),
        (4,),
        batch_norm_terms((0,), mean=False, variance=True),
    ),
    "batch norm per activation: variance term missing": (
        BatchNorm(),
        (4,),
        batch_norm_terms((0,), mean=True, variance=False),
    ),
    "batch norm per activation: dα of the wrong sign": (BatchNorm(), MAPS, sign("weight")),
    "batch norm per activation: statistics per map": (
        BatchNorm(),
        MAPS,
        batch_norm_terms((0, 2, 3), mean=True, variance=True),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_wrong_layer_gradient_is_caught(name: str) -> None:
    layer, shape, spoil = LAYERS[name]
    assert check_gradients(layer, shape, batch=3).passed  # the layer itself is right
    report = check_gradients(Mutant(layer, spoil), shape, batch=3)
    assert not report.passed
    assert report.error > 1e-5


@dataclass(frozen=True)
class Mistaken:
    """A loss whose δ is spoilt."""

    spoil: Callable[[np.ndarray, np.ndarray], np.ndarray]

    def of(self, loss: type) -> Any:
        spoil = self.spoil

        class MistakenLoss(loss):  # type: ignore[misc]
            def value_and_delta(self, a, target, sample_weight=None):
                value, delta = super().value_and_delta(a, target, sample_weight)
                return value, spoil(delta, target)

        return MistakenLoss()


DELTAS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "y − p instead of p − y": lambda delta, _: -delta,
    "1/T_mb missing": lambda delta, _: delta * len(delta),
    "the label's term missing": lambda delta, target: delta * (1 - target),
    "shifted by one class": lambda delta, _: np.roll(delta, 1, axis=1),
}


@pytest.mark.parametrize("loss", [CrossEntropy, LogLoss, SquaredError])
@pytest.mark.parametrize("name", DELTAS)
def test_a_wrong_delta_of_a_loss_is_caught(loss: type, name: str) -> None:
    labels = np.array([0, 2, 1])

    def check(loss: Any) -> bool:
        return check_gradients(Network(Linear(3), (4,), loss=loss, engine="reference"), batch=3, y=labels).passed

    assert check(loss())
    assert not check(Mistaken(DELTAS[name]).of(loss))


@pytest.mark.parametrize("penalty", [L1, L2])
def test_a_wrong_gradient_of_a_penalty_is_caught(penalty: type) -> None:
    class Doubled(penalty):  # type: ignore[misc]
        def gradient(self, weight):
            return 2 * super().gradient(weight)

    def check(penalty: Any) -> bool:
        return check_gradients(Network(Linear(3), (4,), regularization=[penalty]), batch=3).passed

    assert check(penalty(0.1))
    assert not check(Doubled(0.1))


def test_a_gradient_lost_at_a_branch_is_caught() -> None:
    from pellucid.layers import Add, Input

    @dataclass(frozen=True)
    class Forgetful(Add):
        """Sends dy to its first input only."""

        def backward(self, params, saved, dy):
            return (dy,) + (np.zeros_like(dy),) * (saved - 1), {}

    def check(add: Layer) -> bool:
        x = Input((4,))
        h = Linear(4)(x)
        return check_gradients(Network(Linear(3)(add(h, Tanh()(h))), engine="reference"), batch=3).passed

    assert check(Add())
    assert not check(Forgetful())


def test_there_are_at_least_fifty_mutations() -> None:
    assert len(LAYERS) + 3 * len(DELTAS) + 2 + 1 >= 70
