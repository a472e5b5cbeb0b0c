"""Feature maps of zeros behind the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import ShapeError
from pellucid.layers.base import Formula, Layer, NativeProgram, require, require_maps


@dataclass(frozen=True)
class PadChannels(Layer):
    r"""Append feature maps of zeros: the shortcut without parameters past a block that widens its input.

    Forward, with C maps in x::

        y[t,c] = x[t,c]  for c < C,  else 0

    Backward::

        dx[t,c] = dy[t,c]  for c < C

    Args:
        out_channels: maps of y.

    Shapes: x (N, C, H, W); y (N, out_channels, H, W).

    Raises:
        ConfigError: ``out_channels`` is not a whole number of at least 1.
        ShapeError: the input is not (C, H, W), or has more maps already.

    Source: He et al. 2016, "Deep residual learning", §3.3, shortcut (A).
    """

    out_channels: int

    formula: ClassVar[Formula | None] = Formula(
        forward=r"y_{tc} = [c < C]\, x_{tc}",
        backward={"dx": r"\frac{\partial J}{\partial x_{tc}} = \frac{\partial J}{\partial y_{tc}}, \quad c < C"},
        source="He et al. 2016, §3.3, shortcut (A)",
    )

    def __post_init__(self) -> None:
        good = type(self.out_channels) is int and self.out_channels >= 1
        require(good, self, f"out_channels must be a whole number of at least 1; got {self.out_channels!r}")

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (out_channels, H, W)."""
        channels, height, width = require_maps(self, input_shape)
        if channels > self.out_channels:
            raise ShapeError(f"{self!r}: its input has {channels} maps already; it appends maps, and cuts none off")
        return (self.out_channels, height, width)

    def forward(self, params: Tensors, x: Array, **_: Any) -> tuple[Array, int]:
        """Return x with maps of zeros behind it."""
        channels = x.shape[1]
        return np.pad(x, [(0, 0), (0, self.out_channels - channels), (0, 0), (0, 0)]), channels

    def backward(self, params: Tensors, saved: int, dy: Array) -> tuple[Array, Tensors]:
        """Return dx: the first C maps of dy."""
        channels = saved
        return dy[:, :channels], {}

    def emit(self, program: NativeProgram, slot: int) -> int:
        """Lower to zeros behind the input, which is computed where it belongs in the output."""
        return program.pad_channels(slot, self.out_channels)
