"""Epelbaum's chapter, every sum a loop, in his letters, against one network that has every kind of neighbour he treats.

input → conv → conv → pool → conv → pool → fc → fc → output; after each conv, and each fc but the last, come g = ReLU
and batch normalization. Strides are 1 and 2, pooling windows overlap, maps are not square. l runs along the width N_ν
of his maps, our rows. His δ is padded; here it is indexed without the +P. What departs from the print is in
``docs/errata.md``: f and f′ in conv → pool, t′ in fc → fc, the limits of l and m and S_C in the updates, and J = 0 for
padded pixels.
"""

# ruff: noqa: E741 - his l
from __future__ import annotations

from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import BatchNorm, BatchNorm2d, Conv2d, Flatten, Linear, MaxPool2d, ReLU

T_mb, ε = 5, 0.01
R_C, P = 3, 1
R_P, S_P = 2, 1
#: convolution o → its stride
S_C = {0: 1, 1: 2, 2: 1}


def g(a):
    return max(a, 0.0)


def g_prime(a):
    return 1.0 if a > 0 else 0.0


def padded(h):
    h_p = np.zeros((*h.shape[:2], h.shape[2] + 2 * P, h.shape[3] + 2 * P))
    for t, f, l, m in np.ndindex(h.shape):
        h_p[t, f, l + P, m + P] = h[t, f, l, m]
    return h_p


def convolution(Θ, h, S):
    h_p = padded(h)
    N_p, T_p = ((size + 2 * P - R_C) // S + 1 for size in h.shape[2:])
    a = np.zeros((len(h), len(Θ), N_p, T_p))
    for t, f, l, m in np.ndindex(a.shape):
        for f_, j, k in np.ndindex(Θ.shape[1:]):
            a[t, f, l, m] += Θ[f, f_, j, k] * h_p[t, f_, S * l + j, S * m + k]
    return a


def max_pooling(h):
    """The maximum of every window, and j⁽ᵖ⁾, k⁽ᵖ⁾."""
    a = np.zeros((*h.shape[:2], *((size - R_P) // S_P + 1 for size in h.shape[2:])))
    where = {}
    for t, f, l, m in np.ndindex(a.shape):
        window = {(j, k): h[t, f, S_P * l + j, S_P * m + k] for j, k in np.ndindex(R_P, R_P)}
        where[t, f, l, m] = max(window, key=window.get)
        a[t, f, l, m] = window[where[t, f, l, m]]
    return a, where


def fully_connected(Θ, h):
    a = np.zeros((len(h), len(Θ)))
    for t, f in np.ndindex(a.shape):
        for unit in np.ndindex(Θ.shape[1:]):
            a[t, f] += Θ[(f, *unit)] * h[(t, *unit)]
    return a


def batch_normalization(h, γ, β):
    """y, h̃ and γ̃; units of a fully connected layer are maps of one pixel."""
    maps = h.reshape(*h.shape[:2], *(h.shape[2:] or (1, 1)))
    count = maps.shape[0] * maps.shape[2] * maps.shape[3]
    h_tilde, γ_tilde = np.zeros_like(maps), np.zeros(maps.shape[1])
    for f in range(maps.shape[1]):
        mean = sum(maps[t, f, l, m] for t, _, l, m in np.ndindex(len(h), 1, *maps.shape[2:])) / count
        variance = sum((maps[t, f, l, m] - mean) ** 2 for t, _, l, m in np.ndindex(len(h), 1, *maps.shape[2:])) / count
        h_tilde[:, f] = (maps[:, f] - mean) / (variance + ε) ** 0.5
        γ_tilde[f] = γ[f] / (variance + ε) ** 0.5
    y = γ[:, None, None] * h_tilde + β[:, None, None]
    return SimpleNamespace(y=y.reshape(h.shape), h_tilde=h_tilde, γ_tilde=γ_tilde)


def jacobian(bn):
    """J[f][t, l, m, t′, l′, m′] = ∂y⁽ᵗ′⁾_{fl′m′}/∂h⁽ᵗ⁾_{flm}."""
    T, F, *size = bn.h_tilde.shape
    J = np.zeros((F, T, *size, T, *size))
    for f, t, l, m, t_, l_, m_ in np.ndindex(J.shape):
        same = (t, l, m) == (t_, l_, m_)
        product_h = bn.h_tilde[t_, f, l_, m_] * bn.h_tilde[t, f, l, m]
        J[f, t, l, m, t_, l_, m_] = bn.γ_tilde[f] * (same - (1 + product_h) / (T * size[0] * size[1]))
    return J


def forward(X, Θ, γ, β):
    c = SimpleNamespace(a={}, h={}, bn={}, where={}, pooled={})

    def units(o, a):
        c.a[o] = a
        c.h[o] = np.vectorize(g)(a)
        c.bn[o] = batch_normalization(c.h[o], γ[o], β[o])
        return c.bn[o].y

    y = units(0, convolution(Θ[0], X, S_C[0]))
    y = units(1, convolution(Θ[1], y, S_C[1]))
    c.pooled[1], c.where[1] = max_pooling(y)
    y = units(2, convolution(Θ[2], c.pooled[1], S_C[2]))
    c.pooled[2], c.where[2] = max_pooling(y)
    y = units(3, fully_connected(Θ[3], c.pooled[2]))
    y = units(4, fully_connected(Θ[4], y))
    c.a[5] = fully_connected(Θ[5], y)
    return c


def fc_to_fc(Θ, a, J, δ):
    out = np.zeros_like(a)
    for t, f in np.ndindex(a.shape):
        total = sum(Θ[f_, f] * J[f, t, 0, 0, t_, 0, 0] * δ[t_, f_] for t_, f_ in np.ndindex(δ.shape))
        out[t, f] = g_prime(a[t, f]) * total
    return out


def fc_to_pool(Θ, δ):
    out = np.zeros((T_mb, *Θ.shape[1:]))
    for t, f, l, m in np.ndindex(out.shape):
        out[t, f, l, m] = sum(Θ[f_, f, l, m] * δ[t, f_] for f_ in range(len(Θ)))
    return out


def pool_to_conv(a, J, where, δ):
    out = np.zeros_like(a)
    for t, f, l, m in np.ndindex(a.shape):
        for t_, l_, m_ in np.ndindex(T_mb, *δ.shape[2:]):
            j, k = where[t_, f, l_, m_]
            out[t, f, l, m] += δ[t_, f, l_, m_] * J[f, t, l, m, t_, S_P * l_ + j, S_P * m_ + k]
        out[t, f, l, m] *= g_prime(a[t, f, l, m])
    return out


def taps_on_pixels(δ, size, S):
    """Every (t, f, l, m, j, k) of a convolution whose tap (u, v) is a pixel and not padding."""
    for t, f, l, m, j, k in np.ndindex(*δ.shape, R_C, R_C):
        u, v = S * l + j - P, S * m + k - P
        if 0 <= u < size[0] and 0 <= v < size[1]:
            yield t, f, l, m, j, k, u, v


def conv_to_conv(Θ, a, J, S, δ):
    out = np.zeros_like(a)
    taps = list(taps_on_pixels(δ, a.shape[2:], S))
    for t, f, l, m in np.ndindex(a.shape):
        total = sum(δ[t_, f_, l_, m_] * Θ[f_, f, j, k] * J[f, t, l, m, t_, u, v] for t_, f_, l_, m_, j, k, u, v in taps)
        out[t, f, l, m] = g_prime(a[t, f, l, m]) * total
    return out


def conv_to_pool(Θ, size, S, δ):
    out = np.zeros((T_mb, Θ.shape[1], *size))
    for t, f, l, m in np.ndindex(out.shape):
        for f_, j, k in product(range(len(Θ)), range(R_C), range(R_C)):
            l_, m_ = (l + P - j) / S, (m + P - k) / S
            if l_ in range(δ.shape[2]) and m_ in range(δ.shape[3]):  # whole, and inside
                out[t, f, l, m] += Θ[f_, f, j, k] * δ[t, f_, int(l_), int(m_)]
    return out


def error_rates(Θ, c, h_N, target):
    J = {o: jacobian(c.bn[o]) for o in range(5)}
    δ, δ_pool = {5: 1 / T_mb * (h_N - target)}, {}
    δ[4] = fc_to_fc(Θ[5], c.a[4], J[4], δ[5])
    δ[3] = fc_to_fc(Θ[4], c.a[3], J[3], δ[4])
    δ_pool[2] = fc_to_pool(Θ[3], δ[3])
    δ[2] = pool_to_conv(c.a[2], J[2], c.where[2], δ_pool[2])
    δ_pool[1] = conv_to_pool(Θ[2], c.pooled[1].shape[2:], S_C[2], δ[2])
    δ[1] = pool_to_conv(c.a[1], J[1], c.where[1], δ_pool[1])
    δ[0] = conv_to_conv(Θ[1], c.a[0], J[0], S_C[1], δ[1])
    return δ, δ_pool


def fc_update(h, δ):
    """Δ^Θ of fc to fc and of fc to pool: Σ_t h δ."""
    Δ = np.zeros((δ.shape[1], *h.shape[1:]))
    for f, *unit in np.ndindex(Δ.shape):
        Δ[(f, *unit)] = sum(h[(t, *unit)] * δ[t, f] for t in range(T_mb))
    return Δ


def conv_update(h, δ, S):
    """Δ^Θ of conv to conv, to pool and to input."""
    h_p = padded(h)
    Δ = np.zeros((δ.shape[1], h.shape[1], R_C, R_C))
    for f, f_, j, k in np.ndindex(Δ.shape):
        Δ[f, f_, j, k] = sum(
            h_p[t, f_, S * l + j, S * m + k] * δ[t, f, l, m] for t, l, m in np.ndindex(T_mb, *δ.shape[2:])
        )
    return Δ


def fc_coefficients(Θ, h_tilde, δ):
    Δγ, Δβ = np.zeros(Θ.shape[1]), np.zeros(Θ.shape[1])
    for f, t, f_ in np.ndindex(Θ.shape[1], *δ.shape):
        Δγ[f] += Θ[f_, f] * h_tilde[t, f, 0, 0] * δ[t, f_]
        Δβ[f] += Θ[f_, f] * δ[t, f_]
    return Δγ, Δβ


def pool_coefficients(h_tilde, where, δ):
    Δγ, Δβ = np.zeros(h_tilde.shape[1]), np.zeros(h_tilde.shape[1])
    for t, f, l, m in np.ndindex(δ.shape):
        j, k = where[t, f, l, m]
        Δγ[f] += h_tilde[t, f, S_P * l + j, S_P * m + k] * δ[t, f, l, m]
        Δβ[f] += δ[t, f, l, m]
    return Δγ, Δβ


def conv_coefficients(Θ, h_tilde, S, δ):
    Δγ, Δβ = np.zeros(Θ.shape[1]), np.zeros(Θ.shape[1])
    for f in range(Θ.shape[1]):
        for t, f_, l, m, j, k, u, v in taps_on_pixels(δ, h_tilde.shape[2:], S):
            Δγ[f] += Θ[f_, f, j, k] * h_tilde[t, f, u, v] * δ[t, f_, l, m]
            Δβ[f] += Θ[f_, f, j, k] * δ[t, f_, l, m]
    return Δγ, Δβ


def network(loss):
    def conv(o, filters):
        yield Conv2d(filters, R_C, S_C[o], P, bias=False, name=f"a{o}")
        yield from (ReLU(name=f"h{o}"), BatchNorm2d(eps=ε, name=f"y{o}"))

    def fc(o, units):
        yield Linear(units, bias=False, name=f"a{o}")
        yield from (ReLU(name=f"h{o}"), BatchNorm(eps=ε, name=f"y{o}"))

    layers = [
        *(*conv(0, 3), *conv(1, 2), MaxPool2d(R_P, S_P, name="pool1")),
        *(*conv(2, 3), MaxPool2d(R_P, S_P, name="pool2"), Flatten()),
        *(*fc(3, 4), *fc(4, 5), Linear(3, bias=False, name="a5")),
    ]
    return Network(layers, (2, 7, 5), loss=loss, dtype="float64", engine="reference")


@pytest.fixture(scope="module", params=["cross_entropy", "squared_error"])
def case(request):
    net, rng = network(request.param), np.random.default_rng(143)  # a seed with which no map is dead
    for name, values in net.parameters.items():
        net.parameters[name] = rng.normal(0.5 if "y" in name else 0, 0.5, values.shape)
    Θ = {o: net.parameters[f"a{o}.weight"] for o in range(6)}
    Θ[3] = Θ[3].reshape(4, 3, 2, 1)
    γ, β = ({o: net.parameters[f"y{o}.{key}"] for o in range(5)} for key in ("weight", "bias"))
    X, labels = rng.normal(size=(T_mb, 2, 7, 5)), np.array([2, 0, 1, 1, 2])
    c = forward(X, Θ, γ, β)
    if request.param == "cross_entropy":
        target, h_N = np.eye(3)[labels], np.exp(c.a[5]) / np.exp(c.a[5]).sum(axis=1, keepdims=True)
        J = -sum(np.log(h_N[t, labels[t]]) for t in range(T_mb)) / T_mb
    else:
        target, h_N = rng.normal(size=(T_mb, 3)), c.a[5]
        J = sum((h_N[t, f] - target[t, f]) ** 2 for t, f in np.ndindex(T_mb, 3)) / (2 * T_mb)
    δ, δ_pool = error_rates(Θ, c, h_N, target)
    trace = net.trace(X, target)
    return SimpleNamespace(Θ=Θ, X=X, c=c, h_N=h_N, J=J, δ=δ, δ_pool=δ_pool, trace=trace)


def assert_close(actual, expected):
    assert np.ptp(expected) > 0
    scale = abs(expected).max()
    np.testing.assert_allclose(actual.reshape(expected.shape), expected, rtol=1e-12, atol=1e-12 * scale)


@pytest.mark.parametrize("o", range(6))
def test_forward(case, o):
    assert_close(case.trace[f"a{o}"].output, case.c.a[o])
    if o < 5:
        assert_close(case.trace[f"h{o}"].output, case.c.h[o])
        assert_close(case.trace[f"y{o}"].output, case.c.bn[o].y)
    if o in (1, 2):
        assert_close(case.trace[f"pool{o}"].output, case.c.pooled[o])


def test_output_and_loss(case):
    assert_close(case.trace.prediction, case.h_N)
    assert case.trace.loss == pytest.approx(case.J, rel=1e-12)


@pytest.mark.parametrize("o", range(6))
def test_error_rates(case, o):
    """Output to fc (5), fc to fc (4, 3), pool to conv (2, 1), conv to conv with stride 2 (0)."""
    assert_close(case.trace[f"a{o}"].delta, case.δ[o])


@pytest.mark.parametrize("o", [1, 2])
def test_error_rates_of_pooling_layers(case, o):
    """Conv to pool (1), fc to pool (2)."""
    assert_close(case.trace[f"pool{o}"].delta, case.δ_pool[o])


def test_weight_updates(case):
    c, δ = case.c, case.δ
    updates = {
        0: conv_update(case.X, δ[0], S_C[0]),
        1: conv_update(c.bn[0].y, δ[1], S_C[1]),
        2: conv_update(c.pooled[1], δ[2], S_C[2]),
        3: fc_update(c.pooled[2], δ[3]),
        4: fc_update(c.bn[3].y, δ[4]),
        5: fc_update(c.bn[4].y, δ[5]),
    }
    for o, Δ in updates.items():
        assert_close(case.trace[f"a{o}"].gradients["weight"], Δ)


def test_coefficient_updates(case):
    c, Θ, δ = case.c, case.Θ, case.δ
    h_tilde = {o: c.bn[o].h_tilde for o in range(5)}
    updates = {
        0: conv_coefficients(Θ[1], h_tilde[0], S_C[1], δ[1]),
        1: pool_coefficients(h_tilde[1], c.where[1], case.δ_pool[1]),
        2: pool_coefficients(h_tilde[2], c.where[2], case.δ_pool[2]),
        3: fc_coefficients(Θ[4], h_tilde[3], δ[4]),
        4: fc_coefficients(Θ[5], h_tilde[4], δ[5]),
    }
    for o, (Δγ, Δβ) in updates.items():
        assert_close(case.trace[f"y{o}"].gradients["weight"], Δγ)
        assert_close(case.trace[f"y{o}"].gradients["bias"], Δβ)


@pytest.mark.parametrize(("layer", "size"), [(BatchNorm2d(eps=ε), (3, 2)), (BatchNorm(eps=ε), ())], ids=["maps", "fc"])
def test_jacobian_of_batch_normalization(layer, size):
    """Every entry of J, held against the layer's dx for a dy that is a single 1."""
    rng = np.random.default_rng(1)
    h, γ, β = rng.normal(size=(3, 2, *size)), rng.normal(size=2), rng.normal(size=2)
    J = jacobian(batch_normalization(h, γ, β))
    params = {"weight": γ, "bias": β}
    _, saved = layer.forward(params, h, state=layer.init_state(h.shape[1:]), training=True)
    for t_, f, l_, m_ in np.ndindex(3, 2, *(size or (1, 1))):
        dy = np.zeros((3, 2, *(size or (1, 1))))
        dy[t_, f, l_, m_] = 1
        dx, _ = layer.backward(params, saved, dy.reshape(h.shape))
        expected = np.zeros(dy.shape)
        expected[:, f] = J[f, :, :, :, t_, l_, m_]
        assert_close(dx, expected)
