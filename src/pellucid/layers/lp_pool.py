"""Pooling by the p-norm; p = 2 is Binding's L2 pooling."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.layers.base import Formula, NativeProgram, require
from pellucid.layers.pooling import Pool2d
from pellucid.layers.windows import Axis, overlap_add, pad, windows


@dataclass(frozen=True)
class LPPool2d(Pool2d):
    r"""Take the p-norm of every window.

    Forward::

        y[t,c,l,m] = (Σ_j Σ_k |x[t,c, S·l + D·j − P, S·m + D·k − P]|^p)^(1/p)

    Backward::

        dx[t,c,u,v] = Σ dy[t,c,l,m] · sign(x[t,c,u,v]) · (|x[t,c,u,v]| / y[t,c,l,m])^(p−1)
                      over the windows (l, m) that hold (u, v)

    For p = 2 that is dy·x/y: "proportionally to each cell's contribution" (Binding §2.2.1). A window of zeros has no
    derivative; 0 is taken there. The sum runs over |x|/max|x|, so that large pixels do not overflow, nor small ones
    vanish.

    PyTorch leaves the absolute value out, which for odd p lets pixels cancel, and in ceil mode scales overhanging
    windows up to full size; neither is a norm, and neither is done here.

    Args:
        kernel_size: R, or (height, width).
        stride: S; the kernel size if None.
        padding: P, pixels on each side, a pair, ((top, bottom), (left, right)), or ``"valid"``, ``"same"``, ``"full"``
            as in a convolution.
        dilation: distance D between the pixels of a window.
        ceil_mode: round the output size up instead of down; the last windows may hang over the edge.
        norm_type: p, at least 1.

    Shapes: x (N, C, H, W); y (N, C, H′, W′) with H′ = ⌊(H + 2P − D(R−1) − 1)/S⌋ + 1.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W), is smaller than the window, or a window would hold padding only.

    Source: Binding §1 ("an L2-norm value over the pooling area"), §2.2.1, §2.3, which give p = 2 in words.
    """

    norm_type: float = 2.0

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tclm} = \Big(\sum_{j,k} |x_{t,c,\,Sl+Dj-P,\,Sm+Dk-P}|^p\Big)^{1/p}",
        backward={
            "dx": r"\frac{\partial J}{\partial x_{tcuv}} = \sum_{l,m} [(u,v) \in (l,m)]\,"
            r"\operatorname{sign}(x_{tcuv}) \Big(\frac{|x_{tcuv}|}{y_{tclm}}\Big)^{p-1}"
            r"\frac{\partial J}{\partial y_{tclm}}"
        },
        source="Binding §1, §2.2.1, §2.3",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        good = isfinite(self.norm_type) and self.norm_type >= 1
        require(good, self, f"norm_type must be a finite number of at least 1; got {self.norm_type!r}")

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, tuple[Array, Array, Axis, Axis]]:
        """Return y = (Σ |x|^p)^(1/p) over each window."""
        rows, columns = self._axes(x.shape[2:])
        patches = windows(pad(x, rows, columns), rows, columns)
        largest = abs(patches).max(axis=(-2, -1))
        ratio = _ratio(patches, largest)
        y = largest * np.einsum("tclmjk->tclm", ratio**self.norm_type) ** (1 / self.norm_type)
        return y, (patches, y, rows, columns)

    def backward(self, params: Tensors, saved: tuple[Array, Array, Axis, Axis], dy: Array) -> tuple[Array, Tensors]:
        """Return dx = Σ dy·sign(x)·(|x|/y)^(p−1) over the windows that hold each pixel."""
        patches, y, rows, columns = saved
        dpatches = dy[..., None, None] * np.sign(patches) * _ratio(patches, y) ** (self.norm_type - 1)
        return overlap_add(dpatches, rows, columns), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native pooling by the p-norm."""
        channels, height, width = program.shape(slot)
        rows, columns = self._axes((height, width))
        shape = (channels, rows.outputs, columns.outputs)
        return program.lp_pool(slot, shape, rows.native, columns.native, self.norm_type)


def _ratio(patches: Array, size: Array) -> Array:
    """Return |pixel|/size of its window, 0 in a window of zeros."""
    divisor = np.where(size > 0, size, 1)
    return abs(patches) / divisor[..., None, None]
