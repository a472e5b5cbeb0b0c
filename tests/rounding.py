"""How far a network run in float32 may lie from its exact result: error bounds, carried from layer to layer.

With u = 2⁻²⁴, a sum of n products that is rounded after every operation, in whatever order, lies within

    γ_n Σ|a||b|,    γ_n = n·u / (1 − n·u)

of the exact one (Higham 2002, Accuracy and Stability of Numerical Algorithms, §3.1). A layer adds this to what reaches
it: a sum passes errors on through the absolute values of its weights, an activation through its slope. Where two
numbers lie closer than their errors, a ReLU or a max pooling may decide the other way, and the bound allows for both.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np

from pellucid import Network
from pellucid.layers import (
    ELU,
    AvgPool2d,
    Conv2d,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from pellucid.layers.windows import overlap_add, pad, windows

UNIT = 2.0**-24
#: the activations with an exponential in them are this many units in the last place away, at most
ACTIVATION_ULPS = 3
#: what falls below the smallest normal number is flushed to 0
FLUSHED = 2.0**-120


def gamma(operations: int) -> float:
    """Return γ_n."""
    return operations * UNIT / (1 - operations * UNIT)


@dataclass
class Bounded:
    """An exact array, and how far the float32 one may lie from it."""

    value: np.ndarray
    error: np.ndarray

    @property
    def most(self) -> np.ndarray:
        """The largest that the float32 numbers can be."""
        return abs(self.value) + self.error


@dataclass(frozen=True)
class Bend:
    """What an activation does to errors.

    Attributes:
        slope: largest |f′|.
        curvature: largest |f″|.
        jump: of f′ at 0.
        rounding: error of the float32 f′, in units of u.
    """

    slope: float
    curvature: float = 0.0
    jump: float = 0.0
    rounding: float = 0.0


def bend(layer: Layer) -> Bend | None:
    """Return how an activation bends; None for any other layer. f′ is computed from y: y(1 − y), 1 − y², y + α."""
    ulps = 2 * ACTIVATION_ULPS
    match layer:
        case ReLU():
            return Bend(1, jump=1)
        case LeakyReLU(negative_slope=a):
            return Bend(max(1, abs(a)), jump=abs(1 - a), rounding=abs(a))
        case ELU(alpha=alpha):
            return Bend(max(1, alpha), curvature=alpha, jump=abs(1 - alpha), rounding=alpha * (ulps + 2))
        case Sigmoid():
            return Bend(1 / 4, curvature=0.0963, rounding=ulps + 3)
        case Tanh():
            return Bend(1, curvature=0.770, rounding=2 * ulps + 3)
        case _:
            return None


def lengths(layer: Layer, params: dict[str, np.ndarray], x: np.ndarray, y: np.ndarray) -> tuple[int, int, int]:
    """Return how many roundings a number of y, of dx and of dweight or dbias goes through."""
    pixels = len(y) * prod(y.shape[2:])
    match layer:
        case Conv2d():
            filters, *window = params["weight"].shape
            return prod(window) + 1, filters // layer.groups * prod(window[1:]), pixels
        case Linear():
            outputs, inputs = params["weight"].shape
            return inputs + 1, outputs, pixels
        case AvgPool2d():
            rows, columns = layer._axes(x.shape[2:])
            return rows.kernel * columns.kernel + 1, rows.kernel * columns.kernel + 2, 0
        case GlobalAvgPool2d():
            return prod(x.shape[2:]) + 1, 2, 0
        case Flatten():
            return 0, 0, 0
        case _:
            raise TypeError(f"no bound for {layer!r}")


def forward(layer: Layer, params: dict[str, np.ndarray], x: Bounded) -> Bounded:
    """Return the layer's output."""
    y = layer.forward(params, x.value)[0]
    if (bent := bend(layer)) is not None:
        rounding = bent.rounding and 2 * ACTIVATION_ULPS * UNIT
        certain = (x.value < -x.error) & isinstance(layer, ReLU)
        return Bounded(y, np.where(certain, 0, bent.slope * x.error + rounding * abs(y)))
    if isinstance(layer, MaxPool2d):
        return Bounded(y, _fields(layer, x.error)[0].max(axis=(-2, -1)))
    size = {key: abs(value) for key, value in params.items()}
    weights = {key: value if key == "weight" else 0 * value for key, value in size.items()}
    rounding = gamma(lengths(layer, params, x.value, y)[0])
    return Bounded(y, layer.forward(weights, x.error)[0] + rounding * layer.forward(size, x.most)[0])


def backward(
    layer: Layer, params: dict[str, np.ndarray], x: Bounded, dy: Bounded
) -> tuple[Bounded, dict[str, Bounded]]:
    """Return dx and the parameters' gradients."""
    y, saved = layer.forward(params, x.value)
    dx, grads = layer.backward(params, saved, dy.value)
    if (bent := bend(layer)) is not None:
        slope = abs(layer.backward(params, saved, np.ones_like(y))[0])
        off = bent.curvature * x.error + bent.jump * (abs(x.value) <= x.error) + bent.rounding * UNIT
        return Bounded(dx, dy.error * (slope + off) + dy.most * (off + UNIT * slope)), {}
    if isinstance(layer, MaxPool2d):
        return Bounded(dx, _max_pool_error(layer, x, dy)), {}
    size = {key: abs(value) for key, value in params.items()}
    _, to_dx, to_grads = lengths(layer, params, x.value, y)

    def through(inputs: np.ndarray, deltas: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return layer.backward(size, layer.forward(size, inputs)[1], deltas)

    most_dx, most_grads = through(x.most, dy.most)
    passed_dx, passed_grads = through(x.most, dy.error)
    own_grads = through(x.error, abs(dy.value))[1]
    return Bounded(dx, passed_dx + gamma(to_dx) * most_dx), {
        key: Bounded(
            grads[key],
            passed_grads[key] + gamma(to_grads) * most_grads[key] + (own_grads[key] if key == "weight" else 0),
        )
        for key in grads
    }


def _fields(layer: MaxPool2d, maps: np.ndarray, value: float = 0.0) -> tuple[np.ndarray, tuple]:
    axes = layer._axes(maps.shape[2:])
    return windows(pad(maps, *axes, value=value), *axes), axes


def _max_pool_error(layer: MaxPool2d, x: Bounded, dy: Bounded) -> np.ndarray:
    """Give every pixel that may have won its window the whole dy, unless it is the only one."""
    over = (-2, -1)
    least = _fields(layer, x.value - x.error, -np.inf)[0].max(axis=over, keepdims=True)
    most, axes = _fields(layer, x.value + x.error, -np.inf)
    may_win = most >= least
    contested = may_win.sum(axis=over) > 1
    return overlap_add(may_win * (dy.error + contested * abs(dy.value))[..., None, None], *axes) + gamma(
        axes[0].kernel * axes[1].kernel
    ) * overlap_add(may_win * dy.most[..., None, None], *axes)


def top(network: Network, a: Bounded, target: np.ndarray, sample_weight: np.ndarray | None) -> tuple[Bounded, Bounded]:
    """Return J, without penalties, and δ; the native engine takes both in double precision from a."""
    loss = network.loss
    weight = loss.weights(target, sample_weight)
    weight = weight / weight.sum() if loss.reduction == "mean" else weight
    value, delta = loss.value_and_delta(a.value, target, sample_weight)
    p, worst = loss.activation(a.value), a.error.max(axis=1, keepdims=True)
    if type(loss).__name__ == "CrossEntropy":
        p_error, loss_error = p * np.expm1(2 * worst), 2 * worst[:, 0]
    elif type(loss).__name__ == "LogLoss":
        p_error, loss_error = a.error / 4, a.error.sum(axis=1)
    else:
        p_error, loss_error = a.error, (abs(p - target) * a.error + a.error**2 / 2).sum(axis=1)
    size = weight @ loss.per_sample(a.value, target)
    delta_error = weight[:, None] * p_error * (1 + gamma(3)) + gamma(3) * abs(delta)
    return Bounded(np.array(value), weight @ loss_error + 2 * UNIT * (size + weight @ loss_error)), Bounded(
        delta, delta_error
    )


def bounds(
    network: Network, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> dict[str, Bounded]:
    """Return the outputs, the loss and every gradient of a float64 network that is a chain, run on the reference."""
    images, target = network.check_samples(x, y)
    start = network.prepare(images)
    mean = 0.0 if network.input_mean is None else network.input_mean
    scaled = abs(start + mean) if images.dtype == np.uint8 else 0 * start
    values = [Bounded(start, UNIT * scaled + (UNIT * (abs(start) + UNIT * scaled) if network.input_mean is not None else 0))]
    nodes = [(n.layer, {k: network.parameters[f"{n.name}.{k}"] for k in _keys(network, n.name)}, n.name) for n in network.graph.nodes]
    for layer, params, _ in nodes:
        values.append(forward(layer, params, values[-1]))
    loss, delta = top(network, values[-1], target, sample_weight)
    found = {"outputs": values[-1]}
    for (layer, params, name), reached in zip(nodes[::-1], values[-2::-1], strict=True):
        delta, grads = backward(layer, params, reached, delta)
        found |= {f"{name}.{key}": grad for key, grad in grads.items()}
    for name in network.regularized:
        weight = network.parameters[name]
        for penalty in network.regularization:
            term, slope = penalty.value(weight), penalty.gradient(weight)
            loss = Bounded(loss.value + term, loss.error + gamma(weight.size + 2) * term)
            found[name] = Bounded(
                found[name].value + slope, found[name].error + gamma(4) * (found[name].most + abs(slope))
            )
    return found | {"loss": loss}


def _keys(network: Network, node: str) -> list[str]:
    return [name.rpartition(".")[2] for name in network.parameters if name.rpartition(".")[0] == node]


def assert_within_rounding(
    network: Network, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Hold a float32 network's outputs, loss and gradients against the reference engine in float64.

    Returns:
        the largest share of its bound that an error took.
    """
    exact = network.copy(dtype="float64")
    assert exact.engine == "reference"
    loss, gradients = network.loss_and_gradients(x, y, sample_weight=sample_weight)
    assert gradients.keys() == network.parameters.keys()
    found = {"outputs": network.forward(x), "loss": np.array(loss), **gradients}
    worst = 0.0
    for name, bound in bounds(exact, x, y, sample_weight).items():
        assert found[name].shape == bound.value.shape
        slack = 1.01 * bound.error + FLUSHED + 1e-13 * abs(bound.value)
        share = abs(found[name] - bound.value) / slack
        assert np.isfinite(found[name]).all(), f"{name} is not finite"
        assert share.max() <= 1, (
            f"{name}{list(np.unravel_index(share.argmax(), share.shape))} is {share.max():.3g} times further from the "
            f"exact {bound.value.flat[share.argmax()]:.9g} than rounding explains, {slack.flat[share.argmax()]:.3g}"
        )
        worst = max(worst, float(share.max()))
    return worst
