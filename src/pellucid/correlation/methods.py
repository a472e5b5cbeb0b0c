"""Correlation and convolution of two arrays, by the method that is asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from pellucid.arrays import Array
from pellucid.correlation.direct import correlate_direct
from pellucid.correlation.fft import correlate_fft
from pellucid.correlation.im2col import correlate_im2col
from pellucid.correlation.modes import Mode, check_operands, pad
from pellucid.correlation.winograd import correlate_winograd
from pellucid.errors import ConfigError

Method = Literal["direct", "im2col", "fft", "winograd"]

METHODS: dict[str, Callable[[Array, Array], Array]] = {
    "direct": correlate_direct,
    "im2col": correlate_im2col,
    "fft": correlate_fft,
    "winograd": correlate_winograd,
}


def correlate(x: Any, w: Any, mode: Mode = "valid", method: Method = "direct") -> Array:
    """Return the correlation of x with the kernel w.

    Legend: x = I, w = F, y = C (Binding §1); b, b′ are the zeros that the mode puts before x along each axis (none for
    ``"valid"``), and x is 0 outside itself.

    ::

        y[i]    = Σ_m      w[m]    · x[i + m − b]
        y[i, j] = Σ_m Σ_n  w[m, n] · x[i + m − b, j + n − b′]

    Args:
        x: (W,) or (H, W).
        w: (R,) or (R, Q).
        mode: ``"valid"``, where the kernel lies inside x; ``"same"``, as many outputs as inputs, centred as SciPy does;
            ``"full"``, wherever the two overlap. :mod:`pellucid.correlation.modes` has the table.
        method: ``"direct"`` (the sum as it stands), ``"im2col"`` (one matrix product), ``"fft"`` (a product of
            spectra) or ``"winograd"`` (kernels of length 3 only; tiles of 4). They differ in rounding errors alone.

    Shapes: along an axis with T inputs and a kernel of R, T − R + 1 outputs for valid, T for same, T + R − 1 for full.
    float32 stays float32; whole numbers become floating point.

    Raises:
        ConfigError: there is no such mode or method.
        DataError: x or w are not real numbers.
        ShapeError: x and w are not both 1-D or both 2-D; one is empty; the kernel is larger than x and the mode valid;
            the kernel is not of length 3 for Winograd.

    Source: Binding (1.1), (1.3), (B.1), (B.12).

    Example:
        >>> correlate([1, 2, 3, 4], [1, 10])
        array([21., 32., 43.])
        >>> correlate([1, 2, 3, 4], [1, 10], mode="same")
        array([10., 21., 32., 43.])
    """
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(map(repr, METHODS))}, got {method!r}")
    x, w = check_operands(x, w)
    return METHODS[method](pad(x, w.shape, mode), w)


def convolve(x: Any, w: Any, mode: Mode = "valid", method: Method = "direct") -> Array:
    """Return the convolution of x with the kernel w: the correlation with the kernel turned by 180°.

    ::

        y[i, j] = Σ_m Σ_n  w[R − 1 − m, Q − 1 − n] · x[i + m − b, j + n − b′]

    Binding's (1.2) prints w[R − m, Q − n], which for m = 0 reads past the end of the kernel (see errata).

    Arguments, shapes and errors are those of :func:`correlate`.

    Source: Binding (1.2), corrected.

    Example:
        >>> convolve([1, 2, 3, 4], [1, 10])
        array([12., 23., 34.])
    """
    return correlate(x, turned(np.asarray(w)), mode, method)


def turned(w: Array) -> Array:
    """Return w turned by 180°: reversed along every axis (Binding's w₁₈₀)."""
    return np.flip(w)
