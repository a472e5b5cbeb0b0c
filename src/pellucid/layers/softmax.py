"""Softmax over the classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram


@dataclass(frozen=True)
class Softmax(Layer):
    r"""Turn scores into probabilities: over the K entries of a vector, or over the maps at every pixel.

    Legend: x = S, y = O (Nguyen).

    Forward::

        y[t,c] = e^{x[t,c]} / Σ_k e^{x[t,k]}

    Backward, the Jacobian ∂y_k/∂x_c = y_k([k = c] − y_c) applied to dy::

        dx[t,c] = Σ_k dy[t,k]·y[t,k]·([k = c] − y[t,c]) = y[t,c]·(dy[t,c] − Σ_k dy[t,k]·y[t,k])

    The largest x is subtracted first, which changes nothing but keeps e^x from overflowing.

    As the last activation before ``loss="cross_entropy"`` leave it out: that loss brings its own.

    Shapes: x (N, K) or (N, C, H, W), unchanged.

    Source: Nguyen (5), (12)–(22).
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tc} = \frac{e^{x_{tc}}}{\sum_k e^{x_{tk}}}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tc}} = y_{tc}\Big(\frac{\partial J}{\partial y_{tc}} - "
            r"\sum_k \frac{\partial J}{\partial y_{tk}}\,y_{tk}\Big)"
        },
        source="Nguyen (5), (22)",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Array]:
        """Return y = e^x / Σ e^x."""
        e = np.exp(x - x.max(axis=1, keepdims=True))
        y = e / e.sum(axis=1, keepdims=True)
        return y, y

    def backward(self, params: Tensors, saved: Array, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = y·(dy − Σ dy·y)."""
        y = saved
        return y * (dy - np.einsum("tk...,tk...->t...", dy, y)[:, None]), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native softmax."""
        return program.softmax(slot)
