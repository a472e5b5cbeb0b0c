"""How far a network run in float32 may lie from its exact result: variances, carried from layer to layer.

With u = 2⁻²⁴, a sum of n products, in whatever order and with or without fused multiply-adds, is rounded n times, each
time by at most u Σ|a||b|. Roundings look independent, so they add like a random walk, to

    √n · u · Σ|a||b|

(Higham and Mary 2019, A new approach to probabilistic rounding error analysis). To its own roundings a layer adds those
that reach it: var(Σ w·x) = Σ w²·var(x), var(f(x)) = f′(x)²·var(x). Where two numbers lie closer than their errors, a
ReLU or a max pooling may decide the other way, and the bound allows for both. :data:`DEVIATIONS` of the standard
deviations that come out are allowed.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from rounding_channels import channels_backward, channels_forward, norm_backward, norm_forward
from rounding_winograd import TRANSFORM_ROUNDINGS
from rounding_winograd import sizes as winograd_sizes

from pellucid import Network
from pellucid.engine import reference
from pellucid.layers import (
    ELU,
    AvgPool2d,
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
from pellucid.layers.windows import overlap_add, pad, windows
from pellucid.philox import Stream

Params = dict[str, np.ndarray]

UNIT = 2.0**-24
DEVIATIONS = 4
#: units in the last place that an activation with an exponential in it is away from the exact one, at most
ACTIVATION_ULPS = 3
#: what falls below the smallest normal number, 2⁻¹²⁶, is flushed to 0
FLUSHED = 2.0**-120


@dataclass
class Rounded:
    """An exact array, and the variance of the float32 one around it."""

    value: np.ndarray
    variance: np.ndarray

    @property
    def reach(self) -> np.ndarray:
        """How far the float32 numbers may lie from the exact ones."""
        return DEVIATIONS * np.sqrt(self.variance)


@dataclass(frozen=True)
class Masked(Layer):
    """A dropout whose mask has been drawn: every entry times a number of its own."""

    scale: np.ndarray

    def forward(self, params, x, **_):
        return x * self.scale, None

    def backward(self, params, saved, dy):
        return dy * self.scale, {}

    def rounded(self, x: Rounded) -> Rounded:
        y = x.value * self.scale
        return Rounded(y, self.scale**2 * x.variance + 2 * (UNIT * y) ** 2)


@dataclass(frozen=True)
class Bend:
    """What an activation does besides passing errors on through its slope.

    Attributes:
        ulps: error of f, in units in the last place (2u of the value).
        curvature: largest |f″|.
        jump: of f′ at 0.
        slope_rounding: error of f′, in units of u; it is computed from y, as y(1 − y), 1 − y² or y + α.
    """

    ulps: float = 0.0
    curvature: float = 0.0
    jump: float = 0.0
    slope_rounding: float = 0.0


def bend(layer: Layer) -> Bend | None:
    """Return how an activation bends, None for any other layer."""
    ulps = ACTIVATION_ULPS
    match layer:
        case ReLU():
            return Bend(jump=1)
        case LeakyReLU(negative_slope=a):
            return Bend(ulps=0.5, jump=abs(1 - a), slope_rounding=abs(a))
        case ELU(alpha=alpha):
            return Bend(ulps, curvature=alpha, jump=abs(1 - alpha), slope_rounding=alpha * (2 * ulps + 2))
        case Sigmoid():
            return Bend(ulps, curvature=0.0963, slope_rounding=2 * ulps + 3)
        case Tanh():
            return Bend(ulps, curvature=0.770, slope_rounding=4 * ulps + 3)
        case _:
            return None


def roundings(layer: Layer, params: Params, x: np.ndarray, y: np.ndarray) -> tuple[int, int, int]:
    """Return how often a number of y, of dx, and of dweight or dbias is rounded."""
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
            return rows.kernel * columns.kernel + 1, rows.kernel * columns.kernel + 1, 0
        case GlobalAvgPool2d():
            return prod(x.shape[2:]) + 1, 2, 0
        case Flatten():
            return 0, 0, 0
        case _:
            raise TypeError(f"no bound for {layer!r}")


def forward(layer: Layer, params: Params, x: Rounded) -> Rounded:
    """Return the layer's output."""
    y, saved = layer.forward(params, x.value)
    if (bent := bend(layer)) is not None:
        slope, _ = layer.backward(params, saved, np.ones_like(y))
        steepest = abs(slope) + bent.jump * (abs(x.value) <= x.reach) + bent.curvature * x.reach
        return Rounded(y, steepest**2 * x.variance + (2 * UNIT * bent.ulps * y) ** 2)
    if isinstance(layer, MaxPool2d):
        return Rounded(y, _fields(layer, x.variance).max(axis=(-2, -1)))
    if isinstance(layer, Masked):
        return layer.rounded(x)
    if isinstance(layer, LPPool2d):
        return Rounded(y, norm_forward(layer, x.value, x.variance))
    if isinstance(layer, (Softmax, LocalResponseNorm)):
        return Rounded(y, channels_forward(layer, x.value, x.variance))
    squares = {key: value**2 if key == "weight" else 0 * value for key, value in params.items()}
    sizes = {key: abs(value) for key, value in params.items()}
    # An average weighs by 1/n, not 1/n²: its squares are too large here, on the safe side.
    own = roundings(layer, params, x.value, y)[0] * (UNIT * layer.forward(sizes, abs(x.value))[0]) ** 2
    by_tiles = winograd_sizes(layer, params["weight"], x.value, y) if isinstance(layer, Conv2d) else None
    if by_tiles is not None:
        own = own + (x.value.shape[1] + TRANSFORM_ROUNDINGS) * (UNIT * by_tiles[0]) ** 2
    return Rounded(y, layer.forward(squares, x.variance)[0] + own)


def backward(layer: Layer, params: Params, x: Rounded, dy: Rounded) -> tuple[Rounded, dict[str, Rounded]]:
    """Return dx and the parameters' gradients."""
    y, saved = layer.forward(params, x.value)
    dx, grads = layer.backward(params, saved, dy.value)
    if (bent := bend(layer)) is not None:
        slope, _ = layer.backward(params, saved, np.ones_like(y))
        off = bent.jump * (abs(x.value) <= x.reach) + bent.slope_rounding * UNIT
        own = (dy.value**2 + dy.variance) * (off**2 + bent.curvature**2 * x.variance + (UNIT * slope) ** 2)
        return Rounded(dx, slope**2 * dy.variance + own), {}
    if isinstance(layer, MaxPool2d):
        return Rounded(dx, _max_pool_variance(layer, x, dy)), {}
    if isinstance(layer, Masked):
        return layer.rounded(dy), {}
    if isinstance(layer, LPPool2d):
        return Rounded(dx, norm_backward(layer, x.value, x.variance, dy.value, dy.variance)), {}
    if isinstance(layer, (Softmax, LocalResponseNorm)):
        return Rounded(dx, channels_backward(layer, x.value, x.variance, dy.value, dy.variance)), {}
    _, for_dx, for_grads = roundings(layer, params, x.value, y)
    sizes = {key: abs(value) for key, value in params.items()}
    squares = {key: value**2 for key, value in params.items()}
    size_dx, size_grads = _through(layer, sizes, abs(x.value), abs(dy.value))
    var_dx, from_dy = _through(layer, squares, x.value**2 + x.variance, dy.variance)
    _, from_x = _through(layer, squares, x.variance, dy.value**2)
    variances = {key: from_dy[key] + for_grads * (UNIT * size_grads[key]) ** 2 for key in grads}
    if "weight" in variances:
        variances["weight"] += from_x["weight"]
    by_tiles = winograd_sizes(layer, params["weight"], x.value, dy.value) if isinstance(layer, Conv2d) else None
    if by_tiles is not None:
        _, tiles_dx, tiles_dweight = by_tiles
        var_dx = var_dx + (dy.value.shape[1] + TRANSFORM_ROUNDINGS) * (UNIT * tiles_dx) ** 2
        variances["weight"] += (dy.value[:, 0].size + TRANSFORM_ROUNDINGS) * (UNIT * tiles_dweight) ** 2
    return Rounded(dx, var_dx + for_dx * (UNIT * size_dx) ** 2), {
        key: Rounded(grads[key], variances[key]) for key in grads
    }


def _through(layer: Layer, params: Params, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, Params]:
    return layer.backward(params, layer.forward(params, x)[1], dy)


def _fields(layer: MaxPool2d, maps: np.ndarray, border: float = 0.0) -> np.ndarray:
    axes = layer._axes(maps.shape[2:])
    return windows(pad(maps, *axes, value=border), *axes)


def _max_pool_variance(layer: MaxPool2d, x: Rounded, dy: Rounded) -> np.ndarray:
    """Give every pixel that may have won its window the whole dy, unless no other could.

    Equal numbers are no contest: the first one wins, in float32 as well.
    """
    over, axes = (-2, -1), layer._axes(x.value.shape[2:])
    exact, most = _fields(layer, x.value, -np.inf), _fields(layer, x.value + x.reach, -np.inf)
    may_win = most >= _fields(layer, x.value - x.reach, -np.inf).max(axis=over, keepdims=True)
    contested = (may_win & (exact < exact.max(axis=over, keepdims=True))).any(axis=over)
    additions = axes[0].kernel * axes[1].kernel
    share = dy.variance + contested * dy.value**2 + additions * (UNIT * dy.value) ** 2
    return overlap_add(may_win * share[..., None, None], *axes)


def top(network: Network, a: Rounded, target: np.ndarray, sample_weight: np.ndarray | None) -> tuple[Rounded, Rounded]:
    """Return J, without penalties, and δ = w(p − y); from a onwards the native engine has double precision."""
    value, delta = network.loss.value_and_delta(a.value, target, sample_weight)
    weight = network.loss.weights(target, sample_weight)
    weight = weight / weight.sum() if network.loss.reduction == "mean" else weight
    p, kind = network.loss.activation(a.value), type(network.loss).__name__
    if kind == "CrossEntropy":  # dp_k = p_k (da_k − Σ p_i da_i)
        p_variance = p**2 * (a.variance + (p**2 * a.variance).sum(axis=1, keepdims=True))
    elif kind == "LogLoss":
        p_variance = (p * (1 - p)) ** 2 * a.variance
    else:
        p_variance = a.variance
    sizes = weight * network.loss.per_sample(a.value, target)
    value_variance = (delta**2 * a.variance).sum() + ((UNIT * sizes) ** 2).sum()
    return Rounded(np.array(value), value_variance), Rounded(
        delta, weight[:, None] ** 2 * p_variance + 3 * (UNIT * delta) ** 2
    )


def start(network: Network, images: np.ndarray) -> Rounded:
    """Return what enters the network: pixels are divided, the mean is taken off, each with one rounding."""
    x = network.prepare(images)
    mean = np.zeros(1) if network.input_mean is None else network.input_mean
    variance = (UNIT * x) ** 2 * (network.input_mean is not None)
    return Rounded(x, variance + (UNIT * (x + mean)) ** 2 * (images.dtype == np.uint8))


def chain(network: Network, samples: int, *, training: bool) -> list[tuple[str, Layer, Params]]:
    """Return name, layer and parameters of every node; a dropout becomes the mask it draws."""
    found = []
    for position, node in enumerate(network.graph.nodes):
        layer = node.layer
        if isinstance(layer, Dropout):
            ones = np.ones((samples, *node.shape))
            stream = Stream(network.seed, network.step, position)
            layer = Masked(layer.forward({}, ones, training=training, stream=stream)[0])
        found.append((node.name, layer, reference.own(network._params, node)))
    return found


def estimate(
    network: Network, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> dict[str, Rounded]:
    """Return outputs, loss and every gradient of a float64 network that is a chain, by its layers' own NumPy."""
    images, target = network.check_samples(x, y)
    values, predicted = [start(network, images)], start(network, images)
    nodes = chain(network, len(images), training=True)
    for _, layer, params in nodes:
        values.append(forward(layer, params, values[-1]))
    for _, layer, params in chain(network, len(images), training=False):
        predicted = forward(layer, params, predicted)
    loss, delta = top(network, values[-1], target, sample_weight)
    found = {"outputs": predicted}
    for (name, layer, params), reached in zip(nodes[::-1], values[-2::-1], strict=True):
        delta, grads = backward(layer, params, reached, delta)
        found |= {f"{name}.{key}": gradient for key, gradient in grads.items()}
    for name in network.regularized:
        weight = network.parameters[name]
        for penalty in network.regularization:
            term, slope = penalty.value(weight), penalty.gradient(weight)
            loss = Rounded(loss.value + term, loss.variance + weight.size * (UNIT * term) ** 2)
            both = found[name].value + slope
            found[name] = Rounded(both, found[name].variance + (UNIT * slope) ** 2 + (UNIT * both) ** 2)
    return found | {"loss": loss}


def assert_within_rounding(
    network: Network, x: np.ndarray, y: np.ndarray, sample_weight: np.ndarray | None = None
) -> float:
    """Hold a float32 network's outputs, loss and gradients against its layers' NumPy in float64.

    Returns:
        the largest share of what rounding explains.
    """
    exact = network.copy(dtype="float64")
    loss, gradients = network.loss_and_gradients(x, y, sample_weight=sample_weight)
    assert list(gradients) == list(network.parameters)
    given = {"outputs": network.forward(x), "loss": np.array(loss), **gradients}
    worst = 0.0
    for name, expected in estimate(exact, x, y, sample_weight).items():
        assert given[name].shape == expected.value.shape
        allowed = expected.reach + FLUSHED
        share = abs(given[name] - expected.value) / allowed
        at = share.argmax()
        assert share.flat[at] <= 1, (
            f"{name}, number {at}: {given[name].flat[at]:.9g} is not {expected.value.flat[at]:.9g} to within the "
            f"{allowed.flat[at]:.3g} that rounding explains"
        )
        worst = max(worst, float(share.flat[at]))
    return worst
