"""What the tests of layers share: awkward arrays, random windows, loops over them, and the gradient check."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from pellucid.explain import check_gradients
from pellucid.layers import Layer


def awkward(x: np.ndarray) -> np.ndarray:
    """Return ``x`` as a read-only view of every other entry of a larger array, last axis backwards, NaN in between."""
    room = np.full([2 * n + 1 for n in x.shape], np.nan, x.dtype)
    view = room[tuple(slice(1, None, 2) for _ in x.shape)][..., ::-1]
    view[...] = x
    view.flags.writeable = False
    return view


def misaligned(x: np.ndarray) -> np.ndarray:
    """Return ``x`` in memory that begins a byte beyond a boundary."""
    view = np.empty(x.nbytes + 1, np.uint8)[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    assert x.itemsize == 1 or not view.flags.aligned
    return view


def random_shape(rng: np.random.Generator) -> tuple[int, ...]:
    """Return the shape of a small vector (K,), or of small maps (C, H, W)."""
    return tuple(int(n) for n in rng.integers(1, 6, rng.choice([1, 3])))


def random_window(rng: np.random.Generator, *, pooling: bool) -> tuple[dict[str, Any], tuple[int, int]]:
    """Return settings of a sliding window and a map size (H, W) that it fits.

    Sizes are odd and even, strides need not divide. Pooling windows have a ceil mode, padding of at most half the
    kernel, as PyTorch demands, and a real pixel each: a map as long as the dilation is enough for that.
    """
    kernel = rng.integers(1, 5, 2)
    dilation = rng.integers(1, 4, 2)
    span = dilation * (kernel - 1) + 1
    padding = rng.integers(0, (kernel // 2 if pooling else span) + 1)
    size = np.maximum(span - 2 * padding, dilation) + rng.integers(0, 8, 2)
    settings: dict[str, Any] = {
        "kernel_size": _pair(kernel),
        "stride": _pair(rng.integers(1, 5, 2)),
        "padding": _pair(padding),
        "dilation": _pair(dilation),
    }
    if pooling:
        settings["ceil_mode"] = bool(rng.integers(2))
    return settings, _pair(size)


def receptive_fields(
    size: tuple[int, int],
    *,
    kernel_size: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int] = (0, 0),
    dilation: tuple[int, int] = (1, 1),
    ceil_mode: bool = False,
) -> list[list[list[tuple[int, int]]]]:
    """Return the pixels that output (l, m) reads, ``fields[l][m]``, row by row; those outside the map are padding."""
    rows, columns = (
        list(_axis_fields(size[i], kernel_size[i], stride[i], padding[i], dilation[i], ceil_mode)) for i in (0, 1)
    )
    return [[[(u, v) for u in row for v in column] for column in columns] for row in rows]


def _axis_fields(
    length: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool
) -> Iterator[list[int]]:
    """Slide along one axis; in ceil mode to a last window that hangs over, unless it starts in the padding."""
    start, end = -padding, length + padding
    while start + dilation * (kernel - 1) < end:
        yield [start + dilation * j for j in range(kernel)]
        start += stride
    covered = start - stride + dilation * (kernel - 1) + 1
    if ceil_mode and covered < end and start < length:
        yield [start + dilation * j for j in range(kernel)]


def inside(pixels: list[tuple[int, int]], size: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the pixels that are not padding."""
    return [(u, v) for u, v in pixels if 0 <= u < size[0] and 0 <= v < size[1]]


def assert_values(layer: Layer, x: np.ndarray, y: np.ndarray, dy: np.ndarray, dx: np.ndarray, **context: Any) -> None:
    """Check a layer without parameters, forward and backward, against values that the test has worked out.

    It runs in float64 and float32, on awkward views; the results must keep the dtype and have the shape promised.
    """
    assert layer.output_shape(x.shape[1:]) == y.shape[1:]
    for dtype, tolerance in ((np.float64, 1e-12), (np.float32, 1e-5)):
        found, saved = layer.forward({}, awkward(x.astype(dtype)), **context)
        back, grads = layer.backward({}, saved, awkward(dy.astype(dtype)))
        assert grads == {}
        for name, got, expected in (("y", found, y), ("dx", back, dx)):
            assert got.dtype == dtype, f"{layer!r}: {name} is {got.dtype}, not {np.dtype(dtype)}"
            slack = tolerance * float(abs(expected).max())
            np.testing.assert_allclose(got, expected, rtol=tolerance, atol=slack, err_msg=f"{name} of {layer!r}")


def assert_gradients(layer: Layer, *shapes: tuple[int, ...], seed: int = 0, **options: Any) -> None:
    """Check every entry of every gradient of ``layer`` against central differences, none worse than 1e-6.

    Args:
        layer: the layer.
        shapes: the shape of each of its inputs, without the batch.
        seed: fixes the numbers.
        options: passed on to ``check_gradients``.
    """
    report = check_gradients(layer, shapes[0] if len(shapes) == 1 else shapes, seed=seed, **options)
    entries = options.get("batch", 2) * sum(int(np.prod(shape)) for shape in shapes)
    assert report.checked >= entries
    assert report.error <= 1e-6, f"{layer!r} on {shapes}, seed {seed}: {report}"


def _pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])
