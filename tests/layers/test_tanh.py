from __future__ import annotations

from math import exp

import numpy as np
import pytest
from harness import assert_gradients, assert_values, random_shape

from pellucid.layers import Tanh


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, dx = np.empty_like(x), np.empty_like(x)
        for i in np.ndindex(*x.shape):
            up, down = exp(x[i]), exp(-x[i])
            y[i] = (up - down) / (up + down)
            dx[i] = dy[i] * (4 / (up + down) ** 2)  # 1/cosh², another form of 1 − tanh²
        assert_values(Tanh(), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(Tanh(), random_shape(rng), seed=seed)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_values_saturate(dtype: type) -> None:
    x = np.array([[-1e30, -1000, 1000, 1e30]], dtype)
    y, saved = Tanh().forward({}, x)
    dx, _ = Tanh().backward({}, saved, np.ones_like(x))
    np.testing.assert_array_equal(y, [[-1, -1, 1, 1]])
    np.testing.assert_array_equal(dx, np.zeros((1, 4)))
