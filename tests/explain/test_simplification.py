from typing import NamedTuple

import numpy as np
import pytest
import scipy.signal

from pellucid.errors import ShapeError
from pellucid.explain.simplification import (
    Normalized,
    coefficients,
    coefficients_loops,
    conv_to_conv,
    conv_to_conv_loops,
    jacobian,
    normalize,
    pool_to_conv,
    pool_to_conv_loops,
    winners,
)
from pellucid.layers import Conv2d, MaxPool2d, ReLU
from pellucid.layers.batch_norm import BatchNorm2d

RNG = np.random.default_rng
EPS = 1e-3
EXACT = {"rtol": 1e-12, "atol": 1e-12}


class Book(NamedTuple):
    """What the library's own layers give for ReLU → BatchNorm2d → a last layer."""

    delta: np.ndarray
    da: np.ndarray
    y: np.ndarray
    dgamma: np.ndarray
    dbeta: np.ndarray


def through_the_layers(a, gamma, beta, last, params, rng):
    relu, norm = ReLU(), BatchNorm2d(eps=EPS)
    h, kept_relu = relu.forward({}, a)
    coefficient = {"weight": gamma, "bias": beta}
    y, kept_norm = norm.forward(coefficient, h, state=norm.init_state(h.shape[1:]), training=True)
    out, kept_last = last.forward(params, y)
    delta = rng.normal(size=out.shape)
    dy, _ = last.backward(params, kept_last, delta)
    dh, grads = norm.backward(coefficient, kept_norm, dy)
    return Book(delta, relu.backward({}, kept_relu, dh)[0], y, grads["weight"], grads["bias"])


def conv_case(seed, *, samples=2, maps=2, size=(3, 4), filters=2, kernel=(2, 2), padding=0):
    rng = RNG(seed)
    a = rng.normal(size=(samples, maps, *size))
    gamma, beta = rng.normal(size=(2, maps))
    theta = rng.normal(size=(filters, maps, *kernel))
    last = Conv2d(filters, kernel, padding=padding, bias=False)
    return normalize(a, gamma, EPS), theta, through_the_layers(a, gamma, beta, last, {"weight": theta}, rng)


CONV_CASES = [
    {},
    {"kernel": (1, 1)},
    {"kernel": (3, 3)},
    {"kernel": (3, 2), "size": (4, 3), "filters": 3},
    {"kernel": (2, 2), "padding": 1},
    {"kernel": (3, 3), "padding": 1, "samples": 3},
    {"kernel": (1, 1), "padding": 1},
    {"kernel": (3, 3), "padding": 2, "size": (2, 3)},
    {"samples": 1, "maps": 1, "filters": 1, "size": (2, 2), "kernel": (2, 2)},
]


@pytest.mark.parametrize("case", CONV_CASES, ids=str)
def test_ten_loops_seven_loops_and_the_layers_agree_from_conv_to_conv(case):
    layer, theta, book = conv_case(1, **case)
    padding = case.get("padding", 0)
    loops = conv_to_conv_loops(book.delta, theta, padding, layer)
    simplified = conv_to_conv(book.delta, theta, padding, layer)
    assert loops.shape == layer.h_tilde.shape
    np.testing.assert_allclose(simplified.delta, loops, **EXACT)
    np.testing.assert_allclose(book.da, loops, **EXACT)


@pytest.mark.parametrize("case", CONV_CASES, ids=str)
def test_coefficients_agree_with_their_loops_and_the_layers(case):
    layer, theta, book = conv_case(2, **case)
    padding = case.get("padding", 0)
    dgamma, dbeta = coefficients_loops(book.delta, theta, padding, layer)
    simplified = coefficients(book.delta, theta, padding, layer)
    np.testing.assert_allclose(simplified.dgamma, dgamma, **EXACT)
    np.testing.assert_allclose(simplified.dbeta, dbeta, **EXACT)
    np.testing.assert_allclose(book.dgamma, dgamma, **EXACT)
    np.testing.assert_allclose(book.dbeta, dbeta, **EXACT)


@pytest.mark.parametrize("case", CONV_CASES, ids=str)
def test_lambdas_and_nus_are_the_gradients_that_the_module_says(case):
    layer, theta, book = conv_case(3, **case)
    padding = case.get("padding", 0)
    found = conv_to_conv(book.delta, theta, padding, layer)
    np.testing.assert_allclose(found.lambda4, book.dbeta, **EXACT)
    np.testing.assert_allclose(found.lambda6, book.dgamma, **EXACT)
    nus = coefficients(book.delta, theta, padding, layer)
    np.testing.assert_allclose(nus.nu1, found.lambda5.swapaxes(0, 1), **EXACT)
    np.testing.assert_allclose(nus.nu2, found.lambda3, **EXACT)
    dweight = scipy.signal.correlate(
        np.pad(layer.h_tilde[:, 0], [(0, 0), (padding, padding), (padding, padding)]),
        book.delta[:, 0],
        "valid",
        "direct",
    )
    np.testing.assert_allclose(nus.nu1[0, 0], dweight[0], **EXACT)


def test_every_lambda_by_hand():
    # One sample, one map, h̃ = (−1, 1) as a row of two pixels; Θ = (10, 1), so that a′ = 10·y₀ + 1·y₁ and δ = 3.
    layer = Normalized(np.array([[[[-1.0, 1]]]]), np.array([2.0]), np.ones((1, 1, 1, 2)))
    found = conv_to_conv(np.array([[[[3.0]]]]), np.array([[[[10.0, 1]]]]), 0, layer)
    assert found.lambda1.tolist() == [[[[30, 3]]]]
    assert found.lambda2.tolist() == [[11]]
    assert found.lambda3.tolist() == [3]
    assert found.lambda4.tolist() == [33]
    assert found.lambda5.tolist() == [[[[-3, 3]]]]
    assert found.lambda6.tolist() == [-30 + 3]
    assert found.border.tolist() == [[[0, 0]]]
    # 30 − (33 + (−27)(−1))/2 and 3 − (33 + (−27)(1))/2: with ε = 0, two pixels come out of batch norm as ∓1 whatever
    # they were, so nothing flows back.
    assert found.delta.tolist() == [[[[0, 0]]]]


def test_the_printed_lambda4_counts_taps_on_the_padding():
    # Without padding λ⁽⁴⁾ = Σ λ⁽²⁾λ⁽³⁾ as printed. With zeros around y it is too much by the border.
    layer, theta, book = conv_case(4, kernel=(3, 3))
    found = conv_to_conv(book.delta, theta, 0, layer)
    np.testing.assert_array_equal(found.border, np.zeros((2, 3, 3)))
    np.testing.assert_allclose(np.einsum("fp,p->f", found.lambda2, found.lambda3), book.dbeta, **EXACT)

    layer, theta, book = conv_case(4, kernel=(3, 3), padding=1)
    found = conv_to_conv(book.delta, theta, 1, layer)
    printed = np.einsum("fp,p->f", found.lambda2, found.lambda3)
    assert abs(printed - book.dbeta).min() > 0.1
    # Tap (0, 0) reads the padding from the first row and the first column of outputs.
    corner = book.delta[:, :, 0, :].sum(axis=(0, 2)) + book.delta[:, :, 1:, 0].sum(axis=(0, 2))
    np.testing.assert_allclose(found.border[:, 0, 0], corner, **EXACT)
    np.testing.assert_array_equal(found.border[:, 1, 1], 0)


def test_lambda1_is_scipys_full_convolution_cropped_by_the_padding():
    layer, theta, book = conv_case(5, kernel=(3, 2), padding=1, filters=3)
    found = conv_to_conv(book.delta, theta, 1, layer)
    for t, f in np.ndindex(layer.h_tilde.shape[:2]):
        full = sum(scipy.signal.convolve2d(book.delta[t, p], theta[p, f], "full") for p in range(3))
        np.testing.assert_allclose(found.lambda1[t, f], full[1:-1, 1:-1], **EXACT)


POOL_CASES = [
    {"kernel": 2, "stride": 2},
    {"kernel": 2, "stride": 1},
    {"kernel": 3, "stride": 2, "size": (5, 4)},
    {"kernel": 3, "stride": 1, "size": (4, 5), "samples": 3},
    {"kernel": 1, "stride": 2},
    {"kernel": 2, "stride": 3, "size": (5, 6)},
]


def pool_case(seed, *, kernel, stride, samples=2, maps=2, size=(4, 5)):
    rng = RNG(seed)
    a = rng.normal(size=(samples, maps, *size))
    gamma, beta = rng.normal(size=(2, maps))
    book = through_the_layers(a, gamma, beta, MaxPool2d(kernel, stride), {}, rng)
    return normalize(a, gamma, EPS), winners(book.y, kernel, stride), book


@pytest.mark.parametrize("case", POOL_CASES, ids=str)
def test_seven_loops_four_loops_and_the_layers_agree_from_pool_to_conv(case):
    layer, (j, k), book = pool_case(6, **case)
    loops = pool_to_conv_loops(book.delta, j, k, case["stride"], layer)
    simplified = pool_to_conv(book.delta, j, k, case["stride"], layer)
    np.testing.assert_allclose(simplified.delta, loops, **EXACT)
    np.testing.assert_allclose(book.da, loops, **EXACT)
    np.testing.assert_allclose(simplified.mu1, book.dbeta, **EXACT)
    np.testing.assert_allclose(simplified.mu2, book.dgamma, **EXACT)


def test_the_first_of_two_equal_maxima_wins():
    j, k = winners(np.array([[[[1.0, 5, 5, 0], [5, 5, 0, 7]]]]), 2, 2)
    assert j.tolist() == [[[[0, 1]]]]
    assert k.tolist() == [[[[1, 1]]]]


def test_every_mu_by_hand():
    layer = Normalized(np.array([[[[-1.0, 2, 0, -1]]]]), np.array([1.0]), np.array([[[[1.0, 1, 0, 1]]]]))
    zeros = np.zeros((1, 1, 1, 2), int)
    found = pool_to_conv(np.array([[[[10.0, 4]]]]), zeros, np.array([[[[1, 0]]]]), 2, layer)
    assert found.mu1.tolist() == [14]
    assert found.mu2.tolist() == [10 * 2 + 4 * 0]
    # 0 − (14 − 20)/4, 10 − (14 + 40)/4, g′ = 0, 0 − (14 − 20)/4
    assert found.delta.tolist() == [[[[1.5, -3.5, 0, 1.5]]]]


def test_central_differences_from_conv_to_conv():
    rng = RNG(8)
    a = rng.normal(size=(2, 2, 3, 3))
    a[abs(a) < 1e-2] = 0.5  # away from the kink of ReLU
    gamma, beta, delta = rng.normal(size=2), rng.normal(size=2), rng.normal(size=(2, 2, 3, 3))
    theta = rng.normal(size=(2, 2, 3, 3))

    def loss(a, gamma, beta):
        h = np.maximum(a, 0)
        mean, variance = h.mean(axis=(0, 2, 3)), h.var(axis=(0, 2, 3))
        total = 0.0
        for t, p, f in np.ndindex(2, 2, 2):
            y = gamma[f] * (h[t, f] - mean[f]) / np.sqrt(variance[f] + EPS) + beta[f]
            total += np.vdot(delta[t, p], scipy.signal.correlate(y, theta[p, f], "same", "direct"))
        return total

    def slopes(move, array, step=1e-5):
        numeric = np.zeros(array.shape)
        for i in np.ndindex(array.shape):
            nudge = np.zeros(array.shape)
            nudge[i] = step
            numeric[i] = (move(array + nudge) - move(array - nudge)) / (2 * step)
        return numeric

    layer = normalize(a, gamma, EPS)
    close = {"rtol": 1e-7, "atol": 1e-8}
    numeric = slopes(lambda v: loss(v, gamma, beta), a)
    np.testing.assert_allclose(conv_to_conv(delta, theta, 1, layer).delta, numeric, **close)
    np.testing.assert_allclose(conv_to_conv_loops(delta, theta, 1, layer), numeric, **close)
    found = coefficients(delta, theta, 1, layer)
    np.testing.assert_allclose(found.dgamma, slopes(lambda v: loss(a, v, beta), gamma), **close)
    np.testing.assert_allclose(found.dbeta, slopes(lambda v: loss(a, gamma, v), beta), **close)


def test_the_jacobian_is_that_of_batch_norm_and_symmetric():
    rng = RNG(9)
    a, gamma, step = 1 + rng.random(size=(2, 2, 2, 2)), rng.normal(size=2), 1e-5
    layer = normalize(a, gamma, EPS)

    def y(h):
        mean, variance = h.mean(axis=(0, 2, 3), keepdims=True), h.var(axis=(0, 2, 3), keepdims=True)
        return gamma[:, None, None] * (h - mean) / np.sqrt(variance + EPS)

    for t, f, l, m in np.ndindex(a.shape):  # noqa: E741
        nudge = np.zeros(a.shape)
        nudge[t, f, l, m] = step
        numeric = (y(a + nudge) - y(a - nudge))[:, f] / (2 * step)
        for other in np.ndindex(2, 2, 2):
            found = jacobian(layer, f, other, (t, l, m))
            assert found == pytest.approx(numeric[other], rel=1e-6, abs=1e-8)
            assert found == pytest.approx(jacobian(layer, f, (t, l, m), other), rel=1e-13)


def test_an_error_rate_that_does_not_depend_on_t_prime_dies():
    # Epelbaum's fc → fc has δ^{(t)} under Σ_t′ J^{(tt′)}; it must be δ^{(t′)}, for J alone sums to 0.
    layer = normalize(RNG(10).normal(size=(5, 1, 1, 1)), np.array([1.3]), EPS)
    for t in range(5):
        assert sum(jacobian(layer, 0, (t2, 0, 0), (t, 0, 0)) for t2 in range(5)) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("function", [conv_to_conv, conv_to_conv_loops, coefficients, coefficients_loops])
@pytest.mark.parametrize(
    ("delta", "theta", "padding"),
    [
        ((2, 2, 3, 4), (2, 2, 2, 2), 0),
        ((2, 2, 2, 3), (2, 3, 2, 2), 0),
        ((2, 2, 2, 3), (2, 2, 2, 2), 1),
        ((2, 3, 2, 3), (2, 2, 2, 2), 0),
        ((1, 2, 2, 3), (2, 2, 2, 2), 0),
    ],
)
def test_convolutions_that_do_not_fit_are_named(function, delta, theta, padding):
    layer, _, _ = conv_case(11)
    expected = (2, 2, 2 + 2 * padding, 3 + 2 * padding)
    with pytest.raises(ShapeError) as caught:
        function(np.ones(delta), np.ones(theta), padding, layer)
    assert str(caught.value) == (
        f"conv to conv: delta has shape {delta} and theta {theta}; with h̃ (2, 2, 3, 4) and padding {padding} expected "
        f"theta (F′, 2, R, R), and then delta {expected}"
    )


@pytest.mark.parametrize("function", [pool_to_conv, pool_to_conv_loops])
def test_poolings_that_do_not_fit_are_named(function):
    layer, (j, k), book = pool_case(12, kernel=2, stride=2)
    with pytest.raises(ShapeError, match=r"delta has shape \(2, 2, 2, 1\), j \(2, 2, 2, 2\) and k \(2, 2, 2, 2\);"):
        function(book.delta[..., :1], j, k, 2, layer)
    with pytest.raises(ShapeError, match=r"delta has shape \(1, 2, 2, 2\).*to be \(2, 2, N′, T′\), one value a window"):
        function(book.delta[:1], j[:1], k[:1], 2, layer)
    with pytest.raises(
        ShapeError, match=r"outside the 4×5 maps; take j, k and the stride from one and the same pooling"
    ):
        function(book.delta, j, k, 5, layer)
