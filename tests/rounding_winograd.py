"""The bounds of rounding.py for convolutions by Winograd's way: its matrices, and the sizes of what it adds up.

The transforms take large numbers that cancel, so a sum is rounded as one over the absolute values of everything in it:

    |A|ᵀ( Σ_c |G||w||G|ᵀ ⊙ |B|ᵀ|x||B| )|A|      and for dw, and dx of 5×5 kernels, the same from right to left

dx of 3×3 kernels is the same correlation of δ with the kernels turned. Tiles at the edges that take fewer points add up
no larger numbers.
"""

from __future__ import annotations

import numpy as np

from pellucid.engine import winograd
from pellucid.layers import Conv2d
from pellucid.layers.windows import Axis

#: side of a tile of outputs
SIDE = winograd.SIDE
#: how often a number is rounded in two transforms on the way in, and one on the way out, along both axes
TRANSFORM_ROUNDINGS = 32

#: the points of F(4, 3) and F(4, 5) but ∞, which is the last, and what G multiplies their rows by
FINITE = {3: [0, 1, -1, 2, -2], 5: [0, 1, -1, 2, -2, 1 / 2, -1 / 2]}
SCALES = {3: [1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 1], 5: [1, -2 / 9, -2 / 9, 1 / 90, 1 / 90, 32 / 45, 32 / 45, 1]}


def powers(kernel: int, columns: int) -> np.ndarray:
    """Return the powers 0 … columns − 1 of the points, and for ∞ the last one alone."""
    finite = np.array(FINITE[kernel], float)[:, None] ** np.arange(columns)
    return np.vstack([finite, np.arange(columns) == columns - 1])


def inputs_of(kernel: int) -> np.ndarray:
    """Return Bᵀ: for every point the polynomial that is 0 at the others, sized as G leaves it; for ∞ at them all."""
    finite, rows = FINITE[kernel], []
    for i, point in enumerate(finite):
        others = finite[:i] + finite[i + 1 :]
        at_point = np.prod([point - other for other in others])
        rows.append(np.append(np.poly(others)[::-1] / at_point / SCALES[kernel][i], 0.0))
    return np.array([*rows, np.poly(finite)[::-1]])


def matrices(kernel: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (K + 3, 4), G (K + 3, K) and Bᵀ (K + 3, K + 3) of F(4, K)."""
    scale = np.array(SCALES[kernel])[:, None]
    return powers(kernel, SIDE), scale * powers(kernel, kernel), inputs_of(kernel)


def tile_kernel(layer: Conv2d, axes: tuple[Axis, Axis]) -> int:
    """Return the kernel of a convolution's tiles natively, 3 or 5; 0 for the direct way."""
    rows, columns = axes
    return 0 if layer.groups > 1 else winograd.kernel(rows.native, columns.native, rows.outputs, columns.outputs)


def spread(x: np.ndarray, before: tuple[int, ...], held: tuple[int, ...]) -> np.ndarray:
    """Return |x| from ``before`` on in zeros of a size of at least ``held``."""
    room = (max(h, b + n) for h, b, n in zip(held, before, x.shape[2:], strict=True))
    maps = np.zeros((*x.shape[:2], *room))
    maps[..., before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]] = abs(x)
    return maps


def pixels_of(maps: np.ndarray, kernel: int, down: int, across: int) -> np.ndarray:
    """Return |B|ᵀ|x||B| of every tile."""
    inputs = abs(matrices(kernel)[2])
    windows = np.lib.stride_tricks.sliding_window_view(maps, inputs.shape, axis=(2, 3))
    return inputs @ windows[:, :, : SIDE * down : SIDE, : SIDE * across : SIDE] @ inputs.T


def outputs_of(pixels: np.ndarray, weight: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return the sums behind a correlation with the kernels ``weight``."""
    output, filters, _ = (abs(matrix) for matrix in matrices(weight.shape[2]))
    weights = filters @ abs(weight) @ filters.T
    y = output.T @ np.einsum("fcij,tclmij->tflmij", weights, pixels, optimize=True) @ output
    samples, maps, down, across = y.shape[:4]
    return y.swapaxes(3, 4).reshape(samples, maps, SIDE * down, SIDE * across)[..., :height, :width]


def dx_by_point(turned: np.ndarray, dy: np.ndarray, before: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return the sums behind dx of 3×3 kernels: a correlation of δ with the kernels turned by 180°."""
    down, across = (-(-n // SIDE) for n in shape)
    first = [2 - b for b in before]  # where it is negative, dx begins further into δ
    held = [SIDE * n + 2 for n in (down, across)]
    maps = spread(dy, tuple(max(b, 0) for b in first), tuple(h + max(-b, 0) for h, b in zip(held, first, strict=True)))
    maps = maps[..., max(-first[0], 0) :, max(-first[1], 0) :]
    pixels = pixels_of(maps, 3, down, across)
    return outputs_of(pixels, turned[..., ::-1, ::-1].swapaxes(0, 1), *shape)


def dx_by_tile(turned: np.ndarray, deltas: np.ndarray, maps: np.ndarray) -> np.ndarray:
    """Return the sums behind dx of 5×5 kernels: the transforms from right to left, added up where tiles overlap."""
    _, filters, inputs = (abs(matrix) for matrix in matrices(5))
    weights = filters @ abs(turned) @ filters.T
    back = inputs.T @ np.einsum("fcij,tflmij->tclmij", weights, deltas, optimize=True) @ inputs
    dx = np.zeros_like(maps)
    for row, column in np.ndindex(*deltas.shape[2:4]):
        u, v = SIDE * row, SIDE * column
        dx[..., u : u + len(inputs), v : v + len(inputs)] += back[:, :, row, column]
    return dx


def sizes(layer: Conv2d, weight: np.ndarray, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Return the sums of absolute values behind every number of y, dx and dweight; None for the direct way."""
    axes = layer._axes(x.shape[2:])
    kernel = tile_kernel(layer, axes)
    if not kernel:
        return None
    output, filters, _ = (abs(matrix) for matrix in matrices(kernel))
    turned = weight[..., ::-1, ::-1] if layer.flip else weight
    down, across = (-(-axis.outputs // SIDE) for axis in axes)
    before = [axis.before for axis in axes]
    maps = spread(x, tuple(before), (SIDE * down + kernel - 1, SIDE * across + kernel - 1))
    inside = np.s_[..., before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]]
    delta = spread(dy, (0, 0), (SIDE * down, SIDE * across))
    blocks = delta.reshape(*delta.shape[:2], down, SIDE, across, SIDE).swapaxes(3, 4)
    deltas, pixels = output @ blocks @ output.T, pixels_of(maps, kernel, down, across)
    y = outputs_of(pixels, turned, *dy.shape[2:])
    if kernel == winograd.BY_POINT:
        dx = dx_by_point(turned, dy, before, x.shape[2:])
    else:
        dx = dx_by_tile(turned, deltas, maps)[inside]
    dw = filters.T @ np.einsum("tflmij,tclmij->fcij", deltas, pixels, optimize=True) @ filters
    return y, dx, dw[..., ::-1, ::-1] if layer.flip else dw
