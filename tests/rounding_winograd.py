"""The bounds of rounding.py for convolutions by Winograd's way: its matrices, and the sizes of what it adds up.

The transforms take large numbers that cancel, so a sum is rounded as one over the absolute values of everything in it:

    |A|ᵀ( Σ_c |G||w||G|ᵀ ⊙ |B|ᵀ|x||B| )|A|      and for dx, dw the same from right to left
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


def sizes(layer: Conv2d, weight: np.ndarray, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """Return the sums of absolute values behind every number of y, dx and dweight; None for the direct way."""
    axes = layer._axes(x.shape[2:])
    side = tile_side(layer, axes)
    if not side:
        return None
    output, filters, inputs = (abs(matrix) for matrix in matrices(side))
    kernel = POINTS + 1 - side
    turned = abs(weight[..., ::-1, ::-1] if layer.flip else weight)
    down, across = (-(-axis.outputs // side) for axis in axes)
    before, held = [axis.before for axis in axes], [side * n + kernel - 1 for n in (down, across)]
    maps = np.zeros((*x.shape[:2], *(max(h, b + n) for h, b, n in zip(held, before, x.shape[2:], strict=True))))
    inside = np.s_[..., before[0] : before[0] + x.shape[2], before[1] : before[1] + x.shape[3]]
    maps[inside] = abs(x)
    delta = np.zeros((*dy.shape[:2], side * down, side * across))
    delta[..., : dy.shape[2], : dy.shape[3]] = abs(dy)
    windows = np.lib.stride_tricks.sliding_window_view(maps, (POINTS, POINTS), axis=(2, 3))
    tiles = windows[:, :, : side * down : side, : side * across : side]
    blocks = delta.reshape(*delta.shape[:2], down, side, across, side).swapaxes(3, 4)
    weights = filters @ turned @ filters.T
    deltas, pixels = output @ blocks @ output.T, inputs @ tiles @ inputs.T
    y = output.T @ np.einsum("fcij,tclmij->tflmij", weights, pixels, optimize=True) @ output
    y = y.swapaxes(3, 4).reshape(delta.shape)[..., : dy.shape[2], : dy.shape[3]]
    back = inputs.T @ np.einsum("fcij,tflmij->tclmij", weights, deltas, optimize=True) @ inputs
    dx = np.zeros_like(maps)
    for row, column in np.ndindex(down, across):
        u, v = side * row, side * column
        dx[..., u : u + POINTS, v : v + POINTS] += back[:, :, row, column]
    dw = filters.T @ np.einsum("tflmij,tclmij->fcij", deltas, pixels, optimize=True) @ filters
    return y, dx[inside], dw[..., ::-1, ::-1] if layer.flip else dw
