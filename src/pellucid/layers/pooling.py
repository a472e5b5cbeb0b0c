"""What the pooling layers share: the settings of their window, and its geometry."""

from __future__ import annotations

from dataclasses import dataclass

from pellucid.arrays import Shape
from pellucid.errors import ShapeError
from pellucid.layers.base import Layer, require_maps
from pellucid.layers.windows import Axis, Padding, Pair, axes, check_window


@dataclass(frozen=True)
class Pool2d(Layer):
    """Base of the layers that reduce every window of every feature map to one pixel.

    Args:
        kernel_size: R, or (height, width).
        stride: S; the kernel size if None.
        padding: P, pixels on each side, a pair, ((top, bottom), (left, right)), or ``"valid"``, ``"same"``, ``"full"``
            as in a convolution.
        dilation: distance D between the pixels of a window.
        ceil_mode: round the output size up instead of down; the last windows may hang over the edge.

    Raises:
        ConfigError: a setting is out of range.
        ShapeError: the input is not (C, H, W), is smaller than the window, or a window would hold padding only.
    """

    kernel_size: Pair
    stride: Pair | None = None
    padding: Padding = 0
    dilation: Pair = 1
    ceil_mode: bool = False

    def __post_init__(self) -> None:
        check_window(self, self.kernel_size, self._stride, self.padding, self.dilation)

    def output_shape(self, input_shape: Shape) -> Shape:
        """Return (C, H′, W′)."""
        channels, height, width = require_maps(self, input_shape)
        rows, columns = self._axes((height, width))
        self._require_real_pixels("height", rows)
        self._require_real_pixels("width", columns)
        return (channels, rows.outputs, columns.outputs)

    @property
    def _stride(self) -> Pair:
        return self.kernel_size if self.stride is None else self.stride

    def _axes(self, size: tuple[int, ...]) -> tuple[Axis, Axis]:
        height, width = size
        return axes(self, (height, width), self.kernel_size, self._stride, self.padding, self.dilation, self.ceil_mode)

    def _require_real_pixels(self, side: str, axis: Axis) -> None:
        window = axis.first_of_padding()
        if window is not None:
            raise ShapeError(
                f"{self!r}: window {window} along the {side} would hold padding only "
                f"(input {axis.length}, padding {axis.before} and {axis.after}); use less padding or a smaller stride"
            )
