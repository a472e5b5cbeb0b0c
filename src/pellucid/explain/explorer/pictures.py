"""Drawings and image files become one input of the network; images of a data set become small pictures."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.data import ImageForm
from pellucid.errors import DataError
from pellucid.explain.explorer.ink import Ink


def from_file(data: bytes, shape: Shape) -> Array:
    """Return the pixels of an image file's bytes, uint8, in the shape that a network takes; bars fill what is missing.

    Raises:
        DataError: it is no image, damaged, or the network takes no images.
        MissingExtraError: Pillow is not installed.
    """
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise DataError(f"the network takes inputs of shape {shape}, which no picture can be made into")
    return ImageForm(shape[1:], shape[0] == 1, "pad").decode(data, "the picture")


def from_drawing(width: int, height: int, channels: int, data: bytes, shape: Shape, ink: Ink | None = None) -> Array:
    """Return a drawing as :func:`from_file` does.

    Args:
        width, height: of the drawing.
        channels: 1 for grey, 3 for red, green and blue.
        data: a byte a number, rows first, channels last.
        shape: what the network takes.
        ink: where the ink is to lie in a grey one; None to shrink the drawing as it is.

    Raises:
        DataError: too many bytes, or too few; otherwise as :func:`from_file`.
        MissingExtraError: Pillow is not installed.
    """
    expected = width * height * channels
    if channels == 2:
        raise DataError("a drawing is grey, of 1 channel, or has 3: red, green and blue; got 2")
    if len(data) != expected:
        raise DataError(
            f"a drawing of {width}×{height} pixels and {channels} channels has {expected:,} bytes, got {len(data):,}"
        )
    if ink is not None and channels == 1:
        framed = ink.frame(np.frombuffer(data, np.uint8).reshape(height, width))
        height, width = framed.shape
        data = framed.tobytes()
    kind = b"P5" if channels == 1 else b"P6"
    return from_file(b"%s %d %d 255\n" % (kind, width, height) + data, shape)


def thumbnails(images: Array) -> Array:
    """Return images as uint8: pixels as they are, other numbers from the smallest of all of them to the largest."""
    if images.dtype == np.uint8:
        return images
    numbers = images.astype(np.float64)
    low, high = numbers.min(), numbers.max()
    return np.rint((numbers - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
