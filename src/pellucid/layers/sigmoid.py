"""Sigmoid, the logistic function."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram


@dataclass(frozen=True)
class Sigmoid(Layer):
    r"""Logistic function, element by element.

    Legend: x = z, y = a = g(z) (Grishin).

    Forward::

        y = 1/(1 + e^{−x})

    Backward::

        dx = dy·y·(1 − y)

    Computed from e = e^{−|x|}, which never overflows: y = 1/(1 + e) or e/(1 + e), and y(1 − y) = e/(1 + e)².

    As the last activation before ``loss="log_loss"`` leave it out: that loss brings its own.

    Shapes: any, unchanged.

    Source: Grishin §7, §9 (there as part of the loss); Binding §1, by name.
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = \frac{1}{1 + e^{-x}}",
        backward={"dx": r"\frac{\partial J}{\partial x} = y\,(1 - y)\,\frac{\partial J}{\partial y}"},
        source="Grishin §7, §9",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y = 1/(1 + e^{−x})."""
        e = np.exp(-abs(x))
        return np.where(x >= 0, 1, e) / (1 + e), e

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy·y·(1 − y)."""
        e = saved
        return dy * e / (1 + e) ** 2, {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native activation, part of the step before where it can be."""
        return program.activation(slot, "sigmoid")
