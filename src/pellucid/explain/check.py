"""Gradient checking: every derivative held against central differences.

    ∂J/∂θ  ≈  [J(θ + h) − J(θ − h)] / 2h

in float64. Where the loss has a kink within reach of h (a ReLU at 0, a tie in a max pool), the difference is taken on
the side without it, or with a smaller step; at the kink itself any slope between the left and the right one is a valid
answer, and such entries are counted apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.arrays import Array, Rng, Shape, Tensors
from pellucid.engine import reference
from pellucid.errors import ConfigError, ShapeError
from pellucid.graph import INPUT, Graph
from pellucid.layers.base import Layer
from pellucid.network import Network
from pellucid.philox import Stream

#: step of the plain central difference; halfway between truncation (h²) and rounding (ε/h)
STEP = 1e-4


@dataclass(frozen=True)
class Entry:
    """One number that was checked.

    Attributes:
        layer: path of the layer in the network, or the layer itself when one layer is checked.
        tensor: ``"weight"``, ``"bias"``, …, or ``"input"``.
        index: position in that tensor.
        analytic, numeric: the two derivatives.
        error: |analytic − numeric| / max(|analytic|, |numeric|, 10⁻⁴·g), g being the largest gradient of the check.
    """

    layer: str
    tensor: str
    index: tuple[int, ...]
    analytic: float
    numeric: float
    error: float

    def __str__(self) -> str:
        """Name the entry and both derivatives."""
        where = f"{self.layer} {self.tensor}[{', '.join(map(str, self.index))}]"
        return f"{where}: analytic {self.analytic:.10g}, numeric {self.numeric:.10g}, relative error {self.error:.2g}"


@dataclass(frozen=True)
class GradientReport:
    """Result of :func:`check_gradients`.

    Attributes:
        worst_by_tensor: the worst entry of every tensor, in the order of the layers.
        checked: entries checked.
        kinks: entries at which the loss itself has a kink, and the gradient is one of its slopes there.
        tolerance: largest error that passes.
    """

    worst_by_tensor: tuple[Entry, ...]
    checked: int
    kinks: int
    tolerance: float

    @property
    def worst(self) -> Entry:
        """The entry with the largest error."""
        return max(self.worst_by_tensor, key=lambda entry: entry.error)

    @property
    def error(self) -> float:
        """Largest relative error."""
        return self.worst.error

    @property
    def passed(self) -> bool:
        """Whether every entry is within the tolerance."""
        return self.error <= self.tolerance

    def __str__(self) -> str:
        """Say whether the check passed, over how many entries, and which was worst."""
        verdict = "passed" if self.passed else "FAILED"
        kinks = f", {self.kinks} of them at a kink" if self.kinks else ""
        return f"gradient check {verdict}: {self.checked} entries{kinks}; worst: {self.worst}"


@dataclass(frozen=True)
class Part:
    """A tensor to check: its numbers (changed in place), its gradient, and the terms that J is the sum of."""

    layer: str
    tensor: str
    values: Array
    gradient: Array
    terms: Callable[[], Array]


def check_gradients(
    target: Network | Layer,
    input_shape: Shape | Sequence[Shape] | None = None,
    *,
    batch: int = 2,
    samples: int | None = None,
    seed: int = 0,
    x: Any | None = None,
    y: Any | None = None,
    training: bool = True,
    jitter: float = 0.1,
    tolerance: float = 1e-6,
) -> GradientReport:
    """Compare every analytic gradient of a network, or of one layer (your own, too), with central differences.

    A network is checked through its loss and penalties. A layer is checked through J = Σ v·y with random v, with
    respect to its parameters and its input.

    Args:
        target: a network, or a layer.
        input_shape: for a layer: the shape of its input without the batch, or a list of shapes for several inputs.
        batch: samples to draw if ``x`` is not given.
        samples: check this many entries of every tensor, chosen by ``seed``; every entry if None.
        seed: fixes the inputs, v, dropout masks and the choice of entries.
        x, y: for a network: the batch to check with; drawn at random if None.
        training: batch statistics and dropout on, as while training.
        jitter: standard deviation of noise added to (a copy of) the parameters: a bias of 0 or a γ of 1 would hide a
            missing factor.
        tolerance: largest relative error that passes.

    Returns:
        A report; print it, or ask for ``.passed`` and ``.worst``.

    Raises:
        ConfigError: a layer without ``input_shape``, or a number out of range.
        ShapeError: the layer's ``backward`` gives gradients of other names or shapes than its parameters and input.

    Example:
        >>> from pellucid.layers import Linear
        >>> check_gradients(Linear(3), (4,)).passed
        True
    """
    if batch < 1 or (samples is not None and samples < 1):
        raise ConfigError(f"batch and samples must be at least 1; got {batch} and {samples}")
    rng = np.random.default_rng(seed)
    if isinstance(target, Network):
        parts = network_parts(target, x, y, batch, rng, training, jitter)
    elif input_shape is None:
        raise ConfigError(f"give the input_shape to check {target!r} with, e.g. (3, 8, 8)")
    else:
        shapes = [input_shape] if not input_shape or isinstance(input_shape[0], int) else list(input_shape)
        parts = _layer_parts(target, shapes, batch, rng, training, jitter)  # pyright: ignore[reportArgumentType]
    largest = max((float(abs(part.gradient).max()) for part in parts if part.gradient.size), default=0.0)
    worst: list[Entry] = []
    checked = kinks = 0
    for part in parts:
        if not part.values.size:
            continue
        entries = [check_entry(part, index, 1e-4 * largest, tolerance) for index in _choose(part.values, samples, rng)]
        worst.append(max((entry for entry, _ in entries), key=lambda entry: entry.error))
        checked += len(entries)
        kinks += sum(kinked for _, kinked in entries)
    return GradientReport(tuple(worst), checked, kinks, tolerance)


def _choose(values: Array, samples: int | None, rng: Rng) -> list[tuple[int, ...]]:
    """Return all indices of an array, or a seeded choice of them."""
    flat = np.arange(values.size)
    if samples is not None and samples < values.size:
        flat = np.sort(rng.choice(values.size, samples, replace=False))
    return [tuple(int(i) for i in np.unravel_index(k, values.shape)) for k in flat]


def check_entry(part: Part, index: tuple[int, ...], floor: float, tolerance: float) -> tuple[Entry, bool]:
    """Return the entry with the derivative estimate closest to the analytic one, and whether it sits at a kink."""
    analytic = float(part.gradient[index])
    origin = part.values[index]
    scale = max(1.0, abs(float(origin)))

    def terms_at(offset: float) -> Array:
        part.values[index] = origin + offset
        try:
            return part.terms()
        finally:
            part.values[index] = origin

    def slope(*stencil: tuple[float, float], h: float) -> float:
        """Return Σ coefficient·J(θ + position·h) / h; terms that do not change cancel before they are summed."""
        total = sum(coefficient * terms_at(position * h * scale) for position, coefficient in stencil)
        return float(np.sum(total)) / (h * scale)

    def entry(numeric: float) -> Entry:
        size = max(abs(analytic), abs(numeric), floor)
        error = abs(analytic - numeric) / size if analytic != numeric else 0.0
        return Entry(part.layer, part.tensor, index, analytic, numeric, error if np.isfinite(error) else np.inf)

    central = ((1, 0.5), (-1, -0.5))
    best = entry(slope(*central, h=STEP))
    if best.error <= tolerance:
        return best, False
    four_points = ((1, 2 / 3), (-1, -2 / 3), (2, -1 / 12), (-2, 1 / 12))
    right, left = ((0, -1.5), (1, 2.0), (2, -0.5)), ((0, 1.5), (-1, -2.0), (-2, 0.5))
    for stencil, h in ((four_points, 1e-3), (right, STEP), (left, STEP), (central, 1e-5), (central, 1e-6)):
        best = min(best, entry(slope(*stencil, h=h)), key=lambda e: e.error)
        if best.error <= tolerance:
            return best, False
    lower, upper = sorted(slope(*stencil, h=1e-6) for stencil in (left, right))
    slack = 1e-6 * max(abs(lower), abs(upper), floor)
    if upper - lower > 1e3 * slack and lower - slack <= analytic <= upper + slack:
        return entry(analytic), True
    return best, False


def _layer_parts(layer: Layer, shapes: list[Shape], batch: int, rng: Rng, training: bool, jitter: float) -> list[Part]:
    """Return the parts of J = Σ v·y for one layer; a container is expanded into its graph first."""
    inputs = [rng.normal(size=(batch, *shape)) for shape in shapes]
    if type(layer).connect is not Layer.connect and len(shapes) == 1:
        graph = Graph(layer, shapes[0])
        if graph.nodes[-1].layer != layer:
            params, state = graph.init_tensors(rng, np.float64)
            projection = rng.normal(size=(batch, *graph.output_shape))
            _shake(params, jitter, rng)
            return _graph_parts(
                graph,
                params,
                state,
                inputs[0],
                lambda y: projection * y,
                lambda _: projection,
                training,
                lambda: 0.0,
                {},
            )
    params = {key: np.array(value, dtype=np.float64) for key, value in layer.init_params(shapes[0], rng).items()}
    state = {key: np.array(value, dtype=np.float64) for key, value in layer.init_state(shapes[0]).items()}
    _shake(params, jitter, rng)
    projection = rng.normal(size=(batch, *layer.output_shape(*shapes)))
    mask_seed = int(rng.integers(2**31))

    def run() -> tuple[Array, Any]:
        own_state = {key: value.copy() for key, value in state.items()}
        rng, stream = np.random.default_rng(mask_seed), Stream(mask_seed)
        return layer.forward(params, *inputs, state=own_state, training=training, rng=rng, stream=stream)

    y, saved = run()
    _require_shape(repr(layer), "forward's output", y, projection.shape)
    dx, grads = layer.backward(params, saved, projection)
    deltas = reference.by_input(dx)
    label = repr(layer)
    _require_names(label, grads, params)
    values = [
        ("input" if len(inputs) == 1 else f"input {i}", x, d)
        for i, (x, d) in enumerate(zip(inputs, deltas, strict=True))
    ]
    values += [(key, params[key], grads[key]) for key in params]
    for key, value, gradient in values:
        _require_shape(label, f"the gradient of {key}", gradient, value.shape)
    return [Part(label, key, value, gradient, lambda: projection * run()[0]) for key, value, gradient in values]


def network_parts(network: Network, x: Any, y: Any, batch: int, rng: Rng, training: bool, jitter: float) -> list[Part]:
    """Return the parts of a network's J, of a copy in float64: its loss, sample by sample, and its penalties."""
    net = network.copy(dtype="float64")
    if x is None:
        x = rng.normal(size=(batch, *net.input_shape))
    if y is None:
        y = _random_target(net, len(x), rng)
    images, target = net.check_samples(x, y)
    params, state = dict(net.parameters), dict(net.state)
    _shake(params, jitter, rng)
    weight = net.loss.weights(target, None)
    if net.loss.reduction == "mean":
        weight = weight / weight.sum()

    def penalty() -> float:
        return sum(p.value(params[name]) for name in net.regularized for p in net.regularization)

    slopes = {name: sum(p.gradient(params[name]) for p in net.regularization) for name in net.regularized}
    return _graph_parts(
        net.graph,
        params,
        state,
        net.prepare(images),
        lambda outputs: weight * net.loss.per_sample(outputs, target),
        lambda outputs: net.loss.value_and_delta(outputs, target)[1],
        training,
        penalty,
        slopes,
        (net.seed, net.step),
    )


def _graph_parts(
    graph: Graph,
    params: Tensors,
    state: Tensors,
    x: Array,
    terms_of: Callable[[Array], Array],
    delta_of: Callable[[Array], Array],
    training: bool,
    penalty: Callable[[], float],
    penalty_slopes: dict[str, Any],
    drawn_by: tuple[int, int] = (0, 0),
) -> list[Part]:
    """Return a part for the input and every parameter; J runs again only from the layer that changed."""

    def run(known: Tensors | None = None) -> reference.Pass:
        own_state = {name: value.copy() for name, value in state.items()}
        seed, step = drawn_by
        return reference.forward(graph, params, own_state, x, training=training, seed=seed, step=step, known=known)

    last = graph.nodes[-1].name
    base = run()
    deltas, grads = reference.backward(graph, params, base, delta_of(base.values[last]))
    _require_names("the network", grads, params)
    parts = [Part(INPUT, "input", x, deltas[INPUT], lambda: terms_of(run().values[last]))]
    for position, node in enumerate(graph.nodes):
        known = {earlier.name: base.values[earlier.name] for earlier in graph.nodes[:position]}

        def terms(known: Tensors = known) -> Array:
            return np.append(terms_of(run(known).values[last]).ravel(), penalty())

        for key, gradient in reference.own(grads, node).items():
            name = f"{node.name}.{key}"
            _require_shape(
                f"layer {node.name!r} {node.layer!r}", f"the gradient of {key}", gradient, params[name].shape
            )
            parts.append(Part(node.name, key, params[name], gradient + penalty_slopes.get(name, 0.0), terms))
    return parts


def _random_target(net: Network, count: int, rng: Rng) -> Array:
    """Return class numbers for a loss that takes them, values for one that does not."""
    (outputs,) = net.output_shape
    if net.loss.metric_name(np.zeros((1, outputs))) == "mae":
        return rng.normal(size=(count, outputs))
    return rng.integers(outputs, size=count) if outputs > 1 else rng.integers(2, size=(count, 1))


def _shake(params: Tensors, jitter: float, rng: Rng) -> None:
    if jitter:
        for value in params.values():
            value += jitter * rng.normal(size=value.shape)


def _require_names(label: str, grads: Tensors, params: Tensors) -> None:
    if grads.keys() != params.keys():
        raise ShapeError(f"{label}: backward gives gradients of {sorted(grads)}, its parameters are {sorted(params)}")


def _require_shape(label: str, what: str, value: Array, shape: Shape) -> None:
    if value.shape != shape:
        raise ShapeError(f"{label}: {what} has shape {value.shape}, expected {shape}")
