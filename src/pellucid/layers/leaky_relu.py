"""Leaky ReLU."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import EngineError
from pellucid.layers.base import Formula, Layer, NativeProgram, require


@dataclass(frozen=True)
class LeakyReLU(Layer):
    r"""Rectified linear unit that lets a little through below 0, element by element.

    Forward::

        y = x  if x > 0,  else a·x

    Backward::

        dx = dy  if x > 0,  else a·dy

    The derivative at 0 is taken as a, which for a = 0 is that of ReLU.

    Args:
        negative_slope: a.

    Shapes: any, unchanged.

    Raises:
        ConfigError: ``negative_slope`` is not finite.

    Source: Maas et al. 2013, §2; Epelbaum's "ReLU (or other) activation".
    """

    negative_slope: float = 0.01

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y = [x > 0]\,x + [x \le 0]\,a\,x",
        backward={
            "dx": r"\frac{\partial J}{\partial x} = \big([x > 0] + a\,[x \le 0]\big)\,\frac{\partial J}{\partial y}"
        },
        source="Maas et al. 2013, §2",
    )

    def __post_init__(self) -> None:
        require(isfinite(self.negative_slope), self, f"negative_slope must be finite; got {self.negative_slope!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y = x where x > 0, else a·x."""
        positive = x > 0
        return np.where(positive, x, self.negative_slope * x), positive

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy where x > 0, else a·dy."""
        positive = saved
        return np.where(positive, dy, self.negative_slope * dy), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native activation, part of the step before where it can be."""
        if self.negative_slope < 0:
            raise EngineError(f"{self!r}: the native step takes the slope from y, which needs one that is not negative")
        return program.activation(slot, "leaky_relu", self.negative_slope)
