"""Average pooling."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.errors import EngineError
from pellucid.layers.base import Formula, NativeProgram, pair
from pellucid.layers.pooling import Pool2d
from pellucid.layers.windows import Axis, Pair, overlap_add, pad, windows


@dataclass(frozen=True)
class AvgPool2d(Pool2d):
    r"""Average the pixels of every window.

    Legend: x = h, y = a (Epelbaum); n[l,m] is the number of pixels that window (l, m) counts, R² away from the edges.

    Forward::

        y[t,c,l,m] = 1/n[l,m] · Σ_j Σ_k x[t,c, S·l + D·j − P, S·m + D·k − P]

    Backward::

        dx[t,c,u,v] = Σ dy[t,c,l,m] / n[l,m]  over the windows (l, m) that hold (u, v)

    Epelbaum prints the sum without 1/R²; see ``docs/errata.md``. Neither Epelbaum nor Binding averages over padding:
    ``count_include_pad=False`` does as they do. What hangs over the padded edge in ceil mode never counts.

    Args:
        kernel_size: R, or (height, width).
        stride: S; the kernel size if None.
        padding: P, pixels on each side, a pair, ((top, bottom), (left, right)), or ``"valid"``, ``"same"``, ``"full"``
            as in a convolution.
        ceil_mode: round the output size up instead of down; the last windows may hang over the edge.
        count_include_pad: count padded pixels as zeros, instead of leaving them out of the average.
        dilation: distance D between the pixels of a window; the native engine has D = 1 only.

    Shapes: x (N, C, H, W); y (N, C, H′, W′) with H′ = ⌊(H + 2P − D(R−1) − 1)/S⌋ + 1.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W), is smaller than the window, or a window would hold padding only.

    Source: Epelbaum, "Pooling"; Binding §1, §2.2.1, §2.3.
    """

    dilation: Pair = field(default=1, kw_only=True)
    count_include_pad: bool = True

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tclm} = \frac{1}{n_{lm}} \sum_{j,k} x_{t,c,\,Sl+Dj-P,\,Sm+Dk-P}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \sum_{l,m}"
            r"\frac{[(u,v) \in (l,m)]}{n_{lm}}\,\frac{\partial J}{\partial y_{tclm}}"
        },
        source="Epelbaum, Pooling (with the missing 1/R²); Binding §1, §2.2.1, §2.3",
    )

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, tuple[Array, Axis, Axis]]:
        """Return y = mean over each window."""
        rows, columns = self._axes(x.shape[2:])
        total = np.einsum("tclmjk->tclm", windows(pad(x, rows, columns), rows, columns))
        count = np.outer(self._count(rows), self._count(columns)).astype(x.dtype)
        return total / count, (count, rows, columns)

    def backward(self, params: Tensors, saved: tuple[Array, Axis, Axis], dy: Array) -> tuple[Array, Tensors]:
        """Return dx: each dy is shared equally among the pixels of its window."""
        count, rows, columns = saved
        share = (dy / count)[..., None, None]
        return overlap_add(np.broadcast_to(share, (*dy.shape, rows.kernel, columns.kernel)), rows, columns), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native average pooling.

        Raises:
            EngineError: the window is dilated.
        """
        if pair(self.dilation) != (1, 1):
            raise EngineError(f"{self!r}: the native average pooling has windows without gaps only")
        channels, height, width = program.shape(slot)
        rows, columns = self._axes((height, width))
        scale = (1 / np.outer(self._count(rows), self._count(columns))).ravel().tolist()
        return program.avg_pool(slot, (channels, rows.outputs, columns.outputs), rows.native, columns.native, scale)

    def _count(self, axis: Axis) -> Array:
        """Return how many pixels each window counts along one axis; n[l,m] is the product of both."""
        before, after = (axis.before, axis.after) if self.count_include_pad else (0, 0)
        return axis.taps_between(-before, axis.length + after)
