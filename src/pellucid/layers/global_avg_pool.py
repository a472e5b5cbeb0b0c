"""Global average pooling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.layers.base import Formula, Layer, NativeProgram, require_maps


@dataclass(frozen=True)
class GlobalAvgPool2d(Layer):
    r"""Average every feature map to one number; what comes out is a vector, ready for ``Linear``.

    Forward::

        y[t,c] = 1/(H·W) · Σ_u Σ_v x[t,c,u,v]

    Backward::

        dx[t,c,u,v] = dy[t,c] / (H·W)

    Shapes: x (N, C, H, W); y (N, C). PyTorch's counterpart is ``AdaptiveAvgPool2d(1)`` followed by ``Flatten()``.

    Raises:
        ShapeError: the input is not (C, H, W).

    Source: Epelbaum, "ResNet": "ended by a pooling operation to obtain a fully connected layer"; Lin et al. 2014,
    Network In Network, §3.2.
    """

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tc} = \frac{1}{HW} \sum_{u,v} x_{tcuv}",
        backward={"dx": r"\frac{\partial J}{\partial x_{tcuv}} = \frac{1}{HW}\,\frac{\partial J}{\partial y_{tc}}"},
        source="Epelbaum, ResNet; Lin et al. 2014, §3.2",
    )

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C,)."""
        channels, _, _ = require_maps(self, input_shape)
        return (channels,)

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, Shape]:
        """Return y = mean over each map."""
        return x.mean(axis=(2, 3)), x.shape[2:]

    def backward(self, params: Tensors, saved: Shape, dy: Array) -> tuple[Array, Tensors]:
        """Return dx: each dy is shared equally among the pixels of its map."""
        height, width = saved
        share = np.full((height, width), 1 / (height * width), dy.dtype)
        return np.einsum("tc,uv->tcuv", dy, share), {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Become a native average pooling with one window."""
        channels, height, width = program.shape(slot)
        return program.avg_pool(slot, (channels,), (height, 1, 1, 0), (width, 1, 1, 0), [1 / (height * width)])
