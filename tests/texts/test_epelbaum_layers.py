"""Epelbaum's chapter, what stands beside the network of test_epelbaum.py: input layer, averages, ResNet, matrices."""

# ruff: noqa: E741 - his l
from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import AvgPool2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU, Residual

RNG = np.random.default_rng


def assert_close(actual, expected):
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


def run(layer, h, **params):
    return layer.forward(params, h, state={}, training=True)[0]


@pytest.mark.parametrize("kind", ["channel", "pixel"])
def test_input_layer(kind):
    """X̃ = X − μ_f, or X − μ_fjk, with means over the training set."""
    X = RNG(0).normal(2, 1, (5, 3, 4, 2))
    T_train, F_0, N_0, T_0 = X.shape
    net = Network([Flatten(), Linear(2)], (3, 4, 2), input_mean=kind, dtype="float64")
    net.centre_on(X)
    centred = net.trace(X, [0] * 5).input
    for f, j, k in np.ndindex(F_0, N_0, T_0):
        if kind == "channel":
            μ = sum(X[t, f, j_, k_] for t, j_, k_ in np.ndindex(T_train, N_0, T_0)) / (T_train * N_0 * T_0)
        else:
            μ = sum(X[t, f, j, k] for t in range(T_train)) / T_train
        np.testing.assert_allclose(centred[:, f, j, k], X[:, f, j, k] - μ, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(("R_P", "S_P"), [(2, 2), (3, 2), (2, 1)])
def test_average_pooling(R_P, S_P):
    """With the 1/R_P² that the print lacks; the padded border of h takes no part (+P)."""
    h = RNG(1).normal(size=(2, 3, 7, 5))
    P = 1
    h_p = np.pad(h, [(0, 0), (0, 0), (P, P), (P, P)])
    a = np.zeros((2, 3, (7 - R_P) // S_P + 1, (5 - R_P) // S_P + 1))
    for t, f, l, m in np.ndindex(a.shape):
        for j, k in np.ndindex(R_P, R_P):
            a[t, f, l, m] += h_p[t, f, S_P * l + j + P, S_P * m + k + P] / R_P**2
    assert_close(run(AvgPool2d(R_P, S_P), h), a)


def test_two_dimensional_convolution_as_a_matrix_product():
    """An N_pT_p × R_C² matrix times an R_C² × 1 one."""
    h, Θ, S_C = RNG(2).normal(size=(7, 6)), RNG(3).normal(size=(3, 3)), 2
    N_p, T_p = 3, 2
    matrix = np.zeros((N_p * T_p, 9))
    for l, m, j, k in np.ndindex(N_p, T_p, 3, 3):
        matrix[T_p * l + m, 3 * j + k] = h[S_C * l + j, S_C * m + k]
    a = (matrix @ Θ.reshape(9, 1)).reshape(1, 1, N_p, T_p)
    assert_close(run(Conv2d(1, 3, 2, bias=False), h[None, None], weight=Θ[None, None]), a)


def test_four_dimensional_convolution_as_a_matrix_product():
    """A row for every (t, l, m), a column for every (f′, j, k); Θ is flattened to a column for every f."""
    h, Θ, S_C, R_C = RNG(4).normal(size=(3, 2, 7, 6)), RNG(5).normal(size=(4, 2, 3, 3)), 2, 3
    T_mb, F, (N_p, T_p) = 3, 2, (3, 2)
    matrix = np.zeros((T_mb * N_p * T_p, F * R_C**2))
    for t, l, m, f_, j, k in np.ndindex(T_mb, N_p, T_p, F, R_C, R_C):
        row, column = (t * N_p + l) * T_p + m, (f_ * R_C + j) * R_C + k
        matrix[row, column] = h[t, f_, S_C * l + j, S_C * m + k]
    a = (matrix @ Θ.reshape(4, -1).T).reshape(T_mb, N_p, T_p, 4).transpose(0, 3, 1, 2)
    assert_close(run(Conv2d(4, 3, 2, bias=False), h, weight=Θ), a)


@pytest.mark.parametrize("S_P", [1, 2])
def test_pooling_as_a_row_maximum(S_P):
    """A row for every (t, f, l, m), a column for every (j, k)."""
    h, R_P = RNG(6).normal(size=(2, 3, 5, 6)), 2
    shape = (2, 3, (5 - R_P) // S_P + 1, (6 - R_P) // S_P + 1)
    matrix = np.zeros((int(np.prod(shape)), R_P**2))
    for row, (t, f, l, m) in enumerate(np.ndindex(shape)):
        for j, k in np.ndindex(R_P, R_P):
            matrix[row, R_P * j + k] = h[t, f, S_P * l + j, S_P * m + k]
    assert_close(run(MaxPool2d(R_P, S_P), h), matrix.max(axis=1).reshape(shape))


# The ResNet module: 1×1, 3×3 (padding 1) and 1×1 convolutions, F₀ = 4 maps made 2 and back to 4, maps of 4×3.
PADDING = (0, 1, 0)


def convolution(Θ, h, P):
    h_p = np.pad(h, [(0, 0), (0, 0), (P, P), (P, P)])
    a = np.zeros((len(h), len(Θ), *h.shape[2:]))
    for t, f, l, m in np.ndindex(a.shape):
        for f_, j, k in np.ndindex(Θ.shape[1:]):
            a[t, f, l, m] += Θ[f, f_, j, k] * h_p[t, f_, l + j, m + k]
    return a


def conv_to_conv(Θ, δ, P):
    """Σ Θ^{f′}_{fjk} δ_{f′ l+P−j m+P−k}: the conv to conv error rate without normalization, before the factor g′."""
    out = np.zeros((len(δ), Θ.shape[1], *δ.shape[2:]))
    for t, f, l, m in np.ndindex(out.shape):
        for f_, j, k in product(range(len(Θ)), range(Θ.shape[2]), range(Θ.shape[3])):
            l_, m_ = l + P - j, m + P - k
            if 0 <= l_ < δ.shape[2] and 0 <= m_ < δ.shape[3]:
                out[t, f, l, m] += Θ[f_, f, j, k] * δ[t, f_, l_, m_]
    return out


def g(a):
    return np.maximum(a, 0)


def g_prime(a):
    return (a > 0).astype(float)


def module(*, sum_before_activation):
    """A convolution a⁽⁰⁾, the module on it, and a fully connected end."""
    convolutions = [
        Conv2d(f, r, padding=p, bias=False, name=f"a{i + 1}")
        for i, (f, r, p) in enumerate(zip((2, 2, 4), (1, 3, 1), PADDING, strict=True))
    ]
    start = [Conv2d(4, 1, bias=False, name="a0")]
    if sum_before_activation:
        body = [layer for conv in convolutions for layer in (ReLU(), conv)]
    else:
        start.append(ReLU())
        body = [layer for conv in convolutions for layer in (conv, ReLU())]
    net = Network(
        [*start, Residual(body, name="module"), Flatten(), Linear(3, name="end")],
        (3, 4, 3),
        loss="squared_error",
        dtype="float64",
        engine="reference",
    )
    rng = RNG(7)
    for name, values in net.parameters.items():
        net.parameters[name] = rng.normal(0, 0.7, values.shape)
    X = rng.normal(size=(2, 3, 4, 3))
    return [net.parameters[f"module.a{i}.weight"] for i in (1, 2, 3)], net.trace(X, rng.normal(size=(2, 3)))


def test_resnet_module_forward():
    """h⁽⁴⁾ = h⁽⁰⁾ + δh⁽⁰⁾, with the second 1×1 convolution on h⁽²⁾ and a Θ of its own for each."""
    Θ, trace = module(sum_before_activation=False)
    h0 = h = g(trace["a0"].output)
    for Θ_o, P in zip(Θ, PADDING, strict=True):
        h = g(convolution(Θ_o, h, P))
    assert_close(trace["module.add"].output, h0 + h)


def test_resnet_module_backward_with_the_sum_after_the_activation():
    """The module of the section "ResNet": what comes over the skip path is ∂J/∂h⁽⁴⁾, and g′ acts on both parts."""
    Θ, trace = module(sum_before_activation=False)
    a = [trace["a0"].output, *(trace[f"module.a{i}"].output for i in (1, 2, 3))]
    δ_h4 = trace["module.add"].delta
    δ = g_prime(a[3]) * δ_h4
    assert_close(trace["module.a3"].delta, δ)
    for i in (2, 1):
        δ = g_prime(a[i]) * conv_to_conv(Θ[i], δ, PADDING[i])
        assert_close(trace[f"module.a{i}"].delta, δ)
    assert_close(trace["a0"].delta, g_prime(a[0]) * (conv_to_conv(Θ[0], δ, PADDING[0]) + δ_h4))


def test_resnet_module_backward_with_the_sum_before_the_activation():
    """δ⁽ᵛ⁾ = g′(a⁽ᵛ⁾) Σ Θ δ⁽ᵛ⁺¹⁾ + δ⁽ᵛ⁺³⁾, as printed: a⁽ᵛ⁺³⁾ contains a⁽ᵛ⁾ itself."""
    Θ, trace = module(sum_before_activation=True)
    a = [trace["a0"].output, *(trace[f"module.a{i}"].output for i in (1, 2))]
    δ_end = δ = trace["module.add"].delta
    for i in (2, 1):
        δ = g_prime(a[i]) * conv_to_conv(Θ[i], δ, PADDING[i])
        assert_close(trace[f"module.a{i}"].delta, δ)
    assert_close(trace["a0"].delta, g_prime(a[0]) * conv_to_conv(Θ[0], δ, PADDING[0]) + δ_end)
