"""The modes of a correlation, told as padding: *same* and *full* are *valid* on an input with zeros around it.

With T the length of the input and R that of the kernel (along each axis on its own):

    mode    zeros before   zeros after   outputs
    valid   0              0             T − R + 1
    same    ⌊R/2⌋          ⌊(R−1)/2⌋     T
    full    R − 1          R − 1         T + R − 1

Source: Binding §1, "modes", where the size of *full* is misprinted as T + R/2 + 1 (see errata).

For an odd kernel *same* has (R−1)/2 zeros on both sides. For an even one there is no middle, and a side must get one
zero more. Here it is the side before, as in ``scipy.signal.correlate`` and ``numpy.correlate``: *same* is the middle of
*full*, from ⌊(R−1)/2⌋ on. ``Conv2d(padding="same")`` puts the odd zero after, as PyTorch, TensorFlow and, unlike its
sibling, ``scipy.signal.correlate2d`` do. For an even kernel the two outputs are the same picture moved by one pixel.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import ConfigError, DataError, ShapeError

Mode = Literal["valid", "same", "full"]


def zeros_around(kernel: int, mode: Mode) -> tuple[int, int]:
    """Return the number of zeros before and after one axis for a kernel of length ``kernel``.

    Raises:
        ConfigError: there is no such mode.
    """
    if mode == "valid":
        return 0, 0
    if mode == "same":
        return kernel // 2, (kernel - 1) // 2
    if mode == "full":
        return kernel - 1, kernel - 1
    raise ConfigError(f"mode must be 'valid', 'same' or 'full', got {mode!r}")


def pad(x: Array, kernel_shape: Shape, mode: Mode) -> Array:
    """Return ``x`` with the zeros around it that turn ``mode`` into *valid*.

    Raises:
        ConfigError: there is no such mode.
        ShapeError: the kernel is larger than x and the mode is ``"valid"``: there is no output.
    """
    padded = np.pad(x, [zeros_around(kernel, mode) for kernel in kernel_shape])
    if any(kernel > length for kernel, length in zip(kernel_shape, padded.shape, strict=True)):
        raise ShapeError(
            f"correlation of x {x.shape} with w {kernel_shape}: the kernel fits nowhere inside x, so mode 'valid' has "
            "no output; use mode 'same' or 'full', or a smaller kernel"
        )
    return padded


def crop(padded: Array, kernel_shape: Shape, mode: Mode) -> Array:
    """Return the part of a padded array that :func:`pad` was given."""
    sides = [zeros_around(kernel, mode) for kernel in kernel_shape]
    return padded[tuple(slice(b, length - a) for (b, a), length in zip(sides, padded.shape, strict=True))]


def check_operands(x: Any, w: Any) -> tuple[Array, Array]:
    """Return x and w as arrays of one floating dtype, float32 at least.

    Raises:
        DataError: they are not real numbers.
        ShapeError: they are not both 1-D or both 2-D, or one is empty.
    """
    x, w = real_array("x", x), real_array("w", w)
    if x.ndim != w.ndim or x.ndim not in (1, 2):
        raise ShapeError(
            f"x has shape {x.shape} and w {w.shape}: both must be 1-D, (W,) and (R,), or both 2-D, (H, W) and (R, Q); "
            "batches and channels are Conv2d's work"
        )
    if not x.size or not w.size:
        raise ShapeError(f"x has shape {x.shape} and w {w.shape}: neither may be empty")
    dtype = np.result_type(x, w, np.float32)
    return x.astype(dtype, copy=False), w.astype(dtype, copy=False)


def real_array(name: str, value: Any) -> Array:
    """Return ``value`` as an array; raises :class:`DataError` unless it holds real numbers."""
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array
