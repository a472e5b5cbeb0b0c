from __future__ import annotations

import numpy as np
from harness import assert_gradients, assert_values, random_shape

from pellucid.layers import ReLU


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        x = rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, dx = np.zeros_like(x), np.zeros_like(x)
        for i in np.ndindex(*x.shape):
            if x[i] > 0:
                y[i], dx[i] = x[i], dy[i]
        assert_values(ReLU(), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(ReLU(), random_shape(rng), seed=seed)


def test_the_derivative_at_zero_is_zero() -> None:
    """Nguyen (44); Binding, footnote 4."""
    x = np.array([[-1.0, -0.0, 0.0, 1e-30]])
    assert_values(ReLU(), x, np.array([[0.0, 0.0, 0.0, 1e-30]]), np.full((1, 4), 5.0), np.array([[0.0, 0.0, 0.0, 5.0]]))


def test_nan_stays_visible() -> None:
    y, _ = ReLU().forward({}, np.array([[np.nan, 1.0]]))
    np.testing.assert_array_equal(y, [[np.nan, 1.0]])
