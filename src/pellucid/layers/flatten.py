"""Flatten: feature maps to a vector."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram


@dataclass(frozen=True)
class Flatten(Layer):
    r"""Write feature maps out as one vector; the values stay what they are.

    Forward, row by row (the default; Nguyen's k = 16m + 4x + y)::

        y[t, W·H·c + W·u + v] = x[t,c,u,v]

    or column by column (``column_major=True``; Grishin's s₆ = 64(k₅ − 1) + 8(v₅ − 1) + u₅)::

        y[t, W·H·c + H·v + u] = x[t,c,u,v]

    Backward::

        dx[t,c,u,v] = dy[t, the same index]

    Args:
        column_major: read each map column by column, as Grishin's text does. Matters only when weights are exchanged.

    Shapes: x (N, C, H, W) or (N, K); y (N, C·H·W).

    Source: Nguyen (5), (39); Grishin §5, §12; Binding §1, "Flattening layer".
    """

    column_major: bool = False

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{t,\,WHc+Wu+v} = x_{tcuv}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \frac{\partial J}{\partial y_{t,\,WHc+Wu+v}}",
        },
        source="Nguyen (5), (39); Grishin §5, §12",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C·H·W,)."""
        return (prod(input_shape),)

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Shape]:
        """Return the maps of every sample, one after the other."""
        ordered = x.swapaxes(-1, -2) if self._turns(x.shape) else x
        return ordered.reshape(len(x), -1), x.shape

    def backward(self, params: Tensors, saved: Shape, dy: Array) -> tuple[Array, Tensors]:
        """Return dy in the shape of x."""
        if self._turns(saved):
            *maps, height, width = saved
            return dy.reshape(*maps, width, height).swapaxes(-1, -2), {}
        return dy.reshape(saved), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native step, or nothing for maps of one pixel."""
        return program.flatten(slot, column_major=self.column_major)

    def _turns(self, shape: Shape) -> bool:
        return self.column_major and len(shape) == 4
