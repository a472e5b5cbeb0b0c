"""Correlation as the sum that defines it."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array


def correlate_direct(x: Array, w: Array) -> Array:
    """Slide w over x and add up the products.

    Legend: x = I (Binding §1), 𝐱 (Binding B.1), 𝐗 (B.9); w = F, 𝐰, 𝐖; y = C, 𝐲, 𝐘; m, n are the pixels of the kernel.

    In one and in two dimensions::

        y[i]    = Σ_m      w[m]    · x[i + m]
        y[i, j] = Σ_m Σ_n  w[m, n] · x[i + m, j + n]

    The loop below runs over the kernel, m and n; each turn adds its term for all (i, j) at once: ``x[i + m, j + n]``
    for i, j = 0, 1, … is x from row m and column n on.

    A NaN in x shows in the outputs that read it and in no other, which the FFT and Winograd cannot say.

    Shapes: x (W,) and w (R,) give y (W−R+1,); x (H, W) and w (R, Q) give y (H−R+1, W−Q+1).

    Source: Binding (1.1), (B.1), (B.12), the bias left out.
    """
    y = np.zeros([length - kernel + 1 for length, kernel in zip(x.shape, w.shape, strict=True)], x.dtype)
    for tap in np.ndindex(w.shape):
        shifted = tuple(slice(m, m + outputs) for m, outputs in zip(tap, y.shape, strict=True))
        y += w[tap] * x[shifted]
    return y
