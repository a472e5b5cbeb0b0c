import numpy as np
import pytest
import scipy.signal
from harness import awkward

from pellucid.correlation import correlate, correlate_gradients
from pellucid.errors import ConfigError, DataError, ShapeError

RNG = np.random.default_rng


def test_bindings_b_2_b_4_and_b_7_by_hand():
    x, w, delta = [2.0, 3, 5, 7], [10.0, 1], [1.0, -2, 4]
    dx, dw, db = correlate_gradients(x, w, delta)
    assert db == 1 - 2 + 4
    assert dw.tolist() == [2 * 1 + 3 * -2 + 5 * 4, 3 * 1 + 5 * -2 + 7 * 4] == [16, 21]
    assert dx.tolist() == [10 * 1, 1 * 1 + 10 * -2, 1 * -2 + 10 * 4, 1 * 4] == [10, -19, 38, 4]


def test_bindings_b_13_b_18_and_b_26_by_hand():
    x = np.arange(16.0).reshape(4, 4)
    w = np.array([[2.0, 3], [5, 7]])
    delta = np.array([[1.0, 0, 0], [0, 10, 0], [0, 0, 100]])
    dx, dw, db = correlate_gradients(x, w, delta)
    assert db == 111
    # (B.17): δ₀₀, δ₁₁ and δ₂₂ meet x at (m, n), (m + 1, n + 1), (m + 2, n + 2)
    assert dw.tolist() == [[0 + 50 + 1000, 1 + 60 + 1100], [4 + 90 + 1400, 5 + 100 + 1500]]
    # (B.26): each δᵢⱼ lays w down at (i, j); where two overlap they add
    assert dx.tolist() == [[2, 3, 0, 0], [5, 7 + 20, 30, 0], [0, 50, 70 + 200, 300], [0, 0, 500, 700]]


def test_a_single_delta_lays_the_filter_down_and_reads_the_input_off():
    # (B.24), (B.25): δ̄₀₀ hears δ₀₀ through w₀₀ alone
    x, w, delta = RNG(0).normal(size=(4, 4)), RNG(1).normal(size=(2, 2)), np.zeros((3, 3))
    delta[0, 0] = 1
    dx, dw, _ = correlate_gradients(x, w, delta)
    assert dx[0, 0] == w[0, 0]
    np.testing.assert_array_equal(dx[:2, :2], w)
    np.testing.assert_array_equal(dw, x[:2, :2])


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize(
    ("size", "kernel"),
    [((1,), (1,)), ((7,), (3,)), ((6,), (4,)), ((9,), (2,)), ((4, 4), (2, 2)), ((5, 6), (3, 3)), ((6, 5), (4, 3))],
)
def test_central_differences(size, kernel, mode):
    rng = RNG(sum(size) + sum(kernel))
    x, w = rng.normal(size=size), rng.normal(size=kernel)
    target = rng.normal(size=scipy.signal.correlate(x, w, mode, "direct").shape)
    b = 0.3

    def error(x, w, b):
        return 0.5 * np.square(scipy.signal.correlate(x, w, mode, "direct") + b - target).sum()

    step = (
        1e-3  # E is a polynomial of degree two in each number: central differences carry no other error than rounding
    )
    dy = scipy.signal.correlate(x, w, mode, "direct") + b - target
    dx, dw, db = correlate_gradients(x, w, dy, mode)
    for analytic, array, move in ((dx, x, lambda d: error(x + d, w, b)), (dw, w, lambda d: error(x, w + d, b))):
        assert analytic.shape == array.shape
        for i in np.ndindex(array.shape):
            nudge = np.zeros(array.shape)
            nudge[i] = step
            assert analytic[i] == pytest.approx((move(nudge) - move(-nudge)) / (2 * step), rel=1e-8, abs=1e-8)
    assert db == pytest.approx((error(x, w, b + step) - error(x, w, b - step)) / (2 * step), rel=1e-8)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("kernel", [(2, 2), (3, 3), (4, 3), (1, 5)])
def test_the_printed_formulas_hold_against_scipy(kernel, mode):
    rng = RNG(11)
    x, w = rng.normal(size=(7, 8)), rng.normal(size=kernel)
    y = scipy.signal.correlate(x, w, mode, "direct")
    dy = rng.normal(size=y.shape)
    dx, dw, db = correlate_gradients(x, w, dy, mode)
    assert db == pytest.approx(dy.sum(), rel=1e-12)
    if mode == "valid":
        np.testing.assert_allclose(dw, scipy.signal.correlate2d(x, dy, "valid"), rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dx, scipy.signal.correlate2d(dy, w[::-1, ::-1], "full"), rtol=1e-12, atol=1e-12)
    if mode == "full":
        np.testing.assert_allclose(dx, scipy.signal.correlate2d(dy, w[::-1, ::-1], "valid"), rtol=1e-12, atol=1e-12)
    # ⟨dy, x ⊗ w⟩ is linear in x and in w, so that it equals ⟨dx, x⟩ and ⟨dw, w⟩
    assert np.vdot(dx, x) == pytest.approx(np.vdot(dy, y), rel=1e-12)
    assert np.vdot(dw, w) == pytest.approx(np.vdot(dy, y), rel=1e-12)


def test_kernels_larger_than_the_input_pass_gradients_back():
    x, w = np.array([2.0, 3]), np.array([1.0, 10, 100])
    # full: y = (100·2, 10·2 + 100·3, 1·2 + 10·3, 1·3)
    np.testing.assert_array_equal(correlate(x, w, "full"), [200, 320, 32, 3])
    dx, dw, _ = correlate_gradients(x, w, [1.0, 0, 0, 5], "full")
    assert dx.tolist() == [100, 5]
    assert dw.tolist() == [15, 0, 2]


def test_awkward_memory_and_dtypes():
    x, w, dy = RNG(1).normal(size=(6, 5)), RNG(2).normal(size=(3, 2)), RNG(3).normal(size=(4, 4))
    dx, dw, db = correlate_gradients(awkward(x), awkward(w), awkward(dy))
    np.testing.assert_allclose(dw, scipy.signal.correlate2d(x, dy, "valid"), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(dx, scipy.signal.convolve2d(dy, w, "full"), rtol=1e-12, atol=1e-12)
    assert db == pytest.approx(dy.sum(), rel=1e-12)
    single = correlate_gradients(x.astype("f4"), w.astype("f4"), dy)
    assert single.dx.dtype == single.dw.dtype == np.float32
    np.testing.assert_allclose(single.dx, dx, rtol=0, atol=30 * np.finfo("f4").eps)


def test_a_gradient_of_another_shape_is_refused():
    with pytest.raises(ShapeError) as caught:
        correlate_gradients(np.ones((4, 4)), np.ones((2, 2)), np.ones((4, 4)), "valid")
    assert str(caught.value) == (
        "dy has shape (4, 4), but x (4, 4) and w (2, 2) give an output of shape (3, 3) in mode 'valid'; "
        "dy is the gradient of that output, element by element"
    )


def test_bad_operands_are_refused_as_in_the_forward_pass():
    with pytest.raises(ShapeError, match=r"x \(2,\) with w \(3,\): the kernel fits nowhere inside x"):
        correlate_gradients([1.0, 2], [1.0, 2, 3], [1.0])
    with pytest.raises(ConfigError, match="mode must be 'valid', 'same' or 'full', got 'big'"):
        correlate_gradients([1.0, 2], [1.0], [1.0, 1], "big")
    with pytest.raises(DataError, match="dy must hold real numbers, got dtype complex128"):
        correlate_gradients([1.0, 2], [1.0], [1j, 1])
