from __future__ import annotations

from math import exp

import numpy as np
import pytest
from harness import assert_gradients, assert_values, random_shape
from scipy.special import softmax

from pellucid.layers import Softmax


def nguyen(scores: np.ndarray, errors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return O (5) and Σ_k dO_k ∂O_k/∂S_i with the two cases of (22), for one vector."""
    total = sum(exp(s) for s in scores)
    o = np.array([exp(s) / total for s in scores])
    back = np.zeros_like(o)
    for i in range(len(o)):
        for k in range(len(o)):
            back[i] += errors[k] * ((1 - o[k]) * o[k] if i == k else -o[k] * o[i])
    return o, back


def test_values_follow_nguyens_two_cases() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = 2 * rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, dx = np.empty_like(x), np.empty_like(x)
        for t, *pixel in np.ndindex(x.shape[0], *x.shape[2:]):
            vector = (t, slice(None), *pixel)
            y[vector], dx[vector] = nguyen(x[vector], dy[vector])
        if x.shape[1] == 1:
            dx = np.zeros_like(x)  # the loop leaves rounding of 1 − 1 behind
        assert_values(Softmax(), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(Softmax(), random_shape(rng), seed=seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_scores_neither_overflow_nor_warn(dtype: type) -> None:
    x = np.array([[1e4, 1e4 - 1, -1e4], [-1e30, -1e30, -1e30], [1e30, 0, -1e30]], dtype)
    y, saved = Softmax().forward({}, x)
    np.testing.assert_allclose(y, softmax(x.astype(float), axis=1), rtol=1e-6)
    dx, _ = Softmax().backward({}, saved, np.full_like(x, 3.0))
    np.testing.assert_allclose(dx, np.zeros((3, 3)), atol=1e-6)  # all probabilities together cannot change


def test_a_vector_of_ten_equal_scores() -> None:
    """Nguyen's output layer before training: 1/10 each; (22) is then 0.09 on the diagonal and −0.01 beside it."""
    dy, dx = np.zeros((1, 10)), np.full((1, 10), -0.01)
    dy[0, 3], dx[0, 3] = 1, 0.09
    assert_values(Softmax(), np.full((1, 10), 5.0), np.full((1, 10), 0.1), dy, dx)
