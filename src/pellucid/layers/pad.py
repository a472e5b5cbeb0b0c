"""A border around feature maps."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import EngineError
from pellucid.layers.base import Formula, Layer, NativeProgram, require, require_maps, require_pair
from pellucid.layers.windows import check_sides, has_sides

Sides = tuple[tuple[int, int], tuple[int, int]]


@dataclass(frozen=True)
class Pad2d(Layer):
    r"""Put a border of one value around every feature map.

    Convolutions and pools have a ``padding`` of their own; this is for a border that something else is to see, or of
    another value than theirs.

    Forward, with P rows above the map and Q columns before it::

        y[t,c,l,m] = x[t,c, l − P, m − Q]  inside the map, else value

    Backward::

        dx[t,c,u,v] = dy[t,c, u + P, v + Q]

    Args:
        padding: pixels on each side, a pair (above and below, left and right), or ((top, bottom), (left, right)).
        value: what the border holds. The native engine has a border of zeros only.

    Shapes: x (N, C, H, W); y (N, C, H + top + bottom, W + left + right).

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W).

    Source: Binding §1.3, "zero-padding".
    """

    padding: int | tuple[int, int] | Sides
    value: float = 0.0

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tclm} = x_{t,c,\,l-P,\,m-Q} \text{ inside the map, else the value}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \frac{\partial J}{\partial y_{t,c,\,u+P,\,v+Q}}",
        },
        source="Binding §1.3",
    )

    def __post_init__(self) -> None:
        if has_sides(self.padding):
            check_sides(self, self.padding)
        else:
            require_pair(self, "padding", self.padding, least=0)
        require(isfinite(self.value), self, f"value must be finite; got {self.value!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C, H + top + bottom, W + left + right)."""
        channels, height, width = require_maps(self, input_shape)
        (top, bottom), (left, right) = self.sides
        return (channels, top + height + bottom, left + width + right)

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Shape]:
        """Return x with the border around it."""
        return np.pad(x, [(0, 0), (0, 0), *self.sides], constant_values=self.value), x.shape[2:]

    def backward(self, params: Tensors, saved: Shape, dy: Array) -> tuple[Array, Tensors]:
        """Return dx: dy without the border."""
        height, width = saved
        (top, _), (left, _) = self.sides
        return dy[:, :, top : top + height, left : left + width], {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native average pooling with windows of one pixel, which are 0 outside the map.

        Raises:
            EngineError: the border is not of zeros.
        """
        if self.value:
            raise EngineError(f"{self!r}: the native step pads with zeros only")
        shape = self.output_shape(program.shape(slot))
        (top, _), (left, _) = self.sides
        return program.avg_pool(slot, shape, (1, 1, 1, top), (1, 1, 1, left), [1.0] * (shape[1] * shape[2]))

    @property
    def sides(self) -> Sides:
        """The border as ((top, bottom), (left, right))."""
        rows, columns = (self.padding, self.padding) if isinstance(self.padding, int) else self.padding
        return _both(rows), _both(columns)


def _both(border: int | tuple[int, int]) -> tuple[int, int]:
    return (border, border) if isinstance(border, int) else border
