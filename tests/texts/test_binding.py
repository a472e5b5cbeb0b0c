"""Binding's notes with numbers worked out by hand: (1.1) to (1.6), figure 1.1, (2.1) to (2.20), appendices A and B.

Where the notes are right as printed, the numbers follow the print; (1.2), (A.4), (B.11) and the size of *full* follow
``docs/errata.md``.
"""

from __future__ import annotations

from math import log

import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from pellucid import Network
from pellucid.layers import AvgPool2d, Conv2d, Flatten, Linear, LPPool2d, MaxPool2d, ReLU, Sigmoid, Tanh
from pellucid.losses import SquaredError

#: I(i, j) = 5i + j, so that a filter whose entries sum to 10 gives C(0, 0) + 10(5i + j)
I = np.arange(25.0).reshape(5, 5)  # noqa: E741 - his letter
F = np.array([[1.0, 2.0], [3.0, 4.0]])


def correlate(layer, image, weight, bias=0.0):
    params = {"weight": np.array(weight, float)[None, None], "bias": np.array([bias])}
    y, saved = layer.forward(params, np.array(image, float)[None, None])
    return y[0, 0], lambda dy: layer.backward(params, saved, np.array(dy, float)[None, None])


def linear_chain(*weights, activation=()):
    """Return fully connected layers of these weight matrices, no biases, as in (2.1)."""
    layers = [Linear(len(w), bias=False, name=f"W{i}") for i, w in enumerate(weights)]
    layers[1:1] = activation
    net = Network(layers, (len(weights[0][0]),), loss="squared_error", dtype="float64", engine="reference")
    for i, w in enumerate(weights):
        net.parameters[f"W{i}.weight"] = w
    return net


def test_figure_1_1_correlation():
    """(1.1): C(0, 0) = 0·1 + 1·2 + 5·3 + 6·4 = 41; the filter fits four times along each side."""
    C, _ = correlate(Conv2d(1, 2), I, F)
    np.testing.assert_array_equal(
        C, [[41, 51, 61, 71], [91, 101, 111, 121], [141, 151, 161, 171], [191, 201, 211, 221]]
    )


def test_first_output_is_a_dot_product():
    """(1.4)."""
    C, _ = correlate(Conv2d(1, 2), I, F)
    assert C[0, 0] == np.dot([I[0, 0], I[0, 1], I[1, 0], I[1, 1]], [F[0, 0], F[0, 1], F[1, 0], F[1, 1]]) == 41


def test_convolution_turns_the_filter():
    """(1.2), corrected: C(0, 0) = 0·4 + 1·3 + 5·2 + 6·1 = 19."""
    C, _ = correlate(Conv2d(1, 2, flip=True), I, F)
    np.testing.assert_array_equal(C, 19 + 10 * I[:4, :4])
    np.testing.assert_array_equal(C, convolve2d(I, F, "valid"))


@pytest.mark.parametrize(
    ("h_I", "h_F", "P", "S", "h_C"),
    [(5, 2, 0, 1, 4), (28, 5, 0, 1, 24), (32, 5, 2, 1, 32), (7, 3, 0, 2, 3), (7, 3, 1, 2, 4), (227, 11, 0, 4, 55)],
)
def test_output_size(h_I, h_F, P, S, h_C):
    """(1.3), where S divides."""
    assert Conv2d(1, h_F, S, P).output_shape((1, h_I, h_I)) == (1, h_C, h_C)


@pytest.mark.parametrize(("mode", "size"), [("valid", 3), ("same", 5), ("full", 7)])
def test_modes(mode, size):
    """h_I = 5, h_F = 3: 5 − 3 + 1, 5, and 5 + 3 − 1."""
    F3 = np.arange(9.0).reshape(3, 3)
    C, _ = correlate(Conv2d(1, 3, padding=mode), I, F3)
    assert C.shape == (size, size)
    np.testing.assert_array_equal(C, correlate2d(I, F3, mode))


def test_a_filter_has_the_depth_of_its_input():
    """Figure 1.2: c filters of size (d_I, h_F, w_F) give c maps."""
    layer = Conv2d(4, 3)
    assert layer.init_params((2, 6, 7), np.random.default_rng(0))["weight"].shape == (4, 2, 3, 3)
    assert layer.output_shape((2, 6, 7)) == (4, 4, 5)


#: two windows side by side; the error of each is 10 and 100
POOLED = [[3.0, 0.0, 2.0, 2.0], [0.0, -4.0, -1.0, 4.0]]


@pytest.mark.parametrize(
    ("layer", "y", "up"),
    [
        (MaxPool2d(2), [3, 4], [[10, 0, 0, 0], [0, 0, 0, 100]]),
        (AvgPool2d(2), [-0.25, 1.75], [[2.5, 2.5, 25, 25], [2.5, 2.5, 25, 25]]),
        (LPPool2d(2), [5, 5], [[6, 0, 40, 40], [0, -8, -20, 80]]),
    ],
    ids=["max", "average", "L2"],
)
def test_pooling(layer, y, up):
    """Figure 1.3 and (2.19), and the up of (2.16): all to the maximum, evenly, or each its x/y."""
    down, saved = layer.forward({}, np.array(POOLED)[None, None])
    np.testing.assert_allclose(down[0, 0], [y], rtol=1e-15)
    dx, _ = layer.backward({}, saved, np.array([[[[10.0, 100.0]]]]))
    np.testing.assert_allclose(dx[0, 0], up, rtol=1e-14, atol=1e-15)


def test_relu_has_derivative_0_at_0():
    """Footnote 4."""
    y, saved = ReLU().forward({}, np.array([[-1.0, 0.0, 2.0]]))
    assert y.tolist() == [[0, 0, 2]]
    assert ReLU().backward({}, saved, np.array([[7.0, 7.0, 7.0]]))[0].tolist() == [[0, 0, 7]]


def test_squared_error():
    """(1.5), (1.6): E₀ = ½(0.04 + 0.09 + 0.01), E₁ = ½(0.25 + 0.25), and δ = y − t (2.10)."""
    y = np.array([[0.2, 0.7, 0.1], [0.5, 0.5, 0.0]])
    t = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
    loss = SquaredError(reduction="sum")
    np.testing.assert_allclose(loss.per_sample(y, t), [0.07, 0.25])
    total, δ = loss.value_and_delta(y, t)
    assert total == pytest.approx(0.32)
    np.testing.assert_allclose(δ, [[0.2, -0.3, 0.1], [-0.5, 0.5, 0]])


def test_one_fully_connected_layer():
    """(2.1) to (2.3), (2.8), (2.9): y = Wx, ∂E/∂w_ki = (y_k − t_k) x_i."""
    net = linear_chain([[1, 2], [3, 4], [5, 6]])
    x, t = np.array([[1.0, -1.0]]), np.array([[0.0, 0.0, 1.0]])
    assert net.predict(x).tolist() == [[-1, -1, -1]]
    _, gradients = net.loss_and_gradients(x, t)
    assert gradients["W0.weight"].tolist() == [[-1, 1], [-1, 1], [-2, 2]]


def test_hidden_layer():
    """(2.4) to (2.14): a = (0, ln 3), so h = (1/2, 3/4) and h′ = (1/4, 3/16); y = 2, t = 1."""
    net = linear_chain([[2, -1], [log(3), 0]], [[1, 2]], activation=[Sigmoid(name="h")])
    trace = net.trace(np.array([[1.0, 2.0]]), np.array([[1.0]]))
    np.testing.assert_allclose(trace["W0"].output, [[0, log(3)]], atol=1e-15)
    np.testing.assert_allclose(trace["h"].output, [[1 / 2, 3 / 4]], rtol=1e-15)
    np.testing.assert_allclose(trace["W1"].output, [[2]], rtol=1e-15)
    np.testing.assert_allclose(trace["W1"].delta, [[1]], rtol=1e-14)
    np.testing.assert_allclose(trace["W1"].gradients["weight"], [[1 / 2, 3 / 4]], rtol=1e-14)
    np.testing.assert_allclose(trace["W0"].delta, [[1 / 4 * 1, 3 / 16 * 2]], rtol=1e-14)  # (2.13)
    np.testing.assert_allclose(trace["W0"].gradients["weight"], [[0.25, 0.5], [0.375, 0.75]], rtol=1e-14)


def up_max(δ, y):
    up = np.zeros_like(y)
    for u, v in np.ndindex(δ.shape):
        block = y[2 * u : 2 * u + 2, 2 * v : 2 * v + 2]
        i, j = np.unravel_index(block.argmax(), (2, 2))
        up[2 * u + i, 2 * v + j] = δ[u, v]
    return up


def up_average(δ, y):
    return np.kron(δ, np.full((2, 2), 1 / 4))


def up_l2(δ, y):
    blocks = [[np.sqrt(np.square(y[u : u + 2, v : v + 2]).sum()) for v in range(0, 6, 2)] for u in range(0, 4, 2)]
    return np.kron(δ / blocks, np.ones((2, 2))) * y


@pytest.mark.parametrize(
    ("pooling", "up"),
    [(MaxPool2d(2, name="pool"), up_max), (AvgPool2d(2, name="pool"), up_average), (LPPool2d(2, name="pool"), up_l2)],
    ids=["max", "average", "L2"],
)
def test_correlation_and_pooling_layers(pooling, up):
    """(2.15) to (2.20), with SciPy's correlate2d for corr2."""
    layers = [Conv2d(3, 2, name="first"), Tanh(name="h"), pooling, Conv2d(2, 2, name="second"), Flatten()]
    net = Network(layers, (2, 5, 7), loss="squared_error", dtype="float64", engine="reference")
    rng = np.random.default_rng(0)
    for name, values in net.parameters.items():
        net.parameters[name] = rng.normal(size=values.shape)
    x = rng.normal(size=(1, 2, 5, 7))
    trace = net.trace(x, rng.normal(size=(1, 4)))
    k1, k2 = net.parameters["first.weight"], net.parameters["second.weight"]
    a, y = trace["first"].output[0], trace["h"].output[0]
    δ_second, δ_pool, δ_first = trace["second"].delta[0], trace["pool"].delta[0], trace["first"].delta[0]
    for j in range(3):
        planes = [correlate2d(x[0, i], k1[j, i], "valid") for i in range(2)]
        np.testing.assert_allclose(a[j], sum(planes) + net.parameters["first.bias"][j], rtol=1e-12)  # (2.15)
        np.testing.assert_allclose(δ_first[j], (1 - y[j] ** 2) * up(δ_pool[j], y[j]), rtol=1e-12)  # (2.16)
        assert trace["first"].gradients["bias"][j] == pytest.approx(δ_first[j].sum(), rel=1e-12)  # (2.17)
        for i in range(2):
            gradient = correlate2d(x[0, i], δ_first[j], "valid")
            np.testing.assert_allclose(trace["first"].gradients["weight"][j, i], gradient, rtol=1e-12)  # (2.18)
    for i in range(3):
        planes = [correlate2d(δ_second[j], np.rot90(k2[j, i], 2), "full") for j in range(2)]
        np.testing.assert_allclose(δ_pool[i], sum(planes), rtol=1e-12)  # (2.20)


def test_appendix_a():
    """x = 2, w₃ = 3, w₁ = 1, w₂ = −1, t = (5, −4): y₃ = 6, y = (6, −6), δ = (1, −2), E = ½(1 + 4)."""
    net = linear_chain([[3]], [[1], [-1]])
    x, t = np.array([[2.0]]), np.array([[5.0, -4.0]])
    assert net.predict(x).tolist() == [[6, -6]]  # (A.2)
    E, gradients = net.loss_and_gradients(x, t)
    assert E == 2.5  # (A.1)
    assert gradients["W1.weight"].tolist() == [[1 * 3 * 2], [-2 * 3 * 2]]  # (A.3)
    assert gradients["W0.weight"].tolist() == [[(1 * 1 + -2 * -1) * 2]]  # (A.4)


def test_appendix_b_1():
    """(B.1) to (B.8): one row of four pixels, a filter of two."""
    y, backward = correlate(Conv2d(1, (1, 2)), [[1, 2, 3, 4]], [[1, -2]], bias=0.5)
    assert y.tolist() == [[-2.5, -3.5, -4.5]]  # (B.1)
    δ = [1, 2, -1]
    dx, gradients = backward([δ])
    assert gradients["bias"].tolist() == [2]  # (B.2)
    assert gradients["weight"][0, 0].tolist() == [[1 + 4 - 3, 2 + 6 - 4]]  # (B.4)
    assert (np.array(δ) @ [[1, 2], [2, 3], [3, 4]]).tolist() == [2, 4]  # (B.5), (B.6)
    assert dx[0, 0].tolist() == [[1, -2 + 2, -4 - 1, 2]]  # (B.7)
    np.testing.assert_array_equal(dx[0, 0, 0], np.correlate([0, 1, 2, -1, 0], [-2, 1], "valid"))  # (B.8)


#: x_ij = 4i + j, so y_ij = y_00 + 10(4i + j) for W = F, and ∂E/∂w_mn = ∂E/∂w_00 + Σδ·(4m + n)
X = np.arange(16.0).reshape(4, 4)
δ = np.array([[1.0, 0.0, -1.0], [2.0, 1.0, 0.0], [0.0, -2.0, 1.0]])


def test_appendix_b_2_forward():
    """(B.9) to (B.12): y₀₀ = 0·1 + 1·2 + 4·3 + 5·4 − 1 = 33."""
    y, _ = correlate(Conv2d(1, 2), X, F, bias=-1.0)
    assert y.tolist() == [[33, 43, 53], [73, 83, 93], [113, 123, 133]]


def test_appendix_b_2_gradients():
    """(B.13) to (B.18): Σδ = 2, and ∂E/∂w₀₀ = −2 + 8 + 5 − 18 + 10 = 3."""
    _, backward = correlate(Conv2d(1, 2), X, F)
    _, gradients = backward(δ)
    assert gradients["bias"].tolist() == [2]  # (B.13)
    assert gradients["weight"][0, 0].tolist() == [[3, 5], [11, 13]]  # (B.17)
    np.testing.assert_array_equal(gradients["weight"][0, 0], correlate2d(X, δ, "valid"))  # (B.18)


def test_appendix_b_2_error_of_the_input():
    """(B.19) to (B.27), row by row of δ times w₀ and w₁: e.g. (1, 0, −1) gives (1, 2, −1, −2) and (3, 4, −3, −4)."""
    _, backward = correlate(Conv2d(1, 2), X, F)
    dx, _ = backward(δ)
    δ_bar = dx[0, 0]
    assert δ_bar.tolist() == [[1, 2, -1, -2], [5, 9, -1, -4], [6, 9, 1, 2], [0, -6, -5, 4]]
    for m, n in np.ndindex(4, 4):
        inside = [(i, j) for i, j in np.ndindex(3, 3) if m - i in (0, 1) and n - j in (0, 1)]
        assert δ_bar[m, n] == sum(δ[i, j] * F[m - i, n - j] for i, j in inside)  # (B.23)
    assert δ_bar[0, 0] == δ[0, 0] * F[0, 0]  # (B.24), (B.25)
    np.testing.assert_array_equal(δ_bar, correlate2d(np.pad(δ, 1), [[4, 3], [2, 1]], "valid"))  # (B.26)
    np.testing.assert_array_equal(δ_bar, correlate2d(δ, F[::-1, ::-1], "full"))  # (B.27)
