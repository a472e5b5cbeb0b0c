"""ELU: the exponential linear unit."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import EngineError
from pellucid.layers.base import Formula, Layer, NativeProgram, require


@dataclass(frozen=True)
class ELU(Layer):
    r"""Exponential linear unit, element by element.

    Legend: x = z, y = a (Grishin); dy = μ or tt, dx = t.

    Forward::

        y = x  if x ≥ 0,  else α(e^x − 1)

    Backward, with Grishin's ELUD::

        dx = dy  if x ≥ 0,  else dy·α·e^x

    Grishin's α is 1. For any other the derivative jumps at 0, where 1 is taken.

    Args:
        alpha: α, at least 0; the output stays above −α.

    Shapes: any, unchanged.

    Raises:
        ConfigError: ``alpha`` is negative or not finite.

    Source: Grishin §1 (ELU), §10 (ELUD), §14, §17.
    """

    alpha: float = 1.0

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = [x \ge 0]\,x + [x < 0]\,\alpha\,(e^x - 1)",
        backward={
            "dx": r"\frac{\partial J}{\partial x} = "
            r"\big([x \ge 0] + [x < 0]\,\alpha\,e^x\big)\,\frac{\partial J}{\partial y}"
        },
        source="Grishin §1, §10",
    )

    def __post_init__(self) -> None:
        good = isfinite(self.alpha) and self.alpha >= 0
        require(good, self, f"alpha must be a finite number of at least 0; got {self.alpha!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y = x where x ≥ 0, else α(e^x − 1)."""
        return np.where(x >= 0, x, self.alpha * np.expm1(np.minimum(x, 0))), x

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy·ELUD(x)."""
        x = saved
        return dy * np.where(x >= 0, 1, self.alpha * np.exp(np.minimum(x, 0))), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native activation, part of the step before where it can be."""
        if self.alpha == 0:
            raise EngineError(f"{self!r}: the native step takes the slope from y, which needs alpha above 0")
        return program.activation(slot, "elu", self.alpha)
