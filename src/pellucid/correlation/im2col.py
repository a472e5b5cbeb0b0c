"""Correlation as a matrix product: every window becomes a row ("image to columns", im2col)."""

from __future__ import annotations

from math import prod

from numpy.lib.stride_tricks import sliding_window_view

from pellucid.arrays import Array, Shape


def im2col(x: Array, kernel_shape: Shape) -> Array:
    """Return the matrix whose row i holds, one after the other, the pixels that window i of x covers.

    Legend: x = h (Epelbaum), I (Binding); windows are numbered row by row, pixels in a window too.

    For x = [x₀, x₁, x₂, x₃] and R = 2 it is the matrix of Binding (B.5)::

        x₀ x₁
        x₁ x₂
        x₂ x₃

    Every pixel is stored up to R·Q times: memory is what a fast matrix product costs here.

    Shapes: x (H, W) and a kernel (R, Q) give ((H−R+1)·(W−Q+1), R·Q), Epelbaum's N_p T_p × R_C²; x (W,) and (R,) give
    (W−R+1, R).

    Source: Epelbaum, "Convolution as a matrix multiplication"; Binding (1.4), (B.5).
    """
    return sliding_window_view(x, kernel_shape).reshape(-1, prod(kernel_shape))


def correlate_im2col(x: Array, w: Array) -> Array:
    """Multiply the matrix of windows with the kernel laid out as a vector.

    ::

        y[i] = im2col(x)[i, :] · vec(w)

    Each output is a dot product like Binding's (1.4), [I(0,0), I(0,1), I(1,0), I(1,1)] times the kernel's
    [F(0,0), F(0,1), F(1,0), F(1,1)]ᵀ, and all of them together are one matrix product.

    Shapes: x (W,) and w (R,) give y (W−R+1,); x (H, W) and w (R, Q) give y (H−R+1, W−Q+1).

    Source: Epelbaum, "Convolution as a matrix multiplication"; Binding (1.4).
    """
    outputs = [length - kernel + 1 for length, kernel in zip(x.shape, w.shape, strict=True)]
    return (im2col(x, w.shape) @ w.reshape(-1)).reshape(outputs)
