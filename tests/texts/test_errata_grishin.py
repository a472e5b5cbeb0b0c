"""The slips G1 to G9 of ``docs/errata.md``: what Grishin's tutorial prints is wrong, what the library does is right.

Oracles are SciPy's correlate2d, finite differences, and NumPy's own maximum. Indices count from 1, as his.
"""

from __future__ import annotations

from itertools import product
from math import ceil

import numpy as np
import pytest
from scipy.optimize import approx_fprime
from scipy.signal import correlate2d

from pellucid import Network
from pellucid.layers import ELU, BatchNorm, Conv2d, Flatten, Linear, MaxPool2d

RNG = np.random.default_rng
ε = 0.1


def elu(z):
    return np.where(z >= 0, z, np.exp(np.minimum(z, 0)) - 1)


def slopes(J, x):
    """∂J/∂x by finite differences."""
    return approx_fprime(x.ravel(), lambda v: J(v.reshape(x.shape))).reshape(x.shape)


def assert_right(actual, oracle):
    np.testing.assert_allclose(actual, oracle, rtol=1e-5, atol=1e-5)


def assert_wrong(printed, oracle):
    assert abs(printed - oracle).max() > 0.01


def test_g1_v5_counts_from_the_map_before():
    """§5: v₅ = ceil([s₆ − 64 k₅]/8) is never positive; with k₅ − 1 the way back undoes the way there."""
    for u5, v5, k5 in product(range(1, 9), range(1, 9), range(1, 17)):
        s6 = 64 * (k5 - 1) + 8 * (v5 - 1) + u5
        assert ceil(s6 / 64) == k5
        assert ceil((s6 - 64 * k5) / 8) <= 0 < v5
        assert ceil((s6 - 64 * (k5 - 1)) / 8) == v5
        one = np.zeros((1, 16, 8, 8))
        one[0, k5 - 1, u5 - 1, v5 - 1] = 1
        assert Flatten(column_major=True).forward({}, one)[0].argmax() == s6 - 1


def test_g2_upper_limit_of_u3():
    """§14: Σ over u₃ ends at 15 + o₃; printed, in the line with γ⁽⁴⁾, is 15 + e₃, which loses rows where e₃ < o₃."""
    rng = RNG(0)
    t4, w3, aa3 = rng.normal(size=(16, 16)), rng.normal(size=(5, 5)), rng.normal(size=(20, 20))
    γ4 = np.zeros((24, 24))
    γ4[5 - 1 : 20, 5 - 1 : 20] = t4

    def summed(u3_end):
        total = 0.0
        for o3, e3 in product(range(1, 6), range(1, 6)):
            for u3, v3 in product(range(o3, u3_end(o3, e3) + 1), range(e3, 15 + e3 + 1)):
                total += γ4[u3 - o3 + 5 - 1, v3 - e3 + 5 - 1] * w3[o3 - 1, e3 - 1] * aa3[u3 - 1, v3 - 1]
        return total

    oracle = (t4 * correlate2d(aa3, w3, "valid")).sum()
    assert_wrong(summed(lambda o3, e3: 15 + e3), oracle)
    assert_right(summed(lambda o3, e3: 15 + o3), oracle)
    _, saved = Conv2d(1, 5, bias=False).forward({"weight": w3[None, None]}, aa3[None, None])
    dx, _ = Conv2d(1, 5, bias=False).backward({"weight": w3[None, None]}, saved, t4[None, None])
    assert_right((dx[0, 0] * aa3).sum(), oracle)


def positions(A):
    """1, 2, 3 or 4: where the maximum of each 2×2 square of maps (N, k, u, v) sits."""
    N, K, U, V = A.shape
    squares = A.reshape(N, K, U // 2, 2, V // 2, 2).transpose(0, 1, 2, 4, 3, 5)
    return squares.reshape(N, K, U // 2, V // 2, 4).argmax(axis=-1) + 1


def mask(P, compare):
    """P4 by his pseudo-code: P/1, P/2, P/3, P/4, with the entries that ``compare`` picks set to 0."""
    P4 = np.zeros((*P.shape[:2], 2 * P.shape[2], 2 * P.shape[3]))
    for number, (i, j) in enumerate(product((0, 1), (0, 1)), start=1):
        aux = P / number
        aux[compare(aux, 1)] = 0
        P4[:, :, i::2, j::2] = aux
    return P4


def is_maximum(A):
    largest = A.reshape(*A.shape[:2], 2, 2, 2, 2).max(axis=(3, 5))
    return np.equal(A, np.kron(largest, np.ones((1, 1, 2, 2))))


def test_g3_the_entries_that_are_not_1_are_set_to_0():
    """§16.2, §19: P4aux(P4aux == 1) = 0, or = 1, throws the maximum away and keeps what is not; §13 prints ``~=``."""
    A = RNG(1).normal(size=(2, 3, 4, 4))
    oracle = is_maximum(A).astype(float)
    assert_wrong(mask(positions(A), np.equal), oracle)
    assert_right(mask(positions(A), np.not_equal), oracle)
    _, saved = MaxPool2d(2).forward({}, A)
    assert_right(MaxPool2d(2).backward({}, saved, np.ones((2, 3, 2, 2)))[0], oracle)


def test_g4_the_positions_of_one_square_at_a_time():
    """§16.2: P5aux(:, :) = P5(:, :, :, :) has no room for N×8×8×16 numbers; P5(:, i, j, :) is meant."""
    P5, P5aux = RNG(2).integers(1, 5, size=(3, 8, 8, 16)), np.zeros((3, 16))
    with pytest.raises(ValueError, match="could not broadcast"):
        P5aux[:, :] = P5[:, :, :, :]
    P5aux[:, :] = P5[:, 2, 5, :]
    np.testing.assert_array_equal(P5aux, P5.transpose(0, 3, 1, 2)[:, :, 2, 5])


def test_g5_ttt2_is_made_of_tttt2():
    """§19, Layer 3 ⇒ 23: TTT2 = TTT2.*P2 leaves the zeros that TTT2 starts from."""
    A, T3 = RNG(3).normal(size=(2, 3, 4, 4)), RNG(4).normal(size=(2, 3, 2, 2))
    TTTT2, TTT2, P2 = np.kron(T3, np.ones((1, 1, 2, 2))), np.zeros((2, 3, 4, 4)), is_maximum(A)
    oracle = slopes(lambda A: (T3 * A.reshape(2, 3, 2, 2, 2, 2).max(axis=(3, 5))).sum(), A)
    assert_wrong(TTT2 * P2, oracle)
    assert_right(TTTT2 * P2, oracle)
    _, saved = MaxPool2d(2).forward({}, A)
    assert_right(MaxPool2d(2).backward({}, saved, T3)[0], oracle)


def test_g6_every_example_has_its_own_maxima():
    """§16.2, §19: P2 needs the index e that P4 has."""
    A, T3 = RNG(5).normal(size=(2, 1, 4, 4)), RNG(6).normal(size=(2, 1, 2, 2))
    TTT2, P2 = np.kron(T3, np.ones((1, 1, 2, 2))), is_maximum(A)
    oracle = slopes(lambda A: (T3 * A.reshape(2, 1, 2, 2, 2, 2).max(axis=(3, 5))).sum(), A)
    for e in range(2):
        assert_wrong(TTT2 * P2[e], oracle)
    assert_right(TTT2 * P2, oracle)
    _, saved = MaxPool2d(2).forward({}, A)
    assert_right(MaxPool2d(2).backward({}, saved, T3)[0], oracle)


def test_g7_epsilon_stands_under_the_root():
    """§18, Layer 71 to 72: √V + ε is not what T⁽⁷⁾ of §19 is the derivative of, nor what layers 22 and 42 do."""
    Z, H, N = RNG(7).normal(size=(4, 3)), RNG(8).normal(size=(4, 3)), 4
    μ, V = Z.mean(axis=0), Z.var(axis=0)
    T = np.zeros((N, 3))
    for e, e_ in product(range(N), range(N)):
        T[e] += H[e_] / N * ((N * (e == e_) - 1) / (V + ε) ** 0.5 - (Z[e_] - μ) * (Z[e] - μ) / (V + ε) ** 1.5)

    def slopes_with(root):
        return slopes(lambda Z: (H * (Z - Z.mean(axis=0)) / root(Z.var(axis=0))).sum(), Z)

    assert_wrong(slopes_with(lambda V: np.sqrt(V) + ε), T)
    assert_right(slopes_with(lambda V: np.sqrt(V + ε)), T)
    params = {"weight": np.ones(3), "bias": np.zeros(3)}
    y, saved = BatchNorm(eps=ε).forward(params, Z, state=BatchNorm().init_state((3,)), training=True)
    assert_right(y, (Z - μ) / np.sqrt(V + ε))
    assert_right(BatchNorm(eps=ε).backward(params, saved, H)[0], T)


def test_g8_elud_is_multiplied_element_by_element():
    """§10, §19: t = μ * ELUD(z) and H = M * ELUD(Y); his ``*`` is a matrix product, which has no shape here."""
    M, Y = RNG(9).normal(size=(3, 5)), RNG(10).normal(size=(3, 5))
    elud = np.where(Y >= 0, 1, np.exp(Y))
    with pytest.raises(ValueError, match="mismatch"):
        M @ elud
    oracle = slopes(lambda Y: (M * elu(Y)).sum(), Y)
    assert_right(M * elud, oracle)
    _, saved = ELU().forward({}, Y)
    assert_right(ELU().backward({}, saved, M)[0], oracle)


def test_g9_the_last_weights_meet_what_came_out_of_layer_73():
    """§20: ∂J/∂Θ⁽⁷⁾ = Σ T⁽⁸⁾ A⁽⁷⁾; the A⁽⁷⁾ of Part III, without normalization, is not what Θ⁽⁷⁾ multiplies."""
    Z71, T8, Θ7 = RNG(11).normal(size=(4, 3)), RNG(12).normal(size=(4, 2)), RNG(13).normal(size=(2, 3))
    A7, A73 = elu(Z71), elu((Z71 - Z71.mean(axis=0)) / np.sqrt(Z71.var(axis=0) + ε))
    oracle = slopes(lambda Θ: (T8 * (A73 @ Θ.T)).sum(), Θ7)
    assert_wrong(T8.T @ A7, oracle)
    assert_right(T8.T @ A73, oracle)

    net = Network(
        [BatchNorm(eps=ε), ELU(), Linear(2, bias=False, name="Θ7")], (3,), loss="squared_error", dtype="float64"
    )
    net.parameters["Θ7.weight"] = Θ7
    target = A73 @ Θ7.T - 4 * T8  # the error of a mean over four examples is then T8
    assert_right(net.loss_and_gradients(Z71, target)[1]["Θ7.weight"], oracle)
