"""The receptive fields of ONNX's convolutions and pools, along any number of axes.

Along one axis, with input length T, padding P before and P′ after, kernel R, stride S and dilation D there are

    ⌊(T + P + P′ − D(R−1) − 1)/S⌋ + 1

outputs. ``auto_pad`` works P and P′ out so that there are ⌈T/S⌉; the odd pixel lies at the end (SAME_UPPER) or at the
beginning (SAME_LOWER). In ceil mode the formula rounds up, but no window starts in the padding at the end.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from pellucid.engine.room import require_room
from pellucid.interop.onnx.importer_graph import Operation

#: beyond this no number can be what its writer meant
_MOST = 2**31 - 1
_MODES = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True)
class Window:
    """One axis: the settings of the module docstring, and the number of outputs."""

    length: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    outputs: int

    @property
    def span(self) -> int:
        """Pixels from the first to the last that a window reads."""
        return self.dilation * (self.kernel - 1) + 1

    @property
    def padded(self) -> int:
        """Length in which every window lies, those included that hang over in ceil mode."""
        return max(self.before + self.length + self.after, self.stride * (self.outputs - 1) + self.span)


def pool_windows(operation: Operation, sizes: tuple[int, ...], channels: int) -> tuple[Window, ...]:
    """Return the geometry of a pool over maps of these sizes."""
    return windows(operation, sizes, operation.attributes["kernel_shape"], channels)


def windows(operation: Operation, sizes: tuple[int, ...], kernel: Any, channels: int) -> tuple[Window, ...]:
    """Return the geometry along each axis.

    Args:
        operation: a convolution or a pool.
        sizes: of the maps, (H, W) in two dimensions.
        kernel: as many numbers.
        channels: maps that come out, for the memory that they take.

    Raises:
        ModelFileError: a setting is out of range, or the window does not fit.
        TooLargeError: no memory could hold one sample of the result.
    """
    axes = len(sizes)
    get = operation.attributes.get
    kernel = tuple(kernel)
    strides = _numbers(operation, "strides", get("strides"), [1] * axes, least=1)
    dilations = _numbers(operation, "dilations", get("dilations"), [1] * axes, least=1)
    pads = _numbers(operation, "pads", get("pads"), [0] * 2 * axes, least=0)
    _numbers(operation, "kernel_shape", kernel, [1] * axes, least=1)
    mode = get("auto_pad")
    if mode not in _MODES:
        raise operation.error(f"auto_pad is {mode!r}; there are {', '.join(_MODES)}")
    if mode != "NOTSET" and any(pads):
        raise operation.error(f"has pads {list(pads)} and auto_pad {mode} at once")
    found = tuple(
        _window(operation, mode, size, kernel[i], strides[i], dilations[i], pads[i], pads[axes + i])
        for i, size in enumerate(sizes)
    )
    outputs = prod(window.outputs for window in found)
    # Beside the result, an average pooling keeps the divisor of each pixel.
    need = (4 * channels + 64) * outputs
    require_room(need, f"one sample of {operation.label}", "the model asks for too much")
    return found


def _window(
    operation: Operation, mode: str, length: int, kernel: int, stride: int, dilation: int, before: int, after: int
) -> Window:
    span = dilation * (kernel - 1) + 1
    if mode.startswith("SAME"):
        total = max((-(-length // stride) - 1) * stride + span - length, 0)
        before = total // 2 if mode == "SAME_UPPER" else total - total // 2
        after = total - before
    room = before + length + after - span
    if room < 0:
        raise operation.error(
            f"its window spans {span} pixels, more than the padded input has, {before} + {length} + {after}"
        )
    outputs = room // stride + 1
    if operation.attributes.get("ceil_mode") and room % stride and stride * outputs < length + before:
        outputs += 1
    return Window(length, kernel, stride, dilation, before, after, outputs)


def _numbers(operation: Operation, name: str, given: Any, default: list[int], *, least: int) -> tuple[int, ...]:
    numbers = tuple(given or default)
    if len(numbers) != len(default) or not all(least <= n <= _MOST for n in numbers):
        raise operation.error(f"{name} should be {len(default)} whole numbers of at least {least}, got {list(numbers)}")
    return numbers
