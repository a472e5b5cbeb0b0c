"""Epelbaum's "Practical Simplification": how the ten loops of conv → batch norm → conv become seven.

Take one layer of his chapter: a convolution's output a, ReLU (his g), batch norm, then a pooling or a second
convolution, which gives the next a:

    a ──g──► h ──batch norm──► y = γ h̃ + β ──pool or conv──► next a

The error rate δ of the next layer, ∂J/∂(next a), is known; wanted is ∂J/∂a. Every y depends on every h of its feature
map, through the mean and the variance, so the chain rule sums over all pairs of pixels of the batch, with

    J[t,t′; f; l′,m′, l,m] = ∂y[t′,f,l′,m′]/∂h[t,f,l,m]
                           = γ̃[f] ([t′ = t, l′ = l, m′ = m] − (1 + h̃[t′,f,l′,m′] h̃[t,f,l,m]) / (T_mb N T))

But J is a delta plus products of a factor of (t′, l′, m′) with a factor of (t, l, m). The sums over the primed indices
need not be done again for every (t, l, m): they are numbers, one a feature map, and get the names μ, λ and ν. Each
function ``…_loops`` below is a formula before that step, and its neighbour the formula after it; they must agree. In
the neighbours the letters of an einsum are the loops: count them (``p`` stands for f′).

What the numbers mean: μ⁽¹⁾[f] and λ⁽⁴⁾[f] are ∂J/∂β[f], μ⁽²⁾[f] and λ⁽⁶⁾[f] are ∂J/∂γ[f]. So all of this is the short
backward pass of batch norm, dh = γ̃ (dy − (∂J/∂β + h̃ ∂J/∂γ)/(T_mb N T)), with λ⁽¹⁾ for dy: one line in
:class:`pellucid.layers.BatchNorm2d`.

Legend (his letters; indices count from 0, and pixels without the padding):

    t, t′          samples of the batch, T_mb of them
    f, f′          feature maps of this layer and of the next, F and F′ of them
    l, m           pixels of this layer's maps, N × T;   l′, m′ those of the next layer's, N′ × T′
    j, k           pixels of the R_C × R_C kernel; or where in its R_P × R_P window a maximum sits
    delta          δ of the next layer, (T_mb, F′, N′, T′)
    theta          Θ of the second convolution, (F′, F, R_C, R_C)
    layer          h̃, γ̃ and g′(a) of this layer: see :class:`Normalized`
    P, S_P         padding of the second convolution, stride of the pooling

The convolution has stride 1, as in his section. Its zeros are put around y, after batch norm. His λ⁽⁴⁾ and Δ^β count
the taps that fall on these zeros like all others; but a zero depends on no h and on no β. For P > 0 the term ``border``
takes them out (see errata); for P = 0 it is 0 and the formulas are as printed.

Source: Epelbaum, "Practical Simplification", "Backprop through BatchNorm", "Error rate updates", "Coefficient update".
"""

# ruff: noqa: E741 - l is the text's letter for a row

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.arrays import Array
from pellucid.errors import ShapeError

Pixel = tuple[int, int, int]


class Normalized(NamedTuple):
    """What a layer keeps for the way back: h̃ (T_mb, F, N, T), γ̃ (F,) and g′(a) (T_mb, F, N, T)."""

    h_tilde: Array
    gamma_tilde: Array
    slope: Array


class PoolToConv(NamedTuple):
    """μ⁽¹⁾ and μ⁽²⁾, each (F,), and the error rate ∂J/∂a, (T_mb, F, N, T)."""

    mu1: Array
    mu2: Array
    delta: Array


class ConvToConv(NamedTuple):
    """λ⁽¹⁾ to λ⁽⁶⁾, the border, and the error rate ∂J/∂a.

    Shapes: lambda1 and delta (T_mb, F, N, T); lambda2 (F, F′); lambda3 (F′,); lambda4 and lambda6 (F,);
    lambda5 (F, F′, R_C, R_C); border (F′, R_C, R_C).
    """

    lambda1: Array
    lambda2: Array
    lambda3: Array
    lambda4: Array
    lambda5: Array
    lambda6: Array
    border: Array
    delta: Array


class Coefficients(NamedTuple):
    """ν⁽¹⁾ (F′, F, R_C, R_C), ν⁽²⁾ (F′,), the border (F′, R_C, R_C), and Δ^γ and Δ^β, each (F,)."""

    nu1: Array
    nu2: Array
    border: Array
    dgamma: Array
    dbeta: Array


def normalize(a: Array, gamma: Array, eps: float = 1e-5) -> Normalized:
    """Send a batch through ReLU and batch norm, and return what the way back needs.

    ::

        h = max(0, a)        h̃[t,f,l,m] = (h[t,f,l,m] − ĥ[f]) / √(σ̂²[f] + ε)        γ̃[f] = γ[f] / √(σ̂²[f] + ε)

    Args:
        a: output of the convolution, (T_mb, F, N, T).
        gamma: γ, (F,).
        eps: ε.

    Source: Epelbaum, "Modification to Batch Normalization", "Backprop through BatchNorm".
    """
    h = np.maximum(a, 0)
    mean = np.einsum("tflm->f", h) / h[:, 0].size
    centred = h - mean[:, None, None]
    sigma = np.sqrt(np.einsum("tflm,tflm->f", centred, centred) / h[:, 0].size + eps)
    return Normalized(centred / sigma[:, None, None], gamma / sigma, (a > 0).astype(h.dtype))


def winners(y: Array, kernel: int, stride: int) -> tuple[Array, Array]:
    """Return j[t,f,l,m] and k[t,f,l,m]: where in its window each maximum sits, the first one of a tie.

    Args:
        y: what is pooled, (T_mb, F, N, T).
        kernel, stride: R_P and S_P.

    Source: Epelbaum, "Pooling".
    """
    windows = sliding_window_view(y, (kernel, kernel), axis=(2, 3))[:, :, ::stride, ::stride]
    best = windows.reshape(*windows.shape[:4], -1).argmax(axis=-1)
    return best // kernel, best % kernel


def jacobian(layer: Normalized, f: int, y_at: Pixel, h_at: Pixel) -> float:
    """Return J = ∂y[t′,f,l′,m′]/∂h[t,f,l,m], for y_at = (t′, l′, m′) and h_at = (t, l, m).

    Source: Epelbaum, "Backprop through BatchNorm".
    """
    (t2, l2, m2), (t, l, m) = y_at, h_at
    same = float(y_at == h_at)
    h_tilde = layer.h_tilde[:, f]
    return layer.gamma_tilde[f] * (same - (1 + h_tilde[t2, l2, m2] * h_tilde[t, l, m]) / h_tilde.size)


def pool_to_conv_loops(delta: Array, j: Array, k: Array, stride: int, layer: Normalized) -> Array:
    """Return ∂J/∂a from pool to conv as it stands: seven loops, t f l m and t′ l′ m′.

    ::

        ∂J/∂a[t,f,l,m] = g′(a[t,f,l,m]) Σ_t′ Σ_l′ Σ_m′  δ[t′,f,l′,m′] · J[t,t′; f; S_P l′ + j, S_P m′ + k, l,m]

    with j and k at [t′,f,l′,m′]. Arguments, errors and source: see :func:`pool_to_conv`.
    """
    _check_pooling(delta, j, k, stride, layer)
    samples, _, rows, columns = delta.shape
    result = np.zeros_like(layer.h_tilde)
    for t, f, l, m in np.ndindex(layer.h_tilde.shape):
        for t2, l2, m2 in product(range(samples), range(rows), range(columns)):
            winner = (t2, stride * l2 + int(j[t2, f, l2, m2]), stride * m2 + int(k[t2, f, l2, m2]))
            result[t, f, l, m] += delta[t2, f, l2, m2] * jacobian(layer, f, winner, (t, l, m))
        result[t, f, l, m] *= layer.slope[t, f, l, m]
    return result


def pool_to_conv(delta: Array, j: Array, k: Array, stride: int, layer: Normalized) -> PoolToConv:
    """Return ∂J/∂a from pool to conv in four loops at most, with μ⁽¹⁾ and μ⁽²⁾.

    ::

        μ⁽¹⁾[f] = Σ_t Σ_l′ Σ_m′  δ[t,f,l′,m′]
        μ⁽²⁾[f] = Σ_t Σ_l′ Σ_m′  δ[t,f,l′,m′] · h̃[t,f, S_P l′ + j, S_P m′ + k]

        ∂J/∂a[t,f,l,m] = γ̃[f] g′(a[t,f,l,m]) { Σ_l′ Σ_m′ δ[t,f,l′,m′] · [S_P l′ + j = l, S_P m′ + k = m]
                                                − (μ⁽¹⁾[f] + μ⁽²⁾[f] h̃[t,f,l,m]) / (T_mb N T) }

    The sum in braces is printed with t′ for t, and read as it stands it takes six loops. It takes four if every δ is
    pushed to its winner (t, f, l′, m′) instead of every pixel asking all windows.

    Args:
        delta: δ of the pooling layer, (T_mb, F, N′, T′).
        j, k: place of the maximum in each window, of delta's shape; :func:`winners` finds them.
        stride: S_P.
        layer: h̃, γ̃ and g′(a).

    Raises:
        ShapeError: shapes that do not belong together, or a winner outside the map.

    Source: Epelbaum, "pool to conv Simplification".
    """
    _check_pooling(delta, j, k, stride, layer)
    t, f, l, m = np.indices(delta.shape)
    winner = (t, f, stride * l + j, stride * m + k)
    mu1 = np.einsum("tflm->f", delta)
    mu2 = np.einsum("tflm,tflm->f", delta, layer.h_tilde[winner])
    pushed = np.zeros_like(layer.h_tilde)
    np.add.at(pushed, winner, delta)
    return PoolToConv(mu1, mu2, _error_rate(pushed, mu1, mu2, layer))


def conv_to_conv_loops(delta: Array, theta: Array, padding: int, layer: Normalized) -> Array:
    """Return ∂J/∂a from conv to conv as it stands: ten loops, t f l m and t′ f′ l′ m′ j k.

    ::

        ∂J/∂a[t,f,l,m] = g′(a[t,f,l,m]) Σ_t′ Σ_f′ Σ_l′ Σ_m′ Σ_j Σ_k
                         δ[t′,f′,l′,m′] · Θ[f′,f,j,k] · J[t,t′; f; l′ + j − P, m′ + k − P, l,m]

    where J is 0 if (l′ + j − P, m′ + k − P) lies in the padding. Arguments, errors and source: see
    :func:`conv_to_conv`.
    """
    _check_convolution(delta, theta, padding, layer)
    _, _, height, width = layer.h_tilde.shape
    kernel = theta.shape[2:]
    result = np.zeros_like(layer.h_tilde)
    for t, f, l, m in np.ndindex(layer.h_tilde.shape):
        for t2, f2, l2, m2 in np.ndindex(delta.shape):
            for j, k in np.ndindex(kernel):
                u, v = l2 + j - padding, m2 + k - padding
                if 0 <= u < height and 0 <= v < width:
                    J = jacobian(layer, f, (t2, u, v), (t, l, m))
                    result[t, f, l, m] += delta[t2, f2, l2, m2] * theta[f2, f, j, k] * J
        result[t, f, l, m] *= layer.slope[t, f, l, m]
    return result


def conv_to_conv(delta: Array, theta: Array, padding: int, layer: Normalized) -> ConvToConv:
    """Return ∂J/∂a from conv to conv in seven loops at most, with λ⁽¹⁾ to λ⁽⁶⁾.

    ::

        λ⁽¹⁾[t,f,l,m]  = Σ_f′ Σ_j Σ_k  Θ[f′,f,j,k] · δ[t,f′, l + P − j, m + P − k]           7 loops; 0 outside δ
        λ⁽²⁾[f,f′]     = Σ_j Σ_k  Θ[f′,f,j,k]                                                4
        λ⁽³⁾[f′]       = Σ_t Σ_l′ Σ_m′  δ[t,f′,l′,m′]                                        4
        λ⁽⁴⁾[f]        = Σ_f′ λ⁽²⁾[f,f′] λ⁽³⁾[f′] − Σ_f′ Σ_j Σ_k Θ[f′,f,j,k] border[f′,j,k]   2, and 4 if P > 0
        λ⁽⁵⁾[f,f′,j,k] = Σ_t Σ_l′ Σ_m′  δ[t,f′,l′,m′] · h̃[t,f, l′ + j − P, m′ + k − P]       7; 0 in the padding
        λ⁽⁶⁾[f]        = Σ_f′ Σ_j Σ_k  Θ[f′,f,j,k] · λ⁽⁵⁾[f,f′,j,k]                          4

        ∂J/∂a[t,f,l,m] = γ̃[f] g′(a[t,f,l,m]) { λ⁽¹⁾[t,f,l,m] − (λ⁽⁴⁾[f] + λ⁽⁶⁾[f] h̃[t,f,l,m]) / (T_mb N T) }

    border[f′,j,k], the part of λ⁽³⁾[f′] that tap (j, k) carries to the padding, is not in the text.

    Args:
        delta: δ of the second convolution, (T_mb, F′, N′, T′) with N′ = N + 2P − R_C + 1.
        theta: Θ, (F′, F, R_C, R_C).
        padding: P.
        layer: h̃, γ̃ and g′(a).

    Raises:
        ShapeError: shapes that do not belong together.

    Source: Epelbaum, "Convolution Simplification".
    """
    _check_convolution(delta, theta, padding, layer)
    lambda1 = _full_correlation(delta, theta, padding)
    lambda2 = np.einsum("pfjk->fp", theta)
    lambda3 = np.einsum("tplm->p", delta)
    border = _on_the_padding(delta, padding, layer)
    lambda4 = np.einsum("fp,p->f", lambda2, lambda3) - np.einsum("pfjk,pjk->f", theta, border)
    lambda5 = np.einsum("tplm,tfjklm->fpjk", delta, _read_by_taps(layer.h_tilde, padding, delta))
    lambda6 = np.einsum("pfjk,fpjk->f", theta, lambda5)
    error_rate = _error_rate(lambda1, lambda4, lambda6, layer)
    return ConvToConv(lambda1, lambda2, lambda3, lambda4, lambda5, lambda6, border, error_rate)


def coefficients_loops(delta: Array, theta: Array, padding: int, layer: Normalized) -> tuple[Array, Array]:
    """Return Δ^γ and Δ^β from conv to conv as they stand: seven loops, f and t f′ l m j k.

    ::

        Δ^γ[f] = Σ_t Σ_f′ Σ_l Σ_m Σ_j Σ_k  Θ[f′,f,j,k] · h̃[t,f, l + j − P, m + k − P] · δ[t,f′,l,m]
        Δ^β[f] = Σ_t Σ_f′ Σ_l Σ_m Σ_j Σ_k  Θ[f′,f,j,k] · δ[t,f′,l,m]

    over the taps that do not fall on the padding. Arguments, errors and source: see :func:`coefficients`.
    """
    _check_convolution(delta, theta, padding, layer)
    _, maps, height, width = layer.h_tilde.shape
    dgamma, dbeta = np.zeros(maps), np.zeros(maps)
    for f in range(maps):
        for t, f2, l, m in np.ndindex(delta.shape):
            for j, k in np.ndindex(theta.shape[2:]):
                u, v = l + j - padding, m + k - padding
                if 0 <= u < height and 0 <= v < width:
                    dgamma[f] += theta[f2, f, j, k] * layer.h_tilde[t, f, u, v] * delta[t, f2, l, m]
                    dbeta[f] += theta[f2, f, j, k] * delta[t, f2, l, m]
    return dgamma, dbeta


def coefficients(delta: Array, theta: Array, padding: int, layer: Normalized) -> Coefficients:
    """Return Δ^γ and Δ^β from conv to conv, with ν⁽¹⁾ and ν⁽²⁾.

    ::

        ν⁽¹⁾[f′,f,j,k] = Σ_t Σ_l Σ_m  h̃[t,f, l + j − P, m + k − P] · δ[t,f′,l,m]        (= λ⁽⁵⁾[f,f′,j,k])
        ν⁽²⁾[f′]       = Σ_t Σ_l Σ_m  δ[t,f′,l,m]                                       (= λ⁽³⁾[f′])

        Δ^γ[f] = Σ_f′ Σ_j Σ_k  ν⁽¹⁾[f′,f,j,k] · Θ[f′,f,j,k]
        Δ^β[f] = Σ_f′ Σ_j Σ_k  (ν⁽²⁾[f′] − border[f′,j,k]) · Θ[f′,f,j,k]

    From pool to conv there is nothing left to simplify: Δ^γ = μ⁽²⁾ and Δ^β = μ⁽¹⁾ of :func:`pool_to_conv`.

    Args:
        delta, theta, padding, layer: as in :func:`conv_to_conv`.

    Raises:
        ShapeError: shapes that do not belong together.

    Source: Epelbaum, "Coefficient Simplification".
    """
    _check_convolution(delta, theta, padding, layer)
    nu1 = np.einsum("tfjklm,tplm->pfjk", _read_by_taps(layer.h_tilde, padding, delta), delta)
    nu2 = np.einsum("tplm->p", delta)
    border = _on_the_padding(delta, padding, layer)
    dgamma = np.einsum("pfjk,pfjk->f", nu1, theta)
    dbeta = np.einsum("pjk,pfjk->f", nu2[:, None, None] - border, theta)
    return Coefficients(nu1, nu2, border, dgamma, dbeta)


def _error_rate(dy: Array, dbeta: Array, dgamma: Array, layer: Normalized) -> Array:
    """Return γ̃ g′(a) {dy − (dbeta + dgamma·h̃)/(T_mb N T)}: the braces that both simplifications end in."""
    h_tilde, gamma_tilde, slope = layer
    spread = (dbeta[:, None, None] + dgamma[:, None, None] * h_tilde) / h_tilde[:, 0].size
    return gamma_tilde[:, None, None] * slope * (dy - spread)


def _full_correlation(delta: Array, theta: Array, padding: int) -> Array:
    """Return λ⁽¹⁾: every δ pushed through the kernel to the pixels that it came from, the padding cut off."""
    samples, _, rows, columns = delta.shape
    _, maps, height, width = theta.shape
    padded = np.zeros((samples, maps, rows + height - 1, columns + width - 1), delta.dtype)
    for j, k in np.ndindex(height, width):
        padded[:, :, j : j + rows, k : k + columns] += np.einsum("pf,tplm->tflm", theta[:, :, j, k], delta)
    return padded[:, :, padding : padded.shape[2] - padding, padding : padded.shape[3] - padding]


def _read_by_taps(maps: Array, padding: int, delta: Array) -> Array:
    """Return [t,f,j,k,l′,m′] = pixel (l′ + j − P, m′ + k − P) of (T_mb, F, N, T) maps, 0 in the padding."""
    padded = np.pad(maps, [(0, 0), (0, 0), (padding, padding), (padding, padding)])
    return sliding_window_view(padded, delta.shape[2:], axis=(2, 3))


def _on_the_padding(delta: Array, padding: int, layer: Normalized) -> Array:
    """Return border[f′,j,k] = Σ_t Σ_l′ Σ_m′ δ[t,f′,l′,m′] over the pixels whose tap (j, k) falls on the padding."""
    inside = _read_by_taps(np.ones((1, 1, *layer.h_tilde.shape[2:])), padding, delta)[0, 0]
    return np.einsum("tplm,jklm->pjk", delta, 1 - inside)


def _check_pooling(delta: Array, j: Array, k: Array, stride: int, layer: Normalized) -> None:
    samples, maps, height, width = layer.h_tilde.shape
    if delta.ndim != 4 or delta.shape[:2] != (samples, maps) or not delta.shape == j.shape == k.shape:
        raise ShapeError(
            f"pool to conv: delta has shape {delta.shape}, j {j.shape} and k {k.shape}; expected all three to be "
            f"({samples}, {maps}, N′, T′), one value a window"
        )
    _, _, l, m = np.indices(delta.shape)
    rows, columns = stride * l + j, stride * m + k
    if (rows >= height).any() or (columns >= width).any():
        raise ShapeError(
            f"pool to conv: a maximum sits at row {rows.max()} or column {columns.max()}, outside the {height}×{width} "
            "maps; take j, k and the stride from one and the same pooling"
        )


def _check_convolution(delta: Array, theta: Array, padding: int, layer: Normalized) -> None:
    samples, maps, height, width = layer.h_tilde.shape
    outputs = theta.shape[0]
    expected = (
        samples,
        outputs,
        *(n + 2 * padding - r + 1 for n, r in zip((height, width), theta.shape[2:], strict=True)),
    )
    if theta.shape[1] != maps or delta.shape != expected:
        raise ShapeError(
            f"conv to conv: delta has shape {delta.shape} and theta {theta.shape}; with h̃ {layer.h_tilde.shape} and "
            f"padding {padding} expected theta (F′, {maps}, R, R), and then delta {expected}"
        )
