"""The slips B1 to B12 of ``docs/errata.md``: what Binding's notes print is wrong, what the library does is right.

Oracles are SciPy's correlate2d and convolve2d, and finite differences.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.signal import convolve2d, correlate2d

from pellucid import Network
from pellucid.layers import Conv2d, Linear, LPPool2d, MaxPool2d, Sigmoid

RNG = np.random.default_rng


def slopes(E, x):
    """∂E/∂x by finite differences."""
    x = np.asarray(x, float)
    return approx_fprime(x.ravel(), lambda v: E(v.reshape(x.shape))).reshape(x.shape)


def assert_right(actual, oracle):
    np.testing.assert_allclose(actual, oracle, rtol=1e-5, atol=1e-5)


def assert_wrong(printed, oracle):
    assert abs(np.asarray(printed) - oracle).max() > 0.01


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def run(layer, image, weight):
    y, saved = layer.forward({"weight": np.asarray(weight, float)[None, None]}, image[None, None])
    return y[0, 0], saved


def dense(layers, size, **weights):
    net = Network(layers, (size,), loss="squared_error", dtype="float64", engine="reference")
    for name, w in weights.items():
        net.parameters[f"{name}.weight"] = w
    return net


def test_b1_a_convolution_turns_the_filter_from_its_last_entry():
    """(1.2): F(h_F − m, w_F − n) starts outside of F; F(h_F − 1 − m, w_F − 1 − n) is the convolution."""
    I, F = RNG(0).normal(size=(5, 6)), RNG(1).normal(size=(2, 3))  # noqa: E741
    h_F, w_F = F.shape
    with pytest.raises(IndexError):
        sum(I[m, n] * F[h_F - m, w_F - n] for m in range(h_F) for n in range(w_F))
    oracle = convolve2d(I, F, "valid")
    assert_right(sum(I[m, n] * F[h_F - 1 - m, w_F - 1 - n] for m in range(h_F) for n in range(w_F)), oracle[0, 0])
    assert_right(run(Conv2d(1, (2, 3), bias=False, flip=True), I, F)[0], oracle)


@pytest.mark.parametrize("h_F", [2, 3, 5])
def test_b2_size_of_the_full_correlation(h_F):
    """§1: h_I + h_F/2 + 1 is right for no h_F but 4; h_I + h_F − 1 is."""
    h_I = 6
    oracle, _ = correlate2d(np.ones((h_I, h_I)), np.ones((h_F, h_F)), "full").shape
    assert h_I + h_F / 2 + 1 != oracle == h_I + h_F - 1
    assert Conv2d(1, h_F, padding="full").output_shape((1, h_I, h_I)) == (1, oracle, oracle)


def test_b3_the_second_output_depends_on_w3():
    """(A.4): y₂ = w₂w₃x, so its error is w₂w₃x − t₂; printed is w₁w₂x − t₂."""
    x, w1, w2, w3, t1, t2 = 2.0, 1.0, -1.0, 3.0, 5.0, -4.0
    oracle = slopes(lambda w: 0.5 * ((w1 * w[0] * x - t1) ** 2 + (w2 * w[0] * x - t2) ** 2), [w3])[0]
    assert_wrong((w1 * w3 * x - t1) * w1 * x + (w1 * w2 * x - t2) * w2 * x, oracle)
    assert_right((w1 * w3 * x - t1) * w1 * x + (w2 * w3 * x - t2) * w2 * x, oracle)
    net = dense([Linear(1, False, name="below"), Linear(2, False, name="above")], 1, below=[[w3]], above=[[w1], [w2]])
    _, gradients = net.loss_and_gradients(np.array([[x]]), np.array([[t1, t2]]))
    assert_right(gradients["below.weight"], oracle)


def test_b4_the_third_output_is_called_y02():
    """(B.11): what is printed as y₀₃ is y₀₂; the output is 3×3 and has no y₀₃."""
    X, W = RNG(2).normal(size=(4, 4)), RNG(3).normal(size=(2, 2))
    Y, _ = run(Conv2d(1, 2, bias=False), X, W)
    value = W[0, 0] * X[0, 2] + W[0, 1] * X[0, 3] + W[1, 0] * X[1, 2] + W[1, 1] * X[1, 3]
    assert Y.shape == (3, 3) == correlate2d(X, W, "valid").shape
    with pytest.raises(IndexError):
        Y[0, 3]
    assert_right([value, Y[0, 2]], correlate2d(X, W, "valid")[0, 2])


def test_b5_the_error_of_the_output_layer_has_a_factor_too():
    """(2.10): δ = ∂E/∂a = y − t for y = a only; with y = f(a), as in §1, it is (y − t) f′(a)."""
    a, t = np.array([0.3, -1.2]), np.array([1.0, 0.0])
    y = sigmoid(a)
    oracle = slopes(lambda a: 0.5 * np.square(sigmoid(a) - t).sum(), a)
    assert_wrong(y - t, oracle)
    assert_right((y - t) * y * (1 - y), oracle)
    net = dense([Linear(2, False, name="a"), Sigmoid()], 2, a=np.eye(2))
    assert_right(net.trace(a[None], t[None])["a"].delta[0], oracle)
    identity = dense([Linear(2, False, name="a")], 2, a=np.eye(2)).trace(a[None], t[None])["a"].delta[0]
    assert_right(identity, slopes(lambda a: 0.5 * np.square(a - t).sum(), a))
    assert_right(identity, a - t)


def test_b6_the_sum_in_a_unit_runs_over_its_inputs():
    """(2.12): a_k = Σ_i w_ki h(a_i); with Σ_k, as printed, ∂a_k/∂a_i would be Σ_k w_ki h′(a_i)."""
    w, a = RNG(4).normal(size=(3, 2)), RNG(5).normal(size=2)
    k, i = 1, 0
    oracle = slopes(lambda a: w[k] @ sigmoid(a), a)[i]
    derivative = sigmoid(a[i]) * (1 - sigmoid(a[i]))
    assert_wrong(sum(w[k_, i] for k_ in range(3)) * derivative, oracle)
    assert_right(w[k, i] * derivative, oracle)
    y, saved = Sigmoid().forward({}, a[None])
    dy, _ = Linear(3, False).backward({"weight": w}, y, np.eye(3)[[k]])
    assert_right(Sigmoid().backward({}, saved, dy)[0][0, i], oracle)


def test_b7_sums_over_planes_end_one_earlier():
    """(2.15), (2.20): i ends at d_I − 1 and j at c − 1; printed is d_I and c."""
    d_I, c = 2, 3
    x, k, δ = RNG(6).normal(size=(d_I, 4, 5)), RNG(7).normal(size=(c, d_I, 2, 2)), RNG(8).normal(size=(c, 3, 4))

    def a(i_last):
        return sum(correlate2d(x[i], k[0, i], "valid") for i in range(i_last + 1))

    def δ_below(j_last):
        return sum(correlate2d(δ[j], np.rot90(k[j, 0], 2), "full") for j in range(j_last + 1))

    with pytest.raises(IndexError):
        a(d_I)
    with pytest.raises(IndexError):
        δ_below(c)
    layer = Conv2d(c, 2, bias=False)
    y, saved = layer.forward({"weight": k}, x[None])
    assert_right(y[0, 0], a(d_I - 1))
    assert_right(layer.backward({"weight": k}, saved, δ[None])[0][0, 0], δ_below(c - 1))


def test_b8_columns_and_rows():
    """(2.9): two columns have no product, δ yᵀ is meant. (B.6): δ times the matrix is a row, the left side a column."""
    δ, y = RNG(9).normal(size=(3, 1)), RNG(10).normal(size=(2, 1))
    with pytest.raises(ValueError, match="mismatch"):
        δ @ y
    t = -δ.T
    oracle = slopes(lambda W: 0.5 * np.square(y.T @ W.T - t).sum(), np.zeros((3, 2)))
    assert_right(δ @ y.T, oracle)
    net = dense([Linear(3, False, name="W")], 2, W=np.zeros((3, 2)))
    assert_right(net.loss_and_gradients(y.T, t)[1]["W.weight"], oracle)

    x, errors = RNG(11).normal(size=4), RNG(12).normal(size=(1, 3))
    matrix = np.array([x[0:2], x[1:3], x[2:4]])  # (B.5)
    assert (errors @ matrix).shape == (1, 2)
    assert_right((matrix.T @ errors.T)[:, 0], np.correlate(x, errors[0], "valid"))


@pytest.mark.parametrize("of", ["weight", "input"])
def test_b9_every_output_sends_its_error(of):
    """(B.14), (B.19): ∂E/∂w_mn and ∂E/∂x_mn are sums over all (i, j), not the term of one."""
    X, W, δ = RNG(13).normal(size=(4, 4)), RNG(14).normal(size=(2, 2)), RNG(15).normal(size=(3, 3))
    layer = Conv2d(1, 2, bias=False)
    dx, gradients = layer.backward({"weight": W[None, None]}, run(layer, X, W)[1], δ[None, None])
    if of == "weight":
        oracle = slopes(lambda W: (δ * correlate2d(X, W, "valid")).sum(), W)[1, 1]
        terms = [δ[i, j] * X[i + 1, j + 1] for i, j in np.ndindex(3, 3)]
        ours = gradients["weight"][0, 0, 1, 1]
    else:
        oracle = slopes(lambda X: (δ * correlate2d(X, W, "valid")).sum(), X)[1, 1]
        terms = [δ[i, j] * W[1 - i, 1 - j] for i, j in np.ndindex(2, 2)]
        ours = dx[0, 0, 1, 1]
    for term in terms:
        assert_wrong(term, oracle)
    assert_right([sum(terms), ours], oracle)


def test_b10_the_window_must_divide_the_map():
    """§1, "Pooling layer": h_I/P is whole if P divides h_I; that h_I is even is neither needed nor enough."""

    def windows_that_fit(h_I, P):
        return len(range(0, h_I - P + 1, P))

    assert windows_that_fit(4, 3) == 1 != 4 / 3  # even, and a row is left over
    assert windows_that_fit(9, 3) == 3 == 9 / 3  # odd, and it fits
    for h_I in (4, 9):
        assert MaxPool2d(3).output_shape((1, h_I, h_I))[1] == windows_that_fit(h_I, 3)


def test_b11_what_is_proportional_in_l2_pooling():
    """§2.2.1: each pixel gets δ·x/y. Shares of the contributions x²/y², which add up to δ, are not the derivative."""
    x, δ = np.array([[3.0, 1.0], [-2.0, 0.5]]), 10.0
    y = np.sqrt(np.square(x).sum())
    oracle = slopes(lambda x: δ * np.sqrt(np.square(x).sum()), x)
    assert_wrong(δ * x**2 / y**2, oracle)
    assert_right(δ * x / y, oracle)
    _, saved = LPPool2d(2).forward({}, x[None, None])
    assert_right(LPPool2d(2).backward({}, saved, np.array([[[[δ]]]]))[0][0, 0], oracle)


def test_b12_the_lengths_of_x_and_y():
    """(2.2): W is K×I, so x, which is y of the layer before, has length I; a column of length K does not fit."""
    W = RNG(16).normal(size=(3, 2))
    with pytest.raises(ValueError, match="mismatch"):
        W @ np.ones(3)
    assert_right(Linear(3, False).forward({"weight": W}, np.ones((1, 2)))[0][0], W.sum(axis=1))
