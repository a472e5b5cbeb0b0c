"""The receptive fields of ONNX's convolutions and pools, along any number of axes: those of :mod:`~pellucid.layers`.

``auto_pad`` works the padding out so that there are ⌈T/S⌉ outputs; the odd pixel lies at the end (SAME_UPPER) or at the
beginning (SAME_LOWER).
"""

from __future__ import annotations

from math import prod
from typing import Any

from pellucid.engine.room import require_room
from pellucid.interop.onnx.importer_graph import Operation
from pellucid.layers.windows import Axis, same_padding, span_of

#: beyond this no number can be what its writer meant
_MOST = 2**31 - 1
_MODES = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


def pool_windows(operation: Operation, sizes: tuple[int, ...], channels: int) -> tuple[Axis, ...]:
    """Return the geometry of a pool over maps of these sizes."""
    return windows(operation, sizes, operation.attributes["kernel_shape"], channels)


def windows(operation: Operation, sizes: tuple[int, ...], kernel: Any, channels: int) -> tuple[Axis, ...]:
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
) -> Axis:
    if mode.startswith("SAME"):
        total = same_padding(length, kernel, stride, dilation)
        before = total // 2 if mode == "SAME_UPPER" else total - total // 2
        after = total - before
    axis = Axis.of(length, before, after, kernel, stride, dilation, bool(operation.attributes.get("ceil_mode")))
    if axis is None:
        raise operation.error(
            f"its window spans {span_of(kernel, dilation)} pixels, more than the padded input has, {before} + {length} "
            f"+ {after}"
        )
    return axis


def _numbers(operation: Operation, name: str, given: Any, default: list[int], *, least: int) -> tuple[int, ...]:
    numbers = tuple(given or default)
    if len(numbers) != len(default) or not all(least <= n <= _MOST for n in numbers):
        raise operation.error(f"{name} should be {len(default)} whole numbers of at least {least}, got {list(numbers)}")
    return numbers
