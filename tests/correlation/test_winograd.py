from fractions import Fraction
from itertools import product
from math import prod

import numpy as np
import pytest
import scipy.signal

from pellucid.correlation.winograd import TRANSFORMS, correlate_winograd
from pellucid.errors import ShapeError

POINTS = {2: [0, 1, -1], 4: [0, 1, -1, 2, -2]}
#: ‖Aᵀ‖·‖G‖·‖Bᵀ‖, largest row sums of absolute values: by how much a rounding error may grow along one axis
GROWTH = {2: 3 * 1.5 * 2, 4: 19 * 1 * 10}


def exact(matrix):
    """Return the fractions that the matrix stands for; their denominators divide 24."""
    return [[Fraction(float(v)).limit_denominator(24) for v in row] for row in matrix]


@pytest.mark.parametrize("tile", [2, 4])
def test_f_m_3_is_exact_in_fractions_for_every_pair_of_unit_vectors(tile):
    # Both sides are linear in d and in g, so the unit vectors prove the identity for all numbers.
    A, B, G = map(exact, TRANSFORMS[tile])
    n = tile + 2
    for i, r in product(range(n), range(3)):
        products = [G[k][r] * B[i][k] for k in range(n)]
        y = [sum(A[k][out] * products[k] for k in range(n)) for out in range(tile)]
        assert y == [int(i == out + r) for out in range(tile)], f"d = unit vector {i}, g = unit vector {r}"


@pytest.mark.parametrize("tile", [2, 4])
def test_matrices_follow_from_the_points_of_the_derivation(tile):
    A, B, G = map(exact, TRANSFORMS[tile])
    points = POINTS[tile]
    for k, p in enumerate(points):
        others = [q for q in points if q != p]
        assert A[k] == [p**i for i in range(tile)]
        # Lagrange's numerator and denominator may trade a sign between them.
        numerator = [*np.poly(others)[::-1].round().astype(int).tolist(), 0]
        column = [B[i][k] for i in range(tile + 2)]
        sign = next(c / m for c, m in zip(column, numerator, strict=True) if m)
        assert abs(sign) == 1
        assert column == [sign * v for v in numerator]
        assert G[k] == [sign * Fraction(p**i, prod(p - q for q in others)) for i in range(3)]
    infinity = np.poly(points)[::-1].round().astype(int).tolist()
    sign = A[-1][-1]
    assert abs(sign) == 1
    assert [B[i][-1] for i in range(tile + 2)] == [sign * v for v in infinity]
    assert A[-1][:-1] == [0] * (tile - 1)
    assert G[-1] == [0, 0, 1]


@pytest.mark.parametrize("tile", [2, 4])
def test_rounding_may_grow_by_as_much_as_the_module_says(tile):
    norms = [
        abs(matrix).sum(axis=1).max() for matrix in (TRANSFORMS[tile].A.T, TRANSFORMS[tile].G, TRANSFORMS[tile].B.T)
    ]
    assert prod(norms) == GROWTH[tile] == {2: 9, 4: 190}[tile]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("length", [*range(3, 20), 66, 101])
def test_one_dimension_with_every_tail(length, tile, dtype):
    x, w = (np.random.default_rng(length).normal(size=n).astype(dtype) for n in (length, 3))
    y = correlate_winograd(x, w, tile)
    assert y.dtype == dtype
    bound = 3 * np.finfo(dtype).eps * GROWTH[tile] * abs(x).max() * abs(w).max()
    expected = scipy.signal.correlate(x.astype(float), w.astype(float), "valid", "direct")
    np.testing.assert_allclose(y, expected, rtol=0, atol=bound)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("tile", [2, 4])
@pytest.mark.parametrize("size", [*product(range(3, 9), range(3, 9)), (30, 19), (64, 65)])
def test_two_dimensions_with_every_pair_of_tails(size, tile, dtype):
    # The growth is squared in 2-D: 81 for F(2×2, 3×3), but 36,100 for F(4×4, 3×3), whose bound is loose therefore.
    x, w = (np.random.default_rng(sum(size)).normal(size=n).astype(dtype) for n in (size, (3, 3)))
    y = correlate_winograd(x, w, tile)
    assert y.dtype == dtype
    bound = 3 * np.finfo(dtype).eps * GROWTH[tile] ** 2 * abs(x).max() * abs(w).max()
    expected = scipy.signal.correlate2d(x.astype(float), w.astype(float), "valid")
    np.testing.assert_allclose(y, expected, rtol=0, atol=bound)
    # What rounding does on the whole: 30 times the dtype's last digit, where a wrong entry would show as 1.
    assert np.sqrt(np.square(y - expected).mean()) < 30 * np.finfo(dtype).eps * np.linalg.norm(w)


def test_small_whole_numbers_come_out_exact_with_tiles_of_two():
    x = np.arange(35.0).reshape(5, 7) % 11
    w = np.array([[1.0, -2, 3], [0, 5, -1], [2, 2, -4]])
    np.testing.assert_array_equal(correlate_winograd(x, w, 2), scipy.signal.correlate2d(x, w, "valid"))


@pytest.mark.parametrize("kernel", [(2,), (4,), (3, 1), (5, 5), (1, 3)])
def test_other_kernels_are_refused(kernel):
    with pytest.raises(ShapeError) as caught:
        correlate_winograd(np.ones((9,) * len(kernel)), np.ones(kernel))
    wanted = "(3,)" if len(kernel) == 1 else "(3, 3)"
    assert str(caught.value) == (
        f"method 'winograd' needs a kernel of shape {wanted}, got {kernel}; use 'direct', 'im2col' or 'fft'"
    )
