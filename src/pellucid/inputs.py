"""What a network takes in: checked once at the edge, turned into numbers batch by batch."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.errors import ConfigError, DataError, ShapeError

if TYPE_CHECKING:
    from pellucid.data.stream import Images

#: samples that a mean is summed over at a time
_PIECE = 256
#: numbers that are looked through at a time, so that what is noted of them stays in the processor's caches
_CHECKED_TOGETHER = 2**18


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
        alone = array.dtype == object and not array.ndim
        raise DataError(
            f"{what} must be real numbers, got {f'one {type(value).__name__}' if alone else f'dtype {array.dtype}'}"
        )
    return array


def check_images(x: Any, expected: Shape) -> Array:
    """Return inputs as (N, *expected), not yet scaled or centred.

    Raises:
        DataError: no samples, NaN or infinity, or numbers that are not real.
        ShapeError: samples of the wrong shape.
    """
    images = numeric(x, "images")
    _check_shape(images.shape, expected)
    images = images.reshape(len(images), *expected)
    if images.dtype.kind == "f":
        _require_finite(images, "contains NaN or infinity; clean the data first")
    return images


def check_inputs(x: Any, expected: Shape, threads: int = 1) -> Images:
    """Return inputs as :func:`check_images` does, or, for a source, as a stream that checks its numbers when it reads.

    Args:
        x: what was given.
        expected: shape of one sample.
        threads: that a file is read on, while the network waits.

    Raises:
        DataError, ShapeError: as :func:`check_images`; a source of other numbers than bytes and float32.
    """
    given = cast("object", x)
    if isinstance(given, np.ndarray):
        return check_images(x, expected)
    # Not above: with them comes what reads data sets, which those who pass arrays need not wait for.
    from pellucid.data.source import DTYPES, Source
    from pellucid.data.stream import Stream

    if not isinstance(given, (Stream, Source)):
        return check_images(x, expected)
    _check_shape(given.shape, expected)
    if isinstance(given, Stream):
        return given
    if np.dtype(given.dtype) not in DTYPES:
        raise DataError(f"a source must hold uint8 or float32 numbers, {given!r} has {np.dtype(given.dtype).str}")
    return Stream(given, expected, threads=threads)


def in_pieces(images: Images, size: int, rows: Array | None = None) -> Generator[Array]:
    """Yield checked inputs, or some rows of them, so many at a time; those of a stream are read ahead."""
    if rows is None and isinstance(images, np.ndarray):
        yield from (images[i : i + size] for i in range(0, len(images), size))
        return
    chosen = np.arange(len(images)) if rows is None else rows
    cut = [chosen[i : i + size] for i in range(0, len(chosen), size)]
    with nullcontext() if isinstance(images, np.ndarray) else images.ahead(cut):
        for piece in cut:
            yield images[piece]


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


def training_mean(images: Images, per: str, rows: Array | None = None) -> Array:
    """Return μ_f, shape (C, 1, 1), or μ_fjk, the shape of a sample (Epelbaum, "Input layer").

    Args:
        images: (N, ...), checked. They are summed piece by piece, so that a stream's mean has the bits of an array's.
        per: ``"channel"`` or ``"pixel"``.
        rows: of the images to take the mean of; None for all.
    """
    over = (0, 2, 3) if per == "channel" else (0,)
    total, count = np.zeros(()), 0
    for piece in in_pieces(images, _PIECE, rows):
        total = total + piece.sum(axis=over, keepdims=True, dtype=np.float64)
        count += piece.size
    mean = total[0] / (count // total.size)
    return mean / 255 if images.dtype == np.uint8 else mean


def check_mean(mean: Any, input_shape: Shape, dtype: np.dtype[Any]) -> Array | str:
    """Return a given mean as (C, 1, 1) or the input's shape, in ``dtype``; ``"channel"`` and ``"pixel"`` as they are.

    Raises:
        ConfigError: another word, or a mean per channel of what has none.
        ShapeError: any other shape.
        DataError: not finite, or not real numbers.
    """
    if isinstance(mean, str):
        if mean not in ("channel", "pixel"):
            raise ConfigError(f"input_mean must be 'channel', 'pixel' or an array, got {mean!r}")
        if mean == "channel" and len(input_shape) != 3:
            raise ConfigError(f"input_mean='channel' needs images; the input has shape {input_shape}")
        return mean
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


def _check_shape(shape: Shape, expected: Shape) -> None:
    """Raise unless there are samples of that shape; those of one channel may go without it."""
    without_channel = len(expected) == 3 and expected[0] == 1 and shape[1:] == expected[1:]
    if shape[1:] != expected and not without_channel:
        hint = "; for a single sample pass x[None]" if shape == expected else ""
        wanted = ", ".join(map(str, expected))
        raise ShapeError(f"inputs have shape {shape}, the network takes (N, {wanted}){hint}")
    if not shape[0]:
        raise DataError("there are no samples")


def _require_finite(images: Array, fault: str) -> None:
    size = max(1, _CHECKED_TOGETHER // max(1, images[:1].size))
    for first in range(0, len(images), size):
        finite = np.isfinite(images[first : first + size])
        if not finite.all():
            bad = first + int(finite.reshape(len(finite), -1).all(axis=1).argmin())
            raise DataError(f"sample {bad} {fault}")
