"""Correlation as a product of spectra (Fast Fourier Transform)."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array


def correlate_fft(x: Array, w: Array) -> Array:
    """Multiply the spectrum of x with the conjugate spectrum of w, and transform back.

    Legend: X, W are the discrete Fourier transforms of x and of w filled up with zeros to the length T of x;
    X* is the complex conjugate; j counts the kernel.

    With X[q] = Σ_i x[i] e^{−2πi·qi/T}, along every axis::

        y[i] = Σ_j w[j] · x[(i + j) mod T]        ⇔        Y[q] = W*[q] · X[q]

    A shift by j multiplies the spectrum by e^{+2πi·qj/T}; adding the shifts with weights w[j] gives W*[q]. Without the
    conjugate it would be a convolution. The transform sees x as a circle (mod T), but a window of a *valid*
    correlation ends before the circle closes: i + j ≤ (T − R) + (R − 1) < T. So no zeros are needed, and the outputs
    from T − R + 1 on, where the window wraps around, are cut off.

    The cost is T log T, whatever the size of the kernel: worth it for large kernels. Rounding errors grow with the
    largest numbers in x and w, not with those that an output reads, and one NaN spoils all outputs.

    Shapes: x (W,) and w (R,) give y (W−R+1,); x (H, W) and w (R, Q) give y (H−R+1, W−Q+1).

    Source: named by Binding §1 ("implementation speed-ups"), not derived there; Oppenheim & Schafer, *Discrete-Time
    Signal Processing*.
    """
    axes = tuple(range(x.ndim))
    spectrum = np.conj(np.fft.rfftn(w, x.shape, axes)) * np.fft.rfftn(x, x.shape, axes)
    circular = np.fft.irfftn(spectrum, x.shape, axes)
    valid = tuple(slice(length - kernel + 1) for length, kernel in zip(x.shape, w.shape, strict=True))
    return circular[valid].astype(x.dtype, copy=False)
