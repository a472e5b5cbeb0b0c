"""The slips N1 to N7 of ``docs/errata.md``: what Nguyen's article prints is wrong, what the library does is right.

Oracles are SciPy's correlate2d and finite differences.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.signal import correlate2d

from pellucid.layers import Conv2d, Flatten, MaxPool2d, ReLU

RNG = np.random.default_rng


def slopes(L, x):
    """∂L/∂x by finite differences."""
    return approx_fprime(x.ravel(), lambda v: L(v.reshape(x.shape))).reshape(x.shape)


def assert_right(actual, oracle):
    np.testing.assert_allclose(actual, oracle, rtol=1e-5, atol=1e-5)


def assert_wrong(printed, oracle):
    assert abs(printed - oracle).max() > 0.01


@pytest.fixture
def case():
    """An image 8×7, two kernels 3×3, and dLS1 = ∂L/∂S¹ for L = Σ dLS1·S¹."""
    rng = RNG(0)
    return rng.normal(size=(8, 7)), rng.normal(size=(2, 3, 3)), rng.normal(size=(2, 6, 5))


def gradients(I, k1, dLS1):  # noqa: E741
    layer, params = Conv2d(2, 3), {"weight": k1[:, None], "bias": np.zeros(2)}
    _, saved = layer.forward(params, I[None, None])
    return layer.backward(params, saved, dLS1[None])[1]


def test_n1_the_image_has_two_indices(case):
    """(64), (65): I_{n,g+i,h+j} of a grey image; (1) has I_{g+i,h+j}."""
    I, k1, dLS1 = case  # noqa: E741
    with pytest.raises(IndexError):
        I[0, 1, 2]
    oracle = slopes(lambda k: sum((dLS1[n] * correlate2d(I, k[n], "valid")).sum() for n in range(2)), k1)
    dLk1 = np.zeros((2, 3, 3))
    for n, g, h, i, j in np.ndindex(2, 3, 3, 6, 5):
        dLk1[n, g, h] += dLS1[n, i, j] * I[g + i, h + j]
    assert_right(dLk1, oracle)
    assert_right(gradients(I, k1, dLS1)["weight"][:, 0], oracle)


def test_n2_the_derivative_in_c1_asks_s1():
    """(59): the second case reads S² ≤ 0, which has other sizes than (n, i, j) runs over; S¹ is meant."""
    S1, S2, dLC1 = RNG(1).normal(size=(6, 24, 24)), RNG(2).normal(size=(12, 8, 8)), RNG(3).normal(size=(6, 24, 24))
    with pytest.raises(IndexError):
        S2[5, 23, 23]
    oracle = slopes(lambda S: (dLC1[0] * np.maximum(S, 0)).sum(), S1[0])
    assert_right(dLC1[0] * np.where(S1[0] > 0, 1, 0), oracle)
    _, saved = ReLU().forward({}, S1[None])
    assert_right(ReLU().backward({}, saved, dLC1[None])[0][0, 0], oracle)


def test_n3_where_a_maximum_is_kept():
    """(42), (57): x = u_max/2 is no index for odd u_max; floor(u_max/2) is, as in (41)."""
    C2, dLP2 = RNG(4).normal(size=(1, 4, 4)), RNG(5).normal(size=(1, 2, 2))
    C2[0, 3, 1] = 9.0
    I2 = np.zeros((1, 2, 2, 2), dtype=int)
    u_max, v_max = np.unravel_index(C2[0].argmax(), (4, 4))
    with pytest.raises(IndexError):
        I2[0, u_max / 2, v_max / 2] = u_max, v_max
    oracle = slopes(lambda C: (dLP2 * C.reshape(1, 2, 2, 2, 2).max(axis=(2, 4))).sum(), C2)
    assert_right(dLP2[0, u_max // 2, v_max // 2], oracle[0, u_max, v_max])
    _, saved = MaxPool2d(2).forward({}, C2[None])
    assert_right(MaxPool2d(2).backward({}, saved, dLP2[None])[0][0], oracle)


def test_n4_an_array_of_positions_has_one_axis_more():
    """(42), (57): I2 holds a pair for every pooled pixel, so its shape is P².shape + (2,), not P².shape."""
    P2_shape = (12, 4, 4)
    with pytest.raises(ValueError, match="sequence"):
        np.zeros(P2_shape)[0, 1, 1] = np.array([2, 3])
    C2 = np.zeros((12, 8, 8))
    C2[0, 2, 3] = 0.32
    I2 = np.zeros((*P2_shape, 2), dtype=int)
    I2[0, 1, 1] = 2, 3
    _, saved = MaxPool2d(2).forward({}, C2[None])
    dLP2 = np.zeros((1, *P2_shape))
    dLP2[0, 0, 1, 1] = 1
    dLC2, _ = MaxPool2d(2).backward({}, saved, dLP2)
    assert np.argwhere(dLC2[0, 0]).tolist() == [I2[0, 1, 1].tolist()]


def test_n5_one_of_several_maxima():
    """(41), (53): "if C is the maximum" sends δ to each of two equal maxima; (43) sends it once.

    If the whole block rises by h, P rises by h: the slopes of a block must sum to δ.
    """
    C, δ = np.array([[0.7, 0.1], [0.2, 0.7]]), 5.0
    oracle = slopes(lambda h: δ * (C + h[0]).max(), np.zeros(1))[0]
    printed = np.where(C.max() == C, δ, 0)
    assert_wrong(printed.sum(), oracle)
    _, saved = MaxPool2d(2).forward({}, C[None, None])
    ours = MaxPool2d(2).backward({}, saved, np.array([[[[δ]]]]))[0][0, 0]
    assert_right(ours.sum(), oracle)
    assert ours.tolist() == [[δ, 0], [0, 0]]  # the first, row by row


def test_n6_sums_over_u_and_v(case):
    """(31), (48): Σ_v Σ_v and Σ_v Σ_m leave u open; every (u, v) adds its part, as in (47) and (50)."""
    I, k1, dLS1 = case  # noqa: E741
    oracle = slopes(
        lambda b: sum((dLS1[n] * (correlate2d(I, k1[n], "valid") + b[n])).sum() for n in range(2)), np.zeros(2)
    )
    for u in range(6):
        assert_wrong(dLS1[:, u].sum(axis=1), oracle)
    assert_right(dLS1.sum(axis=(1, 2)), oracle)
    assert_right(gradients(I, k1, dLS1)["bias"], oracle)


def test_n7_the_elements_of_f_that_a_map_reaches():
    """§4.2: "16 f_k elements (k = 16m, 16m + 15)" are k = 16m, …, 16m + 15."""
    m = 3
    P2 = np.zeros((1, 12, 4, 4))
    P2[0, m] = 1
    reached = np.flatnonzero(Flatten().forward({}, P2)[0])
    assert reached.tolist() == list(range(16 * m, 16 * m + 16)) != [16 * m, 16 * m + 15]
