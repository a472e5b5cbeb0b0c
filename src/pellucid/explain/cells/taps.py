"""Which pixels a window reads, and which windows read a pixel, along one axis."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array
from pellucid.layers.windows import Axis

#: said of a pixel that lies between the windows, or behind the last of them
UNREAD = "No window holds this pixel, so nothing comes back to it."


def taps_inside(axis: Axis, window: int) -> tuple[Array, Array]:
    """Return the taps of a window that lie on a pixel, and those pixels: u = S·l + D·j − P."""
    taps = np.arange(axis.kernel)
    return _inside(axis, taps, axis.stride * window + axis.dilation * taps - axis.before)


def windows_with_tap(axis: Axis, tap: int) -> tuple[Array, Array]:
    """Return the windows whose tap lies on a pixel, and those pixels."""
    windows = np.arange(axis.outputs)
    return _inside(axis, windows, axis.stride * windows + axis.dilation * tap - axis.before)


def outputs_reading(axis: Axis, pixel: int) -> tuple[Array, Array]:
    """Return the taps that meet a pixel, and the windows that they belong to: l = (u + P − D·j)/S."""
    taps = np.arange(axis.kernel)
    starts = pixel + axis.before - axis.dilation * taps
    windows = starts // axis.stride
    fits = (starts % axis.stride == 0) & (windows >= 0) & (windows < axis.outputs)
    return taps[fits], windows[fits]


def _inside(axis: Axis, numbers: Array, pixels: Array) -> tuple[Array, Array]:
    """Return those of some taps or windows that lie on a pixel and not on the padding, and the pixels."""
    inside = (pixels >= 0) & (pixels < axis.length)
    return numbers[inside], pixels[inside]
