"""Local response normalisation."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram, require, require_maps


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    r"""Divide every pixel by a power of the mean square of its neighbours in the channels next to it (AlexNet).

    Legend: x = a, y = b (Krizhevsky); n channels around channel c are W(c) = {c − ⌊n/2⌋, …, c + ⌊(n−1)/2⌋}.

    Forward::

        s[t,c] = k + α/n · Σ_{i ∈ W(c)} x[t,i]²
        y[t,c] = x[t,c] · s[t,c]^{−β}

    Backward::

        dx[t,c] = dy[t,c]·s[t,c]^{−β} − 2αβ/n · x[t,c] · Σ_{i : c ∈ W(i)} dy[t,i]·y[t,i]/s[t,i]

    Channels beyond the first and the last count as 0; the sum is divided by n all the same. Krizhevsky's own α is the
    α/n of this formula, which is PyTorch's.

    Args:
        size: n, the number of channels in a neighbourhood; for an even n it reaches one further down than up.
        alpha: α, at least 0.
        beta: β.
        k: k, above 0.

    Shapes: (N, C, H, W), unchanged.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W).

    Source: Krizhevsky et al. 2012, §3.3 (AlexNet).
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tc} = x_{tc}\, s_{tc}^{-\beta}, \qquad s_{tc} = k + \frac{\alpha}{n} \sum_{i \in W(c)} x_{ti}^2",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tc}} = \frac{\partial J}{\partial y_{tc}}\, s_{tc}^{-\beta} - "
            r"\frac{2\alpha\beta}{n}\, x_{tc} \sum_{i:\, c \in W(i)} \frac{\partial J}{\partial y_{ti}}\,"
            r"\frac{y_{ti}}{s_{ti}}"
        },
        source="Krizhevsky et al. 2012, §3.3",
    )

    def __post_init__(self) -> None:
        whole = type(self.size) is int and self.size >= 1
        require(whole, self, f"size must be a whole number of at least 1; got {self.size!r}")
        require(isfinite(self.alpha) and self.alpha >= 0, self, f"alpha must be at least 0; got {self.alpha!r}")
        require(isfinite(self.beta), self, f"beta must be finite; got {self.beta!r}")
        require(isfinite(self.k) and self.k > 0, self, f"k must be greater than 0; got {self.k!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return the input's shape."""
        require_maps(self, input_shape)
        return input_shape

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Any]:
        """Return y = x·s^{−β}."""
        below, above = self._reach
        s = self.k + self.alpha / self.size * _channel_sum(x**2, below, above)
        y = x * s**-self.beta
        return y, (x, y, s)

    def backward(self, params: Tensors, saved: Any, dy: Array) -> tuple[Array, Tensors]:
        """Return dx = dy·s^{−β} − 2αβ/n · x · Σ dy·y/s over the channels whose neighbourhood holds c."""
        x, y, s = saved
        below, above = self._reach
        shared = _channel_sum(dy * y / s, above, below)  # i ∈ [c − above, c + below] has c in [i − below, i + above]
        return dy * s**-self.beta - 2 * self.alpha * self.beta / self.size * x * shared, {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native response norm."""
        return program.response_norm(slot, self.size, self.k, self.alpha / self.size, self.beta)

    @property
    def _reach(self) -> tuple[int, int]:
        """How many channels below and above c belong to W(c)."""
        return self.size // 2, (self.size - 1) // 2


def _channel_sum(x: Array, below: int, above: int) -> Array:
    """Return Σ x[t,i] over c − below ≤ i ≤ c + above for every channel c."""
    padded = np.pad(x, [(0, 0), (below, above), (0, 0), (0, 0)])
    return np.einsum("tcuvi->tcuv", sliding_window_view(padded, below + above + 1, axis=1))
