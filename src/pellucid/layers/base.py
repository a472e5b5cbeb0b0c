"""The contract every layer keeps.

A layer is a frozen dataclass of settings. It owns no numbers: parameters and running statistics are handed to it,
so that ``forward`` and ``backward`` are plain functions that can be held against the equations.

Arrays are (N, C, H, W) for feature maps or (N, K) for vectors, N being the mini-batch. Shapes leave N out.
Math runs in the dtype of the arrays that come in (float32 or float64).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeAlias

from pellucid.arrays import Array, Rng, Shape, Tensors
from pellucid.description import Described, Formula
from pellucid.errors import ConfigError, EngineError, ShapeError

#: (kernel, stride, dilation, padding before) along one axis
Window: TypeAlias = tuple[int, int, int, int]


class NativeProgram(Protocol):
    """What a layer sees of the native program that it is being lowered into; slots are numbers."""

    def conv(
        self,
        slot: int,
        shape: Shape,
        rows: Window,
        columns: Window,
        *,
        groups: int = 1,
        flip: bool = False,
        winograd: bool = True,
    ) -> int:
        """Add a convolution with the layer's weight and bias."""
        ...

    def max_pool(self, slot: int, shape: Shape, rows: Window, columns: Window) -> int:
        """Add a max pooling."""
        ...

    def avg_pool(self, slot: int, shape: Shape, rows: Window, columns: Window, scale: list[float]) -> int:
        """Add an average pooling."""
        ...

    def lp_pool(self, slot: int, shape: Shape, rows: Window, columns: Window, p: float) -> int:
        """Add a pooling by the p-norm."""
        ...

    def flatten(self, slot: int, *, column_major: bool = False) -> int:
        """Add the change from maps to a vector."""
        ...

    def activation(self, slot: int, kind: str, alpha: float = 0.0) -> int:
        """Apply an activation."""
        ...

    def softmax(self, slot: int) -> int:
        """Add a softmax over the channels."""
        ...

    def response_norm(self, slot: int, size: int, k: float, share: float, beta: float) -> int:
        """Add y = x·s^(−beta), s = k + share·Σ x² over ``size`` neighbouring channels."""
        ...

    def dropout(self, slot: int, p: float) -> int:
        """Add a dropout."""
        ...

    def batch_norm(self, slot: int, *, per_pixel: bool, eps: float, momentum: float) -> int:
        """Add a batch normalization with the layer's weight, bias and running statistics."""
        ...

    def add(self, slots: Sequence[int]) -> int:
        """Add the sum of some slots."""
        ...

    def concat(self, slots: Sequence[int]) -> int:
        """Put the channels of some slots behind each other."""
        ...

    def pad_channels(self, slot: int, channels: int) -> int:
        """Append channels of zeros until there are so many."""
        ...

    def shape(self, slot: int) -> tuple[int, int, int]:
        """Return (C, H, W) of a slot; a vector is maps of one pixel."""
        ...


class Wiring(Protocol):
    """What a layer sees of the graph that it is being connected into."""

    def add(self, path: str, layer: Layer, *sources: str) -> str:
        """Add one application of ``layer`` to the outputs named ``sources``; return the name of its output."""
        ...


@dataclass(frozen=True)
class Layer(Described):
    """Base of all layers. Subclass it as a frozen dataclass to write your own; see ``docs/add-a-layer.md``.

    Attributes:
        name: the layer's part in parameter names (``"conv1"`` gives ``"conv1.weight"``); its position if None.
    """

    name: str | None = field(default=None, kw_only=True)

    formula: ClassVar[Formula | None] = None
    #: names of the parameters that L1, L2 and max-norm act on (weights, not biases or batch-norm coefficients)
    regularized: ClassVar[tuple[str, ...]] = ()

    def output_shape(self, *input_shapes: Any) -> Shape:
        """Return the shape of the output, without the batch.

        Raises:
            ShapeError: the layer cannot take such an input.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define output_shape")

    def init_params(self, input_shape: Shape, rng: Rng) -> Tensors:
        """Return fresh parameters in float64, e.g. ``{"weight": ..., "bias": ...}``; none unless overridden."""
        return {}

    def init_state(self, input_shape: Shape) -> Tensors:
        """Return what the layer remembers between batches (running statistics), updated in place while training."""
        return {}

    def forward(self, params: Tensors, *xs: Any, **context: Any) -> tuple[Array, Any]:
        """Return ``(y, saved)``: the output, and whatever ``backward`` needs.

        ``context`` holds ``state`` (see :meth:`init_state`), ``training`` (bool), and for layers that draw random
        numbers ``rng`` (a generator) and ``stream`` (a :class:`~pellucid.philox.Stream`: a number for every entry of
        every sample); both are the same for the same seed, step and layer.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define forward")

    def backward(self, params: Tensors, saved: Any, dy: Array) -> tuple[Any, Tensors]:
        """Return ``(dx, grads)`` from ``dy`` = ∂J/∂y.

        ``dx`` has the shape of ``x``; it is a tuple, one array an input, for a layer with several inputs. ``grads``
        has the keys and shapes of ``params``.
        """
        raise NotImplementedError(f"{type(self).__name__} does not define backward")

    def parameter_count(self, *input_shapes: Any) -> int:
        """Return how many numbers :meth:`init_params` would return, without making them; 0 unless overridden.

        It is there to refuse a layer that no memory could hold before any of it is drawn.
        """
        return 0

    def multiply_adds(self, *input_shapes: Any) -> int:
        """Return the multiply-add operations of one forward pass for one sample; 0 unless overridden."""
        return 0

    def emit(self, program: NativeProgram, *slots: Any) -> int:
        """Lower the layer to native steps that read ``slots``; return the slot of its output.

        A layer without one runs on the reference engine, and the whole network with it.

        Raises:
            EngineError: there is no native step for the layer.
        """
        raise EngineError(f"{self!r} has no native step")

    def connect(self, wiring: Wiring, path: str, *sources: str) -> str:
        """Add this layer to a graph and return the name of its output. Only containers override it."""
        return wiring.add(path, self, *sources)

    def __call__(self, *inputs: Symbol) -> Symbol:
        """Apply the layer to symbols: the functional form, ``h = Conv2d(16, 3)(x)``."""
        if not inputs or not all(isinstance(i, Symbol) for i in inputs):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"{self!r} was called with {inputs!r}; call a layer with the result of Input(...) or of another layer. "
                "To run arrays through it, put it in a Network."
            )
        return Symbol(self, inputs)


@dataclass(frozen=True, eq=False)
class Symbol:
    """The output of one layer application in the functional form; an :func:`Input` has no layer."""

    layer: Layer | None
    inputs: tuple[Symbol, ...]
    shape: Shape | None = None


def Input(shape: Shape) -> Symbol:  # noqa: N802 - reads as the layer it stands for
    """Return the start of a network in the functional form.

    Args:
        shape: (C, H, W) or (K,), without the batch.

    Raises:
        ShapeError: ``shape`` is not a tuple of whole numbers.
    """
    if not isinstance(shape, (tuple, list)):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ShapeError(f"Input takes a shape such as (1, 28, 28) or (4,), got {shape!r}")
    return Symbol(None, (), tuple(shape))


def pair(value: int | tuple[int, int]) -> tuple[int, int]:
    """Return ``(height, width)`` from one number for both, or from a pair."""
    if isinstance(value, int):
        return value, value
    height, width = value
    return height, width


def require(condition: bool, layer: object, message: str) -> None:
    """Raise :class:`ConfigError` naming the layer unless ``condition`` holds."""
    if not condition:
        raise ConfigError(f"{layer!r}: {message}")


def require_pair(layer: object, setting: str, value: object, *, least: int) -> None:
    """Check that a setting is an int, or a pair of ints, of at least ``least``."""
    numbers: tuple[Any, ...] = value if isinstance(value, tuple) else (value, value)  # pyright: ignore
    good = len(numbers) == 2 and all(type(n) is int and n >= least for n in numbers)
    require(good, layer, f"{setting} must be a whole number of at least {least}, or a pair of them; got {value!r}")


def require_maps(layer: object, shape: Shape) -> tuple[int, int, int]:
    """Return ``(C, H, W)``, or raise :class:`ShapeError` if the input is not a stack of feature maps."""
    if len(shape) != 3:
        raise ShapeError(
            f"{layer!r} takes feature maps of shape (C, H, W), but its input has shape {shape}; "
            "put it before Flatten(), or reshape the data"
        )
    return shape


def require_vector(layer: object, shape: Shape) -> int:
    """Return ``K``, or raise :class:`ShapeError` if the input is not a vector."""
    if len(shape) != 1:
        raise ShapeError(
            f"{layer!r} takes a vector of shape (K,), but its input has shape {shape}; put Flatten() before it"
        )
    return shape[0]
