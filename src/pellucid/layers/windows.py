"""Receptive fields: the geometry that convolution and pooling share.

Along one axis, with input length T, padding P before and P′ after, kernel R, stride S and dilation D, output l reads
the inputs S·l + D·j − P for j = 0 … R−1 (Epelbaum, "Convolution"; Binding 1.1), and there are

    ⌊(T + P + P′ − D(R−1) − 1)/S⌋ + 1

outputs (Epelbaum N_p, T_p; Binding 1.3; both for D = 1 and P = P′).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.arrays import Array
from pellucid.errors import ShapeError
from pellucid.layers.base import Window, pair, require, require_pair

Pair = int | tuple[int, int]
Padding = int | tuple[int, int] | tuple[tuple[int, int], tuple[int, int]] | Literal["valid", "same", "full"]


@dataclass(frozen=True)
class Axis:
    """One axis of a sliding window.

    Attributes:
        length, before, after: input length and the padding on either side.
        kernel, stride, dilation: as in the layer.
        outputs: number of window positions.
    """

    length: int
    before: int
    after: int
    kernel: int
    stride: int
    dilation: int
    outputs: int

    @classmethod
    def of(
        cls, length: int, before: int, after: int, kernel: int, stride: int, dilation: int, ceil_mode: bool
    ) -> Axis | None:
        """Return the axis with as many outputs as there is room for; None if a window spans more than the input."""
        room = length + before + after - span_of(kernel, dilation)
        if room < 0:
            return None
        outputs = room // stride + 1
        if ceil_mode and room % stride and stride * outputs < length + before:
            outputs += 1
        return cls(length, before, after, kernel, stride, dilation, outputs)

    @property
    def span(self) -> int:
        """Input pixels from the first to the last one that a window reads, D(R−1) + 1."""
        return span_of(self.kernel, self.dilation)

    @property
    def padded(self) -> int:
        """Length of the padded axis that every window fits in (longer than T + P + P′ in ceil mode)."""
        return max(self.length + self.before + self.after, self.stride * (self.outputs - 1) + self.span)

    @property
    def native(self) -> Window:
        """The window as native steps take it."""
        return (self.kernel, self.stride, self.dilation, self.before)

    def first_of_padding(self) -> int | None:
        """Return the first window that reads padding only; None if there is none."""
        early = range(min(self.outputs, -(-self.before // self.stride)))
        if self.dilation <= self.length:
            early = early[:1]  # taps this close do not jump over the map, and the first window reaches least far
        for window in early:
            start = self.stride * window - self.before
            if start + self.span <= 0 or start % self.dilation >= self.length:
                return window
        late = -(-(self.length + self.before) // self.stride)
        return late if late < self.outputs else None

    def taps_between(self, low: int, high: int) -> Array:
        """Return how many inputs each window reads from index ``low`` to below ``high``, shape (outputs,)."""
        starts = self.stride * np.arange(self.outputs) - self.before
        # Tap j reads start + D·j, which reaches an index with j = ⌈(index − start)/D⌉.
        first, last = (np.clip(-((starts - index) // self.dilation), 0, self.kernel) for index in (low, high))
        return last - first


def span_of(kernel: int, dilation: int) -> int:
    """Return the pixels from the first to the last one that a window reads, D(R−1) + 1."""
    return dilation * (kernel - 1) + 1


def same_padding(length: int, kernel: int, stride: int, dilation: int) -> int:
    """Return the padding on both sides together with which there are ⌈T/S⌉ outputs."""
    return max((-(-length // stride) - 1) * stride + span_of(kernel, dilation) - length, 0)


def check_window(layer: object, kernel_size: Pair, stride: Pair, padding: object, dilation: Pair) -> None:
    """Check the settings of a sliding window; raises :class:`~pellucid.errors.ConfigError` naming the layer."""
    require_pair(layer, "kernel_size", kernel_size, least=1)
    require_pair(layer, "stride", stride, least=1)
    require_pair(layer, "dilation", dilation, least=1)
    if isinstance(padding, str):
        names = ("valid", "same", "full")
        require(padding in names, layer, f"padding must be a number, a pair or one of {names}; got {padding!r}")
    elif has_sides(padding):
        check_sides(layer, padding)
    else:
        require_pair(layer, "padding", padding, least=0)


def has_sides(padding: object) -> bool:
    """Tell whether padding is given for each of the four sides, ((top, bottom), (left, right))."""
    sides: tuple[object, ...] = padding if isinstance(padding, tuple) else ()  # pyright: ignore
    return any(isinstance(side, tuple) for side in sides)


def check_sides(layer: object, padding: Any) -> None:
    """Check padding that is given for each side; raises :class:`~pellucid.errors.ConfigError` naming the layer."""
    pairs: list[Any] = [list(side) if isinstance(side, tuple) else [] for side in padding]  # pyright: ignore
    good = [len(side) for side in pairs] == [2, 2] and all(type(n) is int and n >= 0 for side in pairs for n in side)
    require(good, layer, f"padding must be ((top, bottom), (left, right)) in whole numbers; got {padding!r}")


def axes(
    layer: object,
    size: tuple[int, int],
    kernel_size: Pair,
    stride: Pair,
    padding: Padding,
    dilation: Pair = 1,
    ceil_mode: bool = False,
) -> tuple[Axis, Axis]:
    """Return the geometry along height and width of windows sliding over maps of ``size`` (H, W).

    ``"same"`` gives ⌈T/S⌉ outputs with the odd pixel of padding at the end; ``"full"`` pads by D(R−1) on both sides.
    In ceil mode the size formula rounds up, but a window never starts in the padding after the input.

    Raises:
        ShapeError: the kernel is larger than the padded input.
    """
    kernels, strides, dilations = pair(kernel_size), pair(stride), pair(dilation)
    found: list[Axis] = []
    for i, (length, kernel, step, gap) in enumerate(zip(size, kernels, strides, dilations, strict=True)):
        before, after = _pads(padding, i, length, kernel, step, gap)
        axis = Axis.of(length, before, after, kernel, step, gap, ceil_mode)
        if axis is None:
            side = ("height", "width")[i]
            raise ShapeError(
                f"{layer!r}: its kernel spans {span_of(kernel, gap)} pixels, more than the {side} of the padded input, "
                f"{length + before + after} (input maps are {size[0]}×{size[1]}); "
                "use a smaller kernel, more padding, a larger image, or drop a pooling layer before it"
            )
        found.append(axis)
    return found[0], found[1]


def _pads(padding: Padding, axis: int, length: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    if padding == "valid":
        return 0, 0
    if padding == "full":
        border = span_of(kernel, dilation) - 1
        return border, border
    if padding == "same":
        total = same_padding(length, kernel, stride, dilation)
        return total // 2, total - total // 2
    amount = padding if isinstance(padding, int) else padding[axis]
    return (amount, amount) if isinstance(amount, int) else amount


def pad(x: Array, rows: Axis, columns: Axis, value: float = 0.0) -> Array:
    """Return maps (N, C, H, W) with a border of ``value`` so that every window lies inside."""
    border = [(axis.before, axis.padded - axis.before - axis.length) for axis in (rows, columns)]
    return np.pad(x, [(0, 0), (0, 0), *border], constant_values=value)


def windows(padded: Array, rows: Axis, columns: Axis) -> Array:
    """Return a view of every window, shape (N, C, outputs_h, outputs_w, kernel_h, kernel_w), of padded maps."""
    view = sliding_window_view(padded, (rows.span, columns.span), axis=(2, 3))
    return view[
        :,
        :,
        : rows.stride * rows.outputs : rows.stride,
        : columns.stride * columns.outputs : columns.stride,
        :: rows.dilation,
        :: columns.dilation,
    ]


def overlap_add(patches: Array, rows: Axis, columns: Axis) -> Array:
    """Return maps (N, C, H, W) in which every window's values are added where :func:`windows` read them.

    The transpose of ``windows(pad(x))``: what falls on the padding is dropped.
    """
    n, c = patches.shape[:2]
    padded = np.zeros((n, c, rows.padded, columns.padded), patches.dtype)
    for j in range(rows.kernel):
        for k in range(columns.kernel):
            top, left = j * rows.dilation, k * columns.dilation
            padded[
                :,
                :,
                top : top + rows.stride * rows.outputs : rows.stride,
                left : left + columns.stride * columns.outputs : columns.stride,
            ] += patches[..., j, k]
    return padded[:, :, rows.before : rows.before + rows.length, columns.before : columns.before + columns.length]
