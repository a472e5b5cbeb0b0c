"""Tanh, the hyperbolic tangent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram


@dataclass(frozen=True)
class Tanh(Layer):
    r"""Hyperbolic tangent, element by element.

    Forward::

        y = tanh x = (e^x − e^{−x}) / (e^x + e^{−x})

    Backward::

        dx = dy·(1 − y²)

    Shapes: any, unchanged.

    Source: Binding §1, by name; LeCun et al. 1998 (LeNet).
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = \tanh x",
        backward={"dx": r"\frac{\partial J}{\partial x} = (1 - y^2)\,\frac{\partial J}{\partial y}"},
        source="Binding §1",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y = tanh x."""
        y = np.tanh(x)
        return y, y

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy·(1 − y²)."""
        y = saved
        return dy * (1 - y**2), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native activation, part of the step before where it can be."""
        return program.activation(slot, "tanh")
