"""The windows of a network's layers, for programs that have no layers of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from pellucid.layers import AvgPool2d
from pellucid.layers.windows import Axis, axes

if TYPE_CHECKING:
    from pellucid.arrays import Array, Shape
    from pellucid.layers import Conv2d
    from pellucid.layers.pooling import Pool2d


def window(layer: Conv2d | Pool2d, shape: Shape) -> tuple[Axis, Axis]:
    """Return how a layer's window slides over the height and the width of maps of ``shape`` (C, H, W)."""
    _, height, width = shape
    stride = layer.kernel_size if layer.stride is None else layer.stride
    ceil_mode = getattr(layer, "ceil_mode", False)
    return axes(layer, (height, width), layer.kernel_size, stride, layer.padding, layer.dilation, ceil_mode)


def counted(layer: AvgPool2d, axis: Axis) -> Array:
    """Return how many pixels along one axis each window of an average counts."""
    before, after = (axis.before, axis.after) if layer.count_include_pad else (0, 0)
    return axis.taps_between(-before, axis.length + after)


def taps(axis: Axis) -> Array:
    """Return the input index of every (output, tap) pair, shape (outputs, kernel); padding is out of range."""
    return axis.stride * np.arange(axis.outputs)[:, None] + axis.dilation * np.arange(axis.kernel) - axis.before
