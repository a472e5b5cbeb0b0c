"""The network of an estimator: the one it is told, or one that fits whatever comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import signature
from typing import Any, TypeAlias, cast

from pellucid.arrays import Shape
from pellucid.errors import ConfigError
from pellucid.graph import Graph
from pellucid.layers import Conv2d, Flatten, Layer, Linear, MaxPool2d, ReLU, Symbol
from pellucid.losses import resolve_loss
from pellucid.network import Network
from pellucid.regularizers import L2
from pellucid.zoo import build

#: what an estimator's ``network`` may be
Architecture: TypeAlias = str | Sequence[Layer] | Layer | Callable[..., Any] | None

#: filters of the first convolution of the default network, and the most that a later one has
_FILTERS, _MOST_FILTERS = 32, 128

#: maps no larger than this are not pooled any more
_SMALL = 4

#: hidden units where there is nothing to slide a filter over
_HIDDEN = 128


def default_layers(input_shape: Shape, outputs: int) -> list[Layer]:
    """Return layers that fit any input.

    For images, blocks of a 3×3 convolution that keeps the size, ReLU, and 2×2 max pooling, with 32, 64, 128, 128, …
    filters, until no side is longer than 4; then one more convolution if there are fewer than two; then a fully
    connected layer. A side of one pixel is neither convolved nor pooled. Vectors, and images of a single pixel, have a
    fully connected layer of 128 units with ReLU in place of the blocks.

    Neither dropout nor batch normalization is among them: a sample of weight 2 is then the same as two samples, and a
    batch may be as small as it likes.

    Args:
        input_shape: (C, H, W) or (K,).
        outputs: of the last layer.

    Example:
        >>> default_layers((1, 8, 8), 10)  # doctest: +NORMALIZE_WHITESPACE
        [Conv2d(32, (3, 3), padding=(1, 1)), ReLU(), MaxPool2d((2, 2)),
         Conv2d(64, (3, 3), padding=(1, 1)), ReLU(), Flatten(), Linear(10)]
    """
    if len(input_shape) == 1 or input_shape[1:] == (1, 1):
        flat: list[Layer] = [] if len(input_shape) == 1 else [Flatten()]
        return [*flat, Linear(_HIDDEN), ReLU(), Linear(outputs)]
    size, filters = input_shape[1:], _FILTERS
    layers: list[Layer] = []
    while max(size) > _SMALL:
        pool = _each(size, 2)
        layers += [_convolution(size, filters), ReLU(), MaxPool2d(pool)]
        size = (size[0] // pool[0], size[1] // pool[1])
        filters = min(2 * filters, _MOST_FILTERS)
    if sum(isinstance(layer, Conv2d) for layer in layers) < 2:
        layers += [_convolution(size, filters), ReLU()]
    return [*layers, Flatten(), Linear(outputs)]


def make_network(
    architecture: Architecture,
    input_shape: Shape,
    outputs: int,
    *,
    loss: str,
    seed: int,
    alpha: float,
    engine: str,
    n_jobs: int | None,
) -> Network:
    """Return a network of that many outputs.

    Args:
        architecture: see :class:`~pellucid.estimator.ConvNetClassifier`.
        input_shape: (C, H, W) or (K,).
        outputs: what it must give.
        loss: the name of its loss.
        seed: fixes the initial weights, and everything random in training.
        alpha: λ of an L2 penalty.
        engine, n_jobs: as for :class:`~pellucid.Network`.

    Raises:
        ConfigError: there is no such network; or it does not take, or give, what it must; or one that a callable
            returned has another loss.
        ShapeError: a layer does not fit.
    """
    made = _resolve(architecture, input_shape, outputs)
    if isinstance(made, Network):
        network = made.copy()
        if type(network.loss) is not type(resolve_loss(loss)):
            raise ConfigError(f"network: the callable's network has the loss {network.loss!r}, but {loss!r} is needed")
    else:
        penalties = [L2(alpha)] if alpha else []
        shape = None if isinstance(made, Symbol) else input_shape
        network = Network(made, shape, loss=loss, seed=seed, engine=engine, regularization=penalties)
    network.n_jobs = n_jobs
    if (network.input_shape, network.output_shape) != (input_shape, (outputs,)):
        raise ConfigError(
            f"network takes {network.input_shape} and gives {network.output_shape}, but the data are {input_shape} "
            f"and need {outputs} outputs: end it with Linear({outputs})"
        )
    return network


def _resolve(
    architecture: Architecture, input_shape: Shape, outputs: int
) -> Network | Sequence[Layer] | Layer | Symbol | Graph:
    """Return a network that a callable made, or else what a network is made of."""
    made: Any = architecture
    if architecture is None:
        made = default_layers(input_shape, outputs)
    elif isinstance(architecture, str):
        made = build(architecture, input_shape=input_shape, classes=outputs).graph
    elif callable(architecture) and not isinstance(architecture, Layer) and _takes_shape_and_classes(architecture):
        made = architecture(input_shape=input_shape, classes=outputs)
    if isinstance(made, (Network, list, tuple, Layer, Symbol, Graph)):
        return cast("Network | Sequence[Layer] | Layer | Symbol | Graph", made)
    raise ConfigError(
        "network must be a list of layers, the name of a zoo network, a callable that takes input_shape and classes "
        f"and returns layers or a Network, or None; got {made!r}"
    )


def _takes_shape_and_classes(maker: Callable[..., Any]) -> bool:
    try:
        signature(maker).bind(input_shape=(), classes=0)
    except TypeError:
        return False
    return True


def _convolution(size: Shape, filters: int) -> Conv2d:
    kernel = _each(size, 3)
    return Conv2d(filters, kernel, padding=(kernel[0] // 2, kernel[1] // 2))


def _each(size: Shape, extent: int) -> tuple[int, int]:
    """Return the extent of a window on maps of that size: 1 along a side of one pixel."""
    height, width = size
    return (extent if height > 1 else 1, extent if width > 1 else 1)
