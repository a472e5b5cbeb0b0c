from __future__ import annotations

from math import exp

import numpy as np
import pytest
from harness import assert_gradients, assert_values, random_shape
from scipy.special import expit

from pellucid.layers import Sigmoid


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = 3 * rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, dx = np.empty_like(x), np.empty_like(x)
        for i in np.ndindex(*x.shape):
            y[i] = 1 / (1 + exp(-x[i]))
            dx[i] = dy[i] * y[i] * (1 - y[i])
        assert_values(Sigmoid(), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(Sigmoid(), random_shape(rng), seed=seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_values_neither_overflow_nor_lose_their_derivative(dtype: type) -> None:
    x = np.array([[-1e30, -1000, -50, 0, 50, 1000, 1e30]], dtype)
    y, saved = Sigmoid().forward({}, x)
    np.testing.assert_allclose(y, expit(x), rtol=1e-6 if dtype is np.float32 else 1e-15)
    dx, _ = Sigmoid().backward({}, saved, np.ones_like(x))
    tail = exp(-50)  # y(1 − y) is 0 at 50 if 1 − y is taken literally
    np.testing.assert_allclose(dx, [[0, 0, tail, 0.25, tail, 0, 0]], rtol=1e-6)
