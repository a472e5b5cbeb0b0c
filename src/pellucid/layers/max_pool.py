"""Max pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.layers.base import Formula, NativeProgram
from pellucid.layers.pooling import Pool2d
from pellucid.layers.windows import Axis, overlap_add, pad, windows


@dataclass(frozen=True)
class MaxPool2d(Pool2d):
    r"""Keep the largest pixel of every window.

    Legend: x = h (Epelbaum), A (Grishin), C (Nguyen); y = a, A, P; (j*, k*) is the argmax, kept for the way back:
    j^{(p)}, k^{(p)} (Epelbaum), P (Grishin's position matrix), I1 and I2 (Nguyen).

    Forward::

        y[t,c,l,m] = max_{j,k} x[t,c, S·l + D·j − P, S·m + D·k − P]

    Backward::

        dx[t,c,u,v] = Σ dy[t,c,l,m]  over the windows (l, m) whose maximum sits at (u, v)

    Padded pixels never win. Of equal pixels the first one, row by row, wins.

    Args:
        kernel_size: R, or (height, width).
        stride: S; the kernel size if None.
        padding: P, pixels on each side, a pair, ((top, bottom), (left, right)), or ``"valid"``, ``"same"``, ``"full"``
            as in a convolution.
        dilation: distance D between the pixels of a window.
        ceil_mode: round the output size up instead of down; the last windows may hang over the edge.

    Shapes: x (N, C, H, W); y (N, C, H′, W′) with H′ = ⌊(H + 2P − D(R−1) − 1)/S⌋ + 1.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W), is smaller than the window, or a window would hold padding only.

    Source: Epelbaum, "Pooling"; Binding §2.3; Grishin §2, §13; Nguyen (2), (4), (41)–(43), (53), (58).
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tclm} = \max_{j,k}\; x_{t,c,\,Sl+Dj-P,\,Sm+Dk-P}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \sum_{l,m}"
            r"\big[(u,v) = \arg\max_{(l,m)}\big]\,\frac{\partial J}{\partial y_{tclm}}"
        },
        source="Epelbaum, Pooling; Grishin §2, §13; Nguyen (2), (41)–(43)",
    )

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, tuple[Array, Axis, Axis]]:
        """Return y = max over each window."""
        rows, columns = self._axes(x.shape[2:])
        patches = windows(pad(x, rows, columns, value=-np.inf), rows, columns)
        candidates = patches.reshape(*patches.shape[:4], -1)
        winner = candidates.argmax(axis=-1)[..., None]
        return np.take_along_axis(candidates, winner, axis=-1)[..., 0], (winner, rows, columns)

    def backward(self, params: Tensors, saved: tuple[Array, Axis, Axis], dy: Array) -> tuple[Array, Tensors]:
        """Return dx: each dy goes to the pixel that won its window."""
        winner, rows, columns = saved
        taps = np.arange(rows.kernel * columns.kernel)
        dpatches = dy[..., None] * (taps == winner)
        return overlap_add(dpatches.reshape(*dy.shape, rows.kernel, columns.kernel), rows, columns), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native max pooling."""
        channels, height, width = program.shape(slot)
        rows, columns = self._axes((height, width))
        return program.max_pool(slot, (channels, rows.outputs, columns.outputs), rows.native, columns.native)
