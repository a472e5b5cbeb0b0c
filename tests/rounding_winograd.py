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

POINTS = 6
#: how often a number is rounded in two transforms on the way in, and one on the way out, along both axes
TRANSFORM_ROUNDINGS = 32

INPUT = np.array(
    [
        [4, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)  # Bᵀ


def powers(columns: int) -> np.ndarray:
    """Return the powers 0 … columns − 1 of the points 0, 1, −1, 2, −2, and for ∞ the last one alone."""
    finite = np.array([0, 1, -1, 2, -2])[:, None] ** np.arange(columns)
    return np.vstack([finite, np.arange(columns) == columns - 1]).astype(float)


def matrices(side: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return A (6, M), G (6, 7 − M) and Bᵀ (6, 6) of F(M, 7 − M)."""
    scale = np.array([1 / 4, -1 / 6, -1 / 6, 1 / 24, 1 / 24, 1])
    return powers(side), scale[:, None] * powers(POINTS + 1 - side), INPUT.astype(float)


def tile_side(layer: Conv2d, axes: tuple[Axis, Axis]) -> int:
    """Return the side of a convolution's tiles natively; 0 for the direct way."""
    rows, columns = axes
    return 0 if layer.groups > 1 else winograd.side(rows.native, columns.native, rows.outputs, columns.outputs)


def spread(x: np.ndarray, before: tuple[int, ...], held: tuple[int, ...]) -> np.ndarray:
    """Return |x| from ``before`` on in zeros of a size of at least ``held``."""
    room = (max(h, b + n) for h, b, n in zip(held, before, x.shape[2:], strict=True))
    maps = np.zeros((*x.shape[:2], *room))
    maps[..., before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]] = abs(x)
    return maps


def pixels_of(maps: np.ndarray, side: int, down: int, across: int) -> np.ndarray:
    """Return |B|ᵀ|x||B| of every tile."""
    inputs = abs(matrices(side)[2])
    windows = np.lib.stride_tricks.sliding_window_view(maps, (POINTS, POINTS), axis=(2, 3))
    return inputs @ windows[:, :, : side * down : side, : side * across : side] @ inputs.T


def outputs_of(pixels: np.ndarray, weight: np.ndarray, side: int, height: int, width: int) -> np.ndarray:
    """Return the sums behind a correlation with the kernels ``weight``."""
    output, filters, _ = (abs(matrix) for matrix in matrices(side))
    weights = filters @ abs(weight) @ filters.T
    y = output.T @ np.einsum("fcij,tclmij->tflmij", weights, pixels, optimize=True) @ output
    samples, maps, down, across = y.shape[:4]
    return y.swapaxes(3, 4).reshape(samples, maps, side * down, side * across)[..., :height, :width]


def dx_by_point(turned: np.ndarray, dy: np.ndarray, before: list[int], shape: tuple[int, ...]) -> np.ndarray:
    """Return the sums behind dx of 3×3 kernels: a correlation of δ with the kernels turned by 180°."""
    side = winograd.SIDE_BY_POINT
    down, across = (-(-n // side) for n in shape)
    first = [2 - b for b in before]  # where it is negative, dx begins further into δ
    held = [side * n + 2 for n in (down, across)]
    maps = spread(dy, tuple(max(b, 0) for b in first), tuple(h + max(-b, 0) for h, b in zip(held, first, strict=True)))
    maps = maps[..., max(-first[0], 0) :, max(-first[1], 0) :]
    pixels = pixels_of(maps, side, down, across)
    return outputs_of(pixels, turned[..., ::-1, ::-1].swapaxes(0, 1), side, *shape)


def dx_by_tile(turned: np.ndarray, deltas: np.ndarray, maps: np.ndarray, side: int) -> np.ndarray:
    """Return the sums behind dx of 5×5 kernels: the transforms from right to left, added up where tiles overlap."""
    _, filters, inputs = (abs(matrix) for matrix in matrices(side))
    weights = filters @ abs(turned) @ filters.T
    back = inputs.T @ np.einsum("fcij,tflmij->tclmij", weights, deltas, optimize=True) @ inputs
    dx = np.zeros_like(maps)
    for row, column in np.ndindex(*deltas.shape[2:4]):
        u, v = side * row, side * column
        dx[..., u : u + POINTS, v : v + POINTS] += back[:, :, row, column]
    return dx


def sizes(layer: Conv2d, weight: np.ndarray, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Return the sums of absolute values behind every number of y, dx and dweight; None for the direct way."""
    axes = layer._axes(x.shape[2:])
    side = tile_side(layer, axes)
    if not side:
        return None
    output, filters, _ = (abs(matrix) for matrix in matrices(side))
    kernel = POINTS + 1 - side
    turned = weight[..., ::-1, ::-1] if layer.flip else weight
    down, across = (-(-axis.outputs // side) for axis in axes)
    before = [axis.before for axis in axes]
    maps = spread(x, tuple(before), (side * down + kernel - 1, side * across + kernel - 1))
    inside = np.s_[..., before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]]
    delta = spread(dy, (0, 0), (side * down, side * across))
    blocks = delta.reshape(*delta.shape[:2], down, side, across, side).swapaxes(3, 4)
    deltas, pixels = output @ blocks @ output.T, pixels_of(maps, side, down, across)
    y = outputs_of(pixels, turned, side, *dy.shape[2:])
    if side == winograd.SIDE_BY_POINT:
        dx = dx_by_point(turned, dy, before, x.shape[2:])
    else:
        dx = dx_by_tile(turned, deltas, maps, side)[inside]
    dw = filters.T @ np.einsum("tflmij,tclmij->fcij", deltas, pixels, optimize=True) @ filters
    return y, dx, dw[..., ::-1, ::-1] if layer.flip else dw
