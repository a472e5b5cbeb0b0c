"""What a network takes in: checked once at the edge, turned into numbers batch by batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import ConfigError, DataError, ShapeError


def numeric(value: Any, what: str) -> Array:
    """Return ``value`` as an array of real numbers.

    Raises:
        DataError: it is ragged, or holds text, objects or complex numbers.
    """
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise DataError(f"{what} cannot be made into one array: {error}") from error
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} must be real numbers, got dtype {array.dtype}")
    return array


def check_images(x: Any, expected: Shape) -> Array:
    """Return inputs as (N, *expected), not yet scaled or centred.

    Raises:
        DataError: no samples, NaN or infinity, or numbers that are not real.
        ShapeError: samples of the wrong shape.
    """
    images = numeric(x, "images")
    if len(expected) == 3 and expected[0] == 1 and images.ndim == 3 and images.shape[1:] == expected[1:]:
        images = images[:, None]
    if images.shape[1:] != expected or images.ndim != len(expected) + 1:
        hint = "; for a single sample pass x[None]" if images.shape == expected else ""
        wanted = ", ".join(map(str, expected))
        raise ShapeError(f"inputs have shape {images.shape}, the network takes (N, {wanted}){hint}")
    if not len(images):
        raise DataError("there are no samples")
    if images.dtype.kind == "f":
        _require_finite(images, "contains NaN or infinity; clean the data first")
    return images


def prepare(images: Array, dtype: np.dtype[Any], mean: Array | None) -> Array:
    """Return checked inputs in ``dtype``, pixels divided by 255, the mean taken off.

    Raises:
        DataError: numbers too large for ``dtype``.
    """
    with np.errstate(over="ignore"):
        x = images.astype(dtype)
    if images.dtype.kind == "f" and images.dtype.itemsize > dtype.itemsize:
        _require_finite(x, f"holds numbers too large for {dtype}; scale the data, or use dtype='float64'")
    if images.dtype == np.uint8:
        x /= 255
    return x if mean is None else x - mean


def training_mean(images: Array, per: str) -> Array:
    """Return μ_f, shape (C, 1, 1), or μ_fjk, the shape of a sample (Epelbaum, "Input layer").

    Args:
        images: (N, ...), checked.
        per: ``"channel"`` or ``"pixel"``.
    """
    over = (0, 2, 3) if per == "channel" else (0,)
    mean = images.mean(axis=over, keepdims=True, dtype=np.float64)[0]
    return mean / 255 if images.dtype == np.uint8 else mean


def check_mean(mean: Any, input_shape: Shape, dtype: np.dtype[Any]) -> Array:
    """Return a given mean as (C, 1, 1) or the input's shape, in ``dtype``.

    Raises:
        ShapeError: any other shape.
        DataError: not finite, or not real numbers.
    """
    given = numeric(mean, "input_mean")
    channels = input_shape[0]
    if len(input_shape) == 3 and given.shape in ((channels,), (channels, 1, 1)):
        given = given.reshape(channels, 1, 1)
    elif given.shape != input_shape:
        raise ShapeError(f"input_mean has shape {given.shape}, expected ({channels},) or {input_shape}")
    with np.errstate(over="ignore"):
        given = given.astype(dtype)
    if not np.isfinite(given).all():
        raise DataError("input_mean contains NaN or infinity")
    return given


def require_count(name: str, value: Any) -> None:
    """Raise :class:`ConfigError` unless ``value`` is a whole number of at least 1."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ConfigError(f"{name} must be a whole number of at least 1, got {value!r}")


def _require_finite(images: Array, fault: str) -> None:
    bad = ~np.isfinite(images).reshape(len(images), -1).all(axis=1)
    if bad.any():
        raise DataError(f"sample {int(bad.argmax())} {fault}")
