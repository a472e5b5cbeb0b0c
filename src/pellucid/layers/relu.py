"""ReLU: the rectified linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram


@dataclass(frozen=True)
class ReLU(Layer):
    r"""Rectified linear unit, element by element.

    Legend: x = S (Nguyen), a (Epelbaum); y = C (Nguyen), h (Epelbaum).

    Forward::

        y = x  if x > 0,  else 0

    Backward::

        dx = dy  if x > 0,  else 0

    The derivative at 0 is taken as 0, as Nguyen (44) and Binding (footnote 4) do.

    Shapes: any, unchanged.

    Source: Nguyen (1), (3), (44), (59).
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = \max(0, x)",
        backward={"dx": r"\frac{\partial J}{\partial x} = [x > 0]\,\frac{\partial J}{\partial y}"},
        source="Nguyen (1), (3), (44), (59)",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y = max(0, x)."""
        return np.maximum(x, 0), x > 0

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy·[x > 0]."""
        positive = saved
        return dy * positive, {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native activation, part of the step before where it can be."""
        return program.activation(slot, "relu")
