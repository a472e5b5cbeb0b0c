"""Grishin's tutorial, Parts II to IV, in his letters and with indices from 1, against the library's network.

The net has his real sizes and runs in float64, without batch normalization (§16, §17) and with it (§18 to §20). Without
it Y = Z, and the last T of each of his chains TTTT ⇒ TTT ⇒ TT ⇒ T falls away. What departs from the print is in
``docs/errata.md``: v₅, ``~=`` in the pseudo-code, √(V + ε) in layer 72, A⁽⁷³⁾ in ∂J/∂Θ⁽⁷⁾.
"""

from __future__ import annotations

from itertools import product
from math import ceil, exp, log
from types import SimpleNamespace

import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import ELU, BatchNorm, Conv2d, Flatten, Linear, MaxPool2d
from pellucid.losses import LogLoss

N = 3
ε = 0.01


def R(first, last):  # noqa: N802
    """His range first : last, counted from 1, the last one included."""
    return slice(first - 1, last)


def s6(u5, v5, k5):
    return 64 * (k5 - 1) + 8 * (v5 - 1) + u5


def elu(z):
    return np.where(z >= 0, z, np.exp(np.minimum(z, 0)) - 1)


def elud(z):
    return np.where(z >= 0, 1, np.exp(np.minimum(z, 0)))


def normalize(Z, α, β):
    """Y of §18, with μ, V and the normalized Z."""
    μ = sum(Z[e] for e in range(N)) / N
    V = sum((Z[e] - μ) ** 2 for e in range(N)) / N
    Zn = (Z - μ) / np.sqrt(V + ε)
    return α * Zn + β, SimpleNamespace(μ=μ, V=V, Zn=Zn)


def through_normalization(TT, α, Z, μ, V):
    """T of §19, Layer 72 ⇒ Layer 71: the last form, three terms and two sums over e′."""
    sum_TT = sum(TT[e] for e in range(N))
    sum_TTZ = sum(TT[e] * Z[e] for e in range(N))
    first = TT * α / np.sqrt(V + ε)
    second = 1 / N * α / np.sqrt(V + ε) * sum_TT
    third = 1 / N * α * (Z - μ) / (V + ε) ** (3 / 2) * (sum_TTZ - μ * sum_TT)
    return first - second - third


def convolve(AA, w, b, size):
    """Z of §1 and §3 (AA with a last axis of maps), u and v from 1 to ``size``."""
    Z = np.zeros((N, size, size, w.shape[2])) + b
    for o, e, k, below in product(range(1, 6), range(1, 6), range(w.shape[2]), range(w.shape[3])):
        Z[..., k] += w[o - 1, e - 1, k, below] * AA[:, R(o, size - 1 + o), R(e, size - 1 + e), below]
    return Z


def pool(A, size):
    """The maximum of the four, and its position 1, 2, 3 or 4 (§2, §4)."""
    pooled, position = np.zeros((N, size, size, A.shape[3])), np.zeros((N, size, size, A.shape[3]))
    for u, v in product(range(1, size + 1), range(1, size + 1)):
        four = [A[:, i - 1, j - 1] for i in (2 * u - 1, 2 * u) for j in (2 * v - 1, 2 * v)]
        pooled[:, u - 1, v - 1] = np.max(four, axis=0)
        position[:, u - 1, v - 1] = np.argmax(four, axis=0) + 1
    return pooled, position


def forward(A1, θ, batch_norm):
    """§16.1, or §18."""
    c = SimpleNamespace()
    AA1 = np.zeros((N, 36, 36))
    AA1[:, R(3, 34), R(3, 34)] = A1
    c.AA1 = AA1[..., None]
    c.Z2 = convolve(c.AA1, θ.w1[..., None], θ.b1, 32)
    c.Y2, c.n2 = normalize(c.Z2, θ.α2, θ.β2) if batch_norm else (c.Z2, None)
    c.A2 = elu(c.Y2)
    c.A3, c.P3 = pool(c.A2, 16)
    c.AA3 = np.zeros((N, 20, 20, 6))
    c.AA3[:, R(3, 18), R(3, 18), :] = c.A3
    c.Z4 = convolve(c.AA3, θ.w3, θ.b3, 16)
    c.Y4, c.n4 = normalize(c.Z4, θ.α4, θ.β4) if batch_norm else (c.Z4, None)
    c.A4 = elu(c.Y4)
    c.A5, c.P5 = pool(c.A4, 8)
    c.A6 = np.zeros((N, 1024))
    for k5, u5, v5 in product(range(1, 17), range(1, 9), range(1, 9)):
        c.A6[:, s6(u5, v5, k5) - 1] = c.A5[:, u5 - 1, v5 - 1, k5 - 1]
    c.Z7 = θ.b6 + c.A6 @ θ.Θ6.T
    c.Y7, c.n7 = normalize(c.Z7, θ.α7, θ.β7) if batch_norm else (c.Z7, None)
    c.A7 = elu(c.Y7)
    c.Z8 = θ.b7 + c.A7 @ θ.Θ7.T
    c.A8 = 1 / (1 + np.exp(-c.Z8))
    return c


def unpool(T, P, size):
    """§16.2: T spread over the four places, times P4 built from the positions by his pseudo-code."""
    TTT, P4 = np.zeros((N, 2 * size, 2 * size, T.shape[3])), np.zeros((N, 2 * size, 2 * size, T.shape[3]))
    for i, j in product(range(1, size + 1), range(1, size + 1)):
        places = [(2 * i - 1, 2 * j - 1), (2 * i - 1, 2 * j), (2 * i, 2 * j - 1), (2 * i, 2 * j)]
        for number, (u, v) in enumerate(places, start=1):
            TTT[:, u - 1, v - 1, :] = T[:, i - 1, j - 1, :]
            P4aux = P[:, i - 1, j - 1, :] / number
            P4aux[P4aux != 1] = 0
            P4[:, u - 1, v - 1, :] = P4aux
    return TTT * P4


def backward(Y, θ, c, batch_norm):
    """§16.2, or §19: every T, by the name of what it is the derivative to."""
    t = SimpleNamespace()
    t.T8 = c.A8 - Y
    t.M7 = t.T8 @ θ.Θ7
    t.H7 = t.M7 * elud(c.Y7)
    t.T7 = through_normalization(t.H7, θ.α7, c.Z7, c.n7.μ, c.n7.V) if batch_norm else t.H7
    t.T6 = t.T7 @ θ.Θ6
    t.T5 = np.zeros((N, 8, 8, 16))
    for k5, u5, v5 in product(range(1, 17), range(1, 9), range(1, 9)):
        t.T5[:, u5 - 1, v5 - 1, k5 - 1] = t.T6[:, s6(u5, v5, k5) - 1]

    t.TTT4 = unpool(t.T5, c.P5, 8)
    t.TT4 = t.TTT4 * elud(c.Y4)
    t.T4 = through_normalization(t.TT4, θ.α4, c.Z4, c.n4.μ, c.n4.V) if batch_norm else t.TT4

    Γ4 = np.zeros((N, 24, 24, 16))
    Γ4[:, R(5, 20), R(5, 20), :] = t.T4
    Γ3 = np.zeros((N, 20, 20, 6))  # u₃ and v₃ run from 1 to 20
    for k3, k4, o3, e3 in product(range(6), range(16), range(1, 6), range(1, 6)):
        shifted = Γ4[:, R(1 - o3 + 5, 20 - o3 + 5), R(1 - e3 + 5, 20 - e3 + 5), k4]
        Γ3[..., k3] += shifted * θ.w3[o3 - 1, e3 - 1, k4, k3]
    t.T3 = Γ3[:, R(3, 18), R(3, 18), :]

    t.TTT2 = unpool(t.T3, c.P3, 16)
    t.TT2 = t.TTT2 * elud(c.Y2)
    t.T2 = through_normalization(t.TT2, θ.α2, c.Z2, c.n2.μ, c.n2.V) if batch_norm else t.TT2
    return t


def derivatives(θ, c, t, batch_norm):
    """§17, and §20: ∂J/∂parameter by his letter."""
    d = {"b1": t.T2.sum(axis=(0, 1, 2)), "w1": np.zeros_like(θ.w1)}
    for s, s_, k in product(range(1, 6), range(1, 6), range(6)):
        d["w1"][s - 1, s_ - 1, k] = (t.T2[..., k] * c.AA1[:, R(s, 31 + s), R(s_, 31 + s_), 0]).sum()
    d |= {"b3": t.T4.sum(axis=(0, 1, 2)), "w3": np.zeros_like(θ.w3)}
    for s, s_, k, k_ in product(range(1, 6), range(1, 6), range(16), range(6)):
        d["w3"][s - 1, s_ - 1, k, k_] = (t.T4[..., k] * c.AA3[:, R(s, 15 + s), R(s_, 15 + s_), k_]).sum()
    d |= {"b6": t.T7.sum(axis=0), "Θ6": t.T7.T @ c.A6, "b7": t.T8.sum(axis=0), "Θ7": t.T8.T @ c.A7}
    if batch_norm:
        for layer, TT in ((2, t.TT2), (4, t.TT4), (7, t.H7)):
            d[f"α{layer}"] = sum(TT[e] * getattr(c, f"n{layer}").Zn[e] for e in range(N))
            d[f"β{layer}"] = sum(TT[e] for e in range(N))
    return d


def to_ours(a):
    """His (…, u, v, k), or (5, 5, filter, map) for filters, in our order (…, k, u, v)."""
    return np.moveaxis(a, -1, -3) if a.ndim >= 3 else a


def filters(w):
    return np.transpose(w if w.ndim == 4 else w[..., None], (2, 3, 0, 1))


def network(batch_norm):
    def normalization(name):
        return [BatchNorm(eps=ε, name=name)] if batch_norm else []

    layers = [
        *(Conv2d(6, 5, padding=2, name="Z2"), *normalization("Y2"), ELU(name="A2"), MaxPool2d(2, name="A3")),
        *(Conv2d(16, 5, padding=2, name="Z4"), *normalization("Y4"), ELU(name="A4"), MaxPool2d(2, name="A5")),
        *(Flatten(column_major=True, name="A6"), Linear(65, name="Z7"), *normalization("Y7"), ELU(name="A7")),
        Linear(12, name="Z8"),
    ]
    loss = LogLoss(reduction="sum")  # his J adds the examples up
    return Network(layers, (1, 32, 32), loss=loss, dtype="float64", engine="reference")


def parameters(θ, batch_norm):
    named = {"Z2.weight": filters(θ.w1), "Z2.bias": θ.b1, "Z4.weight": filters(θ.w3), "Z4.bias": θ.b3}
    named |= {"Z7.weight": θ.Θ6, "Z7.bias": θ.b6, "Z8.weight": θ.Θ7, "Z8.bias": θ.b7}
    if batch_norm:
        for layer in (2, 4, 7):
            named[f"Y{layer}.weight"] = to_ours(getattr(θ, f"α{layer}"))
            named[f"Y{layer}.bias"] = to_ours(getattr(θ, f"β{layer}"))
    return named


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "batch_norm"])
def case(request):
    batch_norm = request.param
    rng = np.random.default_rng(0)
    θ = SimpleNamespace(
        w1=rng.normal(0, 0.3, (5, 5, 6)), b1=rng.normal(0, 0.1, 6),
        w3=rng.normal(0, 0.1, (5, 5, 16, 6)), b3=rng.normal(0, 0.1, 16),
        Θ6=rng.normal(0, 0.05, (65, 1024)), b6=rng.normal(0, 0.1, 65),
        Θ7=rng.normal(0, 0.2, (12, 65)), b7=rng.normal(0, 0.1, 12),
        α2=rng.normal(1, 0.2, (32, 32, 6)), β2=rng.normal(0, 0.2, (32, 32, 6)),
        α4=rng.normal(1, 0.2, (16, 16, 16)), β4=rng.normal(0, 0.2, (16, 16, 16)),
        α7=rng.normal(1, 0.2, 65), β7=rng.normal(0, 0.2, 65),
    )  # fmt: skip
    A1 = rng.normal(size=(N, 32, 32))
    Y = (rng.uniform(size=(N, 12)) < 0.3).astype(float)
    c = forward(A1, θ, batch_norm)
    t = backward(Y, θ, c, batch_norm)
    net = network(batch_norm)
    net.parameters = parameters(θ, batch_norm)
    trace = net.trace(A1[:, None], Y)
    return SimpleNamespace(batch_norm=batch_norm, θ=θ, A1=A1, Y=Y, c=c, t=t, net=net, trace=trace)


def assert_close(actual, expected):
    assert np.ptp(expected) > 0
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-12, atol=1e-12 * abs(expected).max())


@pytest.mark.parametrize("name", ["Z2", "Y2", "A2", "A3", "Z4", "Y4", "A4", "A5", "A6", "Z7", "Y7", "A7", "Z8"])
def test_forward(case, name):
    layer = name if case.batch_norm else name.replace("Y", "Z")
    assert_close(case.trace[layer].output, to_ours(getattr(case.c, name)))


def test_sigmoid_and_log_loss(case):
    assert_close(case.trace.prediction, case.c.A8)
    J = 0.0
    for e, s8 in product(range(N), range(12)):
        a, y = case.c.A8[e, s8], case.Y[e, s8]
        J -= y * log(a) + (1 - y) * log(1 - a)
    assert case.trace.loss == pytest.approx(J, rel=1e-12)


#: the layer whose output each T is the derivative to; Z and Y are one without batch normalization
TS = {"T8": "Z8", "M7": "A7", "H7": "Y7", "T7": "Z7", "T6": "A6", "T5": "A5", "TTT4": "A4", "TT4": "Y4", "T4": "Z4"}
TS |= {"T3": "A3", "TTT2": "A2", "TT2": "Y2", "T2": "Z2"}


@pytest.mark.parametrize("name", TS)
def test_back_propagation(case, name):
    layer = TS[name] if case.batch_norm else TS[name].replace("Y", "Z")
    assert_close(case.trace[layer].delta, to_ours(getattr(case.t, name)))


def test_final_formulae(case):
    d = SimpleNamespace(**derivatives(case.θ, case.c, case.t, case.batch_norm))
    expected = parameters(d, case.batch_norm)
    _, gradients = case.net.loss_and_gradients(case.A1[:, None], case.Y)
    assert gradients.keys() == expected.keys()
    for name, value in expected.items():
        if case.batch_norm and name in ("Z2.bias", "Z4.bias", "Z7.bias"):
            # Normalization takes a bias before it off again, so both are rounding.
            np.testing.assert_allclose([gradients[name], value], 0, atol=1e-12)
        else:
            assert_close(gradients[name], value)


def test_one_quarter_of_tt4_is_not_zero(case):
    assert np.count_nonzero(case.t.TTT4) == N * 8 * 8 * 16


def test_s6_and_back():
    """§5, both ways, over all 1024 units, and the library's column-major Flatten."""
    maps = np.zeros((1, 16, 8, 8))
    for number in range(1, 1025):
        k5 = ceil(number / 64)
        v5 = ceil((number - 64 * (k5 - 1)) / 8)
        u5 = number - 64 * (k5 - 1) - 8 * (v5 - 1)
        assert s6(u5, v5, k5) == number
        maps[0, k5 - 1, u5 - 1, v5 - 1] = number
    y, shape = Flatten(column_major=True).forward({}, maps)
    assert y[0].tolist() == list(range(1, 1025))
    back, _ = Flatten(column_major=True).backward({}, shape, y)
    np.testing.assert_array_equal(back, maps)


def test_the_lines_of_t_agree():
    """§19: the first line of T⁽⁷⁾, with δ_ee′ and brackets, gives what its last line gives."""
    rng = np.random.default_rng(1)
    H, Z, α = rng.normal(size=(N, 65)), rng.normal(size=(N, 65)), rng.normal(size=65)
    _, n = normalize(Z, α, 0)
    σ2 = n.V + ε
    T = np.zeros((N, 65))
    for e, e_ in product(range(N), range(N)):
        bracket = N * (e == e_) / σ2**0.5 - 1 / σ2**0.5 - (Z[e_] - n.μ) / σ2**1.5 * (Z[e] - n.μ)
        T[e] += 1 / N * H[e_] * α * bracket
    assert_close(through_normalization(H, α, Z, n.μ, n.V), T)


def test_the_filter_that_changes_nothing():
    """§1: 1 at (3, 3), 0 elsewhere, and no bias, is the identity."""
    θ = np.zeros((5, 5, 6))
    θ[3 - 1, 3 - 1] = 1
    net = Network([Conv2d(6, 5, padding=2), Flatten()], (1, 32, 32), loss="squared_error", dtype="float64")
    net.parameters["0.weight"] = filters(θ)
    image = np.random.default_rng(2).normal(size=(1, 1, 32, 32))
    np.testing.assert_array_equal(net.trace(image, np.zeros((1, 6144)))["0"].output, np.repeat(image, 6, axis=1))


def test_derivative_of_the_sigmoid():
    """§9: ∂a/∂z = a − a², against central differences."""
    for z in (-3.0, -0.2, 0.0, 1.7):
        a = 1 / (1 + exp(-z))
        slope = (1 / (1 + exp(-z - 1e-6)) - 1 / (1 + exp(-z + 1e-6))) / 2e-6
        assert slope == pytest.approx(a - a**2, rel=1e-8)
