from itertools import product
from math import fsum, log2, prod

import numpy as np
import pytest
import scipy.signal
from harness import awkward

from pellucid.correlation import convolve, correlate
from pellucid.correlation.methods import METHODS
from pellucid.errors import ConfigError, DataError, ShapeError

RNG = np.random.default_rng
SIZES_A_MODE = 110


def naive(x, w, mode):
    """Return Binding (1.1) loop by loop, x being 0 outside itself, each sum rounded once."""
    before = {"valid": [0] * w.ndim, "same": [r // 2 for r in w.shape], "full": [r - 1 for r in w.shape]}[mode]
    extra = {"valid": [1 - r for r in w.shape], "same": [0] * w.ndim, "full": [r - 1 for r in w.shape]}[mode]
    y = np.zeros([t + e for t, e in zip(x.shape, extra, strict=True)])
    for i in np.ndindex(y.shape):
        terms = []
        for m in np.ndindex(w.shape):
            pixel = tuple(a + b - c for a, b, c in zip(i, m, before, strict=True))
            if all(0 <= p < t for p, t in zip(pixel, x.shape, strict=True)):
                terms.append(float(w[m]) * float(x[pixel]))
        y[i] = fsum(terms)
    return y


def random_operands(rng, dimensions, mode, dtype, method):
    """Return x and w of random shapes, w larger than x now and then where the mode allows it."""
    longest, widest = (40, 12) if dimensions == 1 else (11, 6)
    kernel = (3,) * dimensions if method == "winograd" else tuple(rng.integers(1, widest, dimensions))
    least = kernel if mode == "valid" else (1,) * dimensions
    size = [t + rng.integers(0, longest) for t in least]
    x, w = rng.normal(size=size), rng.normal(size=kernel)
    return x.astype(dtype), w.astype(dtype)


def tolerance(method, x, w):
    """Return a bound on the rounding error of an output, worked out from the dtype and the terms that are added."""
    eps, terms = np.finfo(x.dtype).eps, w.size
    if method == "fft":
        # log₂ stages of butterflies, each mixing everything: the error follows the norms, not the single output.
        filled = prod(t + 2 * r for t, r in zip(x.shape, w.shape, strict=True))
        return 2 * eps * log2(2 * filled) * np.linalg.norm(x) * np.linalg.norm(w)
    if method == "winograd":
        # F(4, 3) multiplies the largest number by up to ‖Aᵀ‖·‖G‖·‖Bᵀ‖ = 19·1·10 along every axis before it cancels.
        return eps * 3 * 190**x.ndim * abs(x).max() * abs(w).max()
    return eps * terms * terms * abs(x).max() * abs(w).max()


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_the_loops_and_scipys_numbers(method, dimensions, mode, dtype):
    rng = RNG(sum(map(ord, method + mode)) + dimensions)
    for _ in range(SIZES_A_MODE):
        x, w = random_operands(rng, dimensions, mode, dtype, method)
        y = correlate(x, w, mode, method)
        assert y.dtype == dtype
        bound = tolerance(method, x, w)
        case = f"x {x.shape}, w {w.shape}"
        np.testing.assert_allclose(y, naive(x, w, mode), rtol=0, atol=bound, err_msg=case)
        # SciPy's own direct sum rounds too, in the same dtype.
        expected = scipy.signal.correlate(x, w, mode, method="direct")
        np.testing.assert_allclose(y, expected, rtol=0, atol=bound + tolerance("direct", x, w), err_msg=case)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
@pytest.mark.parametrize("dimensions", [1, 2])
@pytest.mark.parametrize("method", METHODS)
def test_convolution_is_scipys(method, dimensions, mode):
    rng = RNG(7 + dimensions)
    for _ in range(SIZES_A_MODE):
        x, w = random_operands(rng, dimensions, mode, "float64", method)
        expected = scipy.signal.convolve(x, w, mode, method="direct")
        bound = tolerance(method, x, w) + tolerance("direct", x, w)
        np.testing.assert_allclose(convolve(x, w, mode, method), expected, rtol=0, atol=bound)


@pytest.mark.parametrize("method", ["direct", "im2col", "fft"])
def test_full_convolution_multiplies_polynomials(method):
    # (1 + 2z + 3z²)(4 + 5z) = 4 + 13z + 22z² + 15z³
    np.testing.assert_allclose(convolve([1, 2, 3], [4, 5], "full", method), [4, 13, 22, 15], rtol=1e-14)


def test_bindings_1_2_needs_its_index_one_lower():
    # With F(h_F − m, w_F − n) the first factor would be F(2, 2), which a 2×2 filter does not have.
    x, f = np.arange(1.0, 10).reshape(3, 3), np.array([[1.0, 10], [100, 1000]])
    expected = [
        [sum(x[i + m, j + n] * f[1 - m, 1 - n] for m in (0, 1) for n in (0, 1)) for j in (0, 1)] for i in (0, 1)
    ]
    assert expected[0][0] == 1 * 1000 + 2 * 100 + 4 * 10 + 5 * 1
    np.testing.assert_array_equal(convolve(x, f), expected)


@pytest.mark.parametrize("method", METHODS)
def test_awkward_memory_gives_the_same(method):
    x, w = RNG(3).normal(size=(9, 7)), RNG(4).normal(size=(3, 3))
    y = correlate(awkward(x), awkward(w), "same", method)
    np.testing.assert_allclose(y, scipy.signal.correlate(x, w, "same", "direct"), rtol=0, atol=tolerance(method, x, w))


@pytest.mark.parametrize("method", METHODS)
def test_operands_are_left_as_they_were(method):
    x, w = RNG(5).normal(size=(6, 5)), RNG(6).normal(size=(3, 3))
    kept = x.copy(), w.copy()
    for mode in ("valid", "same", "full"):
        correlate(x, w, mode, method)
    np.testing.assert_array_equal(x, kept[0])
    np.testing.assert_array_equal(w, kept[1])


@pytest.mark.parametrize("method", ["direct", "im2col"])
def test_a_nan_shows_in_the_outputs_that_read_it_and_nowhere_else(method):
    x, w = np.ones((5, 6)), np.ones((2, 3))
    x[1, 4] = np.nan
    readers = {(i, j) for i, j in product(range(4), range(4)) if 1 - i in (0, 1) and 4 - j in (0, 1, 2)}
    y = correlate(x, w, "valid", method)
    assert {(int(i), int(j)) for i, j in np.argwhere(np.isnan(y))} == readers == {(0, 2), (0, 3), (1, 2), (1, 3)}
    assert (y[~np.isnan(y)] == 6).all()


def test_a_nan_spoils_all_of_an_fft_and_one_tile_of_winograd():
    x = np.ones(14)
    x[6] = np.nan
    assert np.isnan(correlate(x, np.ones(3), "valid", "fft")).all()
    tiled = np.isnan(correlate(x, np.ones(3), "valid", "winograd"))
    assert tiled.tolist() == [False] * 4 + [True] * 4 + [False] * 4


@pytest.mark.parametrize(
    ("x", "w", "dtype"),
    [
        (np.ones(4, np.float32), np.ones(2, np.float32), "float32"),
        (np.ones(4, np.float32), np.ones(2, np.float64), "float64"),
        (np.ones(4, np.uint8), np.ones(2, np.float32), "float32"),
        (np.full(4, 200, np.uint8), np.full(2, 200, np.uint8), "float32"),
        ([1, 1, 1, 1], [1, 1], "float64"),
        ([True, True, True, True], [True, True], "float32"),
    ],
)
def test_whole_numbers_become_floating_point(x, w, dtype):
    y = correlate(x, w)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, 2.0 * x[0] * w[0])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("x", "w"), [(2, 3), ((3, 2), (3, 3)), ((2, 9), (3, 3))])
def test_a_kernel_larger_than_the_input_has_no_valid_output(x, w, method):
    x, w = np.ones(x), np.ones(w)
    with pytest.raises(ShapeError) as caught:
        correlate(x, w, "valid", method)
    assert str(caught.value) == (
        f"correlation of x {x.shape} with w {w.shape}: the kernel fits nowhere inside x, so mode 'valid' has "
        "no output; use mode 'same' or 'full', or a smaller kernel"
    )
    for mode in ("same", "full"):
        np.testing.assert_allclose(
            correlate(x, w, mode, method), scipy.signal.correlate(x, w, mode, "direct"), rtol=1e-12, atol=1e-12
        )


@pytest.mark.parametrize(
    ("x", "w", "shapes"),
    [
        (np.ones((3, 3)), np.ones(3), r"x has shape \(3, 3\) and w \(3,\): both must be 1-D, \(W,\) and \(R,\), or"),
        (np.ones((1, 3, 3)), np.ones((1, 3, 3)), r"x has shape \(1, 3, 3\) .* batches and channels are Conv2d's work"),
        (1.0, 2.0, r"x has shape \(\) and w \(\): both must be 1-D"),
        ([], [1.0], r"x has shape \(0,\) and w \(1,\): neither may be empty"),
        (np.ones((2, 2)), np.ones((0, 2)), r"x has shape \(2, 2\) and w \(0, 2\): neither may be empty"),
    ],
)
def test_shapes_that_do_not_fit_are_named(x, w, shapes):
    for function in (correlate, convolve):
        with pytest.raises(ShapeError, match=shapes):
            function(x, w)


def test_unknown_modes_and_methods_are_named():
    with pytest.raises(ConfigError, match=r"^mode must be 'valid', 'same' or 'full', got 'circular'$"):
        correlate([1.0], [1.0], mode="circular")
    with pytest.raises(ConfigError, match=r"^method must be one of 'direct', 'im2col', 'fft', 'winograd', got 'gemm'$"):
        correlate([1.0], [1.0], method="gemm")


@pytest.mark.parametrize(("x", "w", "name"), [([1j], [1.0], "x"), ([1.0], ["a"], "w"), ([1.0], [None], "w")])
def test_numbers_that_are_not_real_are_refused(x, w, name):
    with pytest.raises(DataError, match=rf"^{name} must hold real numbers, got dtype "):
        correlate(x, w)
