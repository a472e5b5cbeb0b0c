"""Layers made of layers: Sequential, Residual, Concat, and the sum and the join they stand on.

Only :class:`Add` and :class:`Concat` compute; the others spell out a graph. In a graph, the δ of a value that several
layers read is the sum of what each of them sends back: that, and nothing else, is how gradients pass a branch
(Epelbaum, "Batchpropagation through a ResNet module").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import ConfigError, ShapeError
from pellucid.layers.base import Formula, Layer, NativeProgram, Wiring


@dataclass(frozen=True)
class Sequential(Layer):
    """Apply layers one after the other.

    Args:
        layers: the layers, first to last; a layer without a name is called by its position.

    Raises:
        ConfigError: something in the list is not a layer.
    """

    layers: Sequence[Layer]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        for layer in self.layers:
            if not isinstance(layer, Layer):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(
                    f"a list of layers contains {layer!r}, which is not a layer; write layers like ReLU(), "
                    "with brackets"
                )

    def connect(self, wiring: Wiring, path: str, *sources: str) -> str:
        """Connect the layers in a chain."""
        for position, layer in enumerate(self.layers):
            sources = (layer.connect(wiring, join(path, layer.name or str(position)), *sources),)
        return sources[0]


@dataclass(frozen=True)
class Residual(Layer):
    """Add a body to its own input: y = body(x) + shortcut(x).

    Epelbaum's residual module: the body fits a small change δh of the input instead of the whole output.

    Parameter names of the body join the block's own (``"layer1.0.conv1.weight"``); those of the shortcut come under
    ``"shortcut"``, or under the shortcut's name.

    Args:
        body: a layer, or a list of layers applied in turn.
        shortcut: a layer, or a list; the identity if None.

    Raises:
        ShapeError: body and shortcut give different shapes.

    Source: Epelbaum, "ResNet" and "Batchpropagation through a ResNet module".
    """

    body: Layer | Sequence[Layer]
    shortcut: Layer | Sequence[Layer] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "body", _chain(self.body))
        if self.shortcut is not None:
            object.__setattr__(self, "shortcut", _chain(self.shortcut, keep_single=True))

    def connect(self, wiring: Wiring, path: str, *sources: str) -> str:
        """Connect body and shortcut to the same source, and add what they give."""
        body, shortcut = self.body, self.shortcut
        assert isinstance(body, Layer)
        changed = body.connect(wiring, join(path, body.name), *sources)
        kept = sources[0]
        if isinstance(shortcut, Layer):
            kept = shortcut.connect(wiring, join(path, shortcut.name or "shortcut"), *sources)
        return wiring.add(join(path, "add"), Add(), changed, kept)


@dataclass(frozen=True)
class Add(Layer):
    """Sum of several inputs of one shape.

    Forward::

        y = x₁ + x₂ + …

    Backward::

        dx₁ = dx₂ = … = dy

    Raises:
        ShapeError: fewer than two inputs, or their shapes differ.

    Source: Epelbaum, "ResNet", h⁽⁴⁾ = h⁽⁰⁾ + δh⁽⁰⁾.
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = \sum_i x^{(i)}",
        backward={"dx": r"\frac{\partial J}{\partial x^{(i)}} = \frac{\partial J}{\partial y}"},
        source="Epelbaum, ResNet",
    )

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return the common shape."""
        if len(input_shapes) < 2 or len(set(input_shapes)) > 1:
            listed = " and ".join(map(str, input_shapes))
            raise ShapeError(
                f"Add() needs two or more inputs of the same shape, got {listed}; in a Residual, give the body's last "
                "layer as many channels as the input has, or a shortcut such as Conv2d(channels, 1, stride)"
            )
        return input_shapes[0]

    def forward(self, params: Tensors, *xs: Array, **_: Any) -> tuple[Array, int]:
        """Return the sum."""
        y = xs[0] + xs[1]
        for x in xs[2:]:
            y = y + x
        return y, len(xs)

    def backward(self, params: Tensors, saved: int, dy: Array) -> tuple[tuple[Array, ...], Tensors]:
        """Return dy for every input."""
        return (dy,) * saved, {}

    def emit(self, program: NativeProgram, *slots: int) -> int:
        """Lower to native sums, or to an addend of the batch norm before it."""
        return program.add(slots)


@dataclass(frozen=True)
class Concat(Layer):
    """Stack feature maps (or vectors) of several branches: the joint of an inception module.

    Forward, with C₁ maps in the first branch::

        y[t,c] = x₁[t,c] for c < C₁,  x₂[t,c − C₁] for the next C₂,  …

    Backward::

        dx₁ = dy[t, :C₁],  dx₂ = dy[t, C₁ : C₁ + C₂],  …

    Args:
        branches: layers, or lists of layers, that all read the same input. Without branches, ``Concat()`` joins its
            own inputs, for the functional form: ``Concat()(a, b)``.

    Raises:
        ShapeError: the branches' heights and widths differ.

    Source: Epelbaum, "GoogleNet".
    """

    branches: Sequence[Layer | Sequence[Layer]] = ()

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{t,\,C_1+\dots+C_{i-1}+c} = x^{(i)}_{tc}",
        backward={
            "dx": r"\frac{\partial J}{\partial x^{(i)}_{tc}} = \frac{\partial J}{\partial y_{t,\,C_1+\dots+C_{i-1}+c}}"
        },
        source="Epelbaum, GoogleNet",
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", tuple(_chain(branch, keep_single=True) for branch in self.branches))

    def connect(self, wiring: Wiring, path: str, *sources: str) -> str:
        """Connect every branch to the same source and join them; join the sources if there are no branches."""
        if not self.branches:
            return wiring.add(path, self, *sources)
        outputs: list[str] = []
        for position, branch in enumerate(self.branches):
            assert isinstance(branch, Layer)
            outputs.append(branch.connect(wiring, join(path, branch.name or str(position)), *sources))
        return wiring.add(join(path, "concat"), Concat(), *outputs)

    def output_shape(self, *input_shapes: Shape) -> Shape:
        """Return (C₁ + C₂ + …, H, W)."""
        if not input_shapes or len({shape[1:] for shape in input_shapes}) > 1:
            listed = " and ".join(map(str, input_shapes)) or "none"
            raise ShapeError(
                f"Concat() joins inputs that differ in their first dimension only, got {listed}; "
                "give the branches the same stride, and padding='same'"
            )
        return (sum(shape[0] for shape in input_shapes), *input_shapes[0][1:])

    def forward(self, params: Tensors, *xs: Array, **_: Any) -> tuple[Array, list[int]]:
        """Return the inputs stacked along their first dimension."""
        ends = list(accumulate(x.shape[1] for x in xs))
        return np.concatenate(xs, axis=1), ends

    def backward(self, params: Tensors, saved: list[int], dy: Array) -> tuple[tuple[Array, ...], Tensors]:
        """Return the slice of dy that belongs to each input."""
        return tuple(np.split(dy, saved[:-1], axis=1)), {}

    def emit(self, program: NativeProgram, *slots: int) -> int:
        """Lower to nothing: the inputs are computed where they belong in the output."""
        return program.concat(slots)


def join(path: str, name: str | None) -> str:
    """Return ``path.name``, or the one that is given."""
    return ".".join(part for part in (path, name) if part)


def _chain(layers: Layer | Sequence[Layer], keep_single: bool = False) -> Layer:
    """Return one layer for one or for a list; a single one is wrapped unless it may keep its own path."""
    if isinstance(layers, Sequential) or (keep_single and isinstance(layers, Layer)):
        return layers
    return Sequential((layers,) if isinstance(layers, Layer) else layers)
