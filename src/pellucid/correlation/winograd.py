r"""Correlation with fewer multiplications: Winograd's minimal filtering, F(m, 3) and F(m×m, 3×3) for m = 2 and 4.

F(m, 3) computes m outputs of a 3-tap kernel from a tile of n = m + 2 inputs with n multiplications instead of 3m:

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]                    1-D
    Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A             2-D, the 1-D form along columns and along rows

    d   tile of the input, (n,) or (n, n); neighbouring tiles overlap by 2
    g   kernel, (3,) or (3, 3)
    y   tile of the output, (m,) or (m, m)
    ⊙   product element by element: the n (or n²) multiplications that are counted
    Bᵀ  (n, n), G (n, 3), Aᵀ (m, n)            fixed small numbers: mostly additions, and G g is done once a kernel

    multiplications per tile     direct   Winograd   saved
    F(2, 3)                      6        4          1.5×
    F(4, 3)                      12       6          2×
    F(2×2, 3×3)                  36       16         2.25×
    F(4×4, 3×3)                  144      36         4×

**Where the matrices come from.** Take polynomials a(z) = a₀ + … + a_{m−1} z^{m−1} and g(z) = g₀ + g₁z + g₂z². Their
product s(z) has n = m + 2 coefficients, so it is known from its values at n points: p₀ … p_{n−2} and ∞, the value at ∞
being the leading coefficient. Values multiply, s(p) = a(p)·g(p), one multiplication a point. In matrices: A a are the
values of a (row i of A is 1, pᵢ, pᵢ², …), G g those of g, and B turns values back into coefficients (Lagrange), so

    s = B [(A a) ⊙ (G g)],     row i of Bᵀ = coefficients of Π_{j≠i} (z − pⱼ),     row ∞ = coefficients of Π_j (z − pⱼ)

with Lagrange's denominators Π_{j≠i} (pᵢ − pⱼ) moved into row i of G, where they cost nothing. For a fixed g the map
a ↦ s is linear; its matrix has g[k − i] in row k, column i. A correlation with g is the transpose of that matrix, and
transposing B·diag(G g)·A gives Aᵀ·diag(G g)·Bᵀ: the formula above. The points are 0, 1, −1, ∞ for F(2, 3), and 2, −2
besides for F(4, 3). Signs are shared out as in Lavin & Gray.

**What it costs.** Larger points make larger numbers that cancel: rounding errors grow by up to ‖Aᵀ‖·‖G‖·‖Bᵀ‖ (largest
row sums of absolute values), which is 9 for F(2, 3), 190 for F(4, 3), and the square of that in 2-D. On normal random
numbers F(4×4, 3×3) loses about one decimal digit. One NaN spoils its whole tile.

Source: Winograd, *Arithmetic Complexity of Computations* (1980); Lavin & Gray, "Fast Algorithms for Convolutional
Neural Networks" (2016), §4; named by Binding §1.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.arrays import Array
from pellucid.errors import ShapeError

Tile = Literal[2, 4]


class Transforms(NamedTuple):
    """The matrices of F(m, 3): ``A`` is (m+2, m), ``B`` (m+2, m+2), ``G`` (m+2, 3)."""

    A: Array
    B: Array
    G: Array


TRANSFORMS: dict[int, Transforms] = {
    2: Transforms(  # points 0, 1, −1, ∞
        A=np.array(
            [
                [1, 1, 1, 0],
                [0, 1, -1, -1],
            ]
        ).T,
        B=np.array(
            [
                [1, 0, -1, 0],
                [0, 1, 1, 0],
                [0, -1, 1, 0],
                [0, 1, 0, -1],
            ]
        ).T,
        G=np.array(
            [
                [1, 0, 0],
                [1 / 2, 1 / 2, 1 / 2],
                [1 / 2, -1 / 2, 1 / 2],
                [0, 0, 1],
            ]
        ),
    ),
    4: Transforms(  # points 0, 1, −1, 2, −2, ∞
        A=np.array(
            [
                [1, 1, 1, 1, 1, 0],
                [0, 1, -1, 2, -2, 0],
                [0, 1, 1, 4, 4, 0],
                [0, 1, -1, 8, -8, 1],
            ]
        ).T,
        B=np.array(
            [
                [4, 0, -5, 0, 1, 0],
                [0, -4, -4, 1, 1, 0],
                [0, 4, -4, -1, 1, 0],
                [0, -2, -1, 2, 1, 0],
                [0, 2, -1, -2, 1, 0],
                [0, 4, 0, -5, 0, 1],
            ]
        ).T,
        G=np.array(
            [
                [1 / 4, 0, 0],
                [-1 / 6, -1 / 6, -1 / 6],
                [-1 / 6, 1 / 6, -1 / 6],
                [1 / 24, 1 / 12, 1 / 6],
                [1 / 24, -1 / 12, 1 / 6],
                [0, 0, 1],
            ]
        ),
    ),
}


def correlate_winograd(x: Array, w: Array, tile: Tile = 4) -> Array:
    """Correlate by tiles of F(m, 3) in 1-D, of F(m×m, 3×3) in 2-D; see the module for the formula.

    The last tiles of a row or column may reach past the end of x; zeros stand in there, and the outputs that read them
    are cut off.

    Args:
        x: (W,) or (H, W).
        w: (3,) or (3, 3).
        tile: m, the outputs of a tile along each axis.

    Shapes: y (W−2,) or (H−2, W−2).

    Raises:
        ShapeError: the kernel is not of length 3.
    """
    if set(w.shape) != {3}:
        wanted = (3,) * w.ndim
        raise ShapeError(
            f"method 'winograd' needs a kernel of shape {wanted}, got {w.shape}; use 'direct', 'im2col' or 'fft'"
        )
    A, B, G = (matrix.astype(x.dtype) for matrix in TRANSFORMS[tile])
    outputs = [length - 2 for length in x.shape]
    tiles = [-(-count // tile) for count in outputs]
    filled = np.pad(x, [(0, tile * n + 2 - length) for n, length in zip(tiles, x.shape, strict=True)])
    d = sliding_window_view(filled, (tile + 2,) * x.ndim)[(slice(None, None, tile),) * x.ndim]
    if x.ndim == 1:
        y = ((G @ w) * (d @ B)) @ A
        return y.reshape(-1)[: outputs[0]]
    y = A.T @ ((G @ w @ G.T) * (B.T @ d @ B)) @ A
    return y.transpose(0, 2, 1, 3).reshape(tile * tiles[0], tile * tiles[1])[: outputs[0], : outputs[1]]
