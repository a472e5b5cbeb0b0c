from __future__ import annotations

from math import exp

import numpy as np
import pytest
from harness import assert_gradients, assert_values, random_shape
from scipy.special import expm1

from pellucid.errors import ConfigError
from pellucid.layers import ELU


def test_values_follow_grishins_elu_and_elud() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        alpha = float(rng.uniform(0, 3))
        x = 2 * rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, dx = np.empty_like(x), np.empty_like(x)
        for i in np.ndindex(*x.shape):
            y[i] = x[i] if x[i] >= 0 else alpha * (exp(x[i]) - 1)
            dx[i] = dy[i] * (1 if x[i] >= 0 else alpha * exp(x[i]))
        assert_values(ELU(alpha), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(ELU(float(rng.choice([0.0, 0.5, 1.0, 2.0]))), random_shape(rng), seed=seed)


def test_the_derivative_at_zero_is_one_for_every_alpha() -> None:
    for alpha in (0.0, 1.0, 2.5):
        assert_values(ELU(alpha), np.zeros((1, 1)), np.zeros((1, 1)), np.full((1, 1), 3.0), np.full((1, 1), 3.0))


def test_small_values_keep_their_digits() -> None:
    x = -np.logspace(-300, 0, 61)[None]
    y, _ = ELU().forward({}, x)
    np.testing.assert_allclose(y, expm1(x), rtol=1e-15)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_values_neither_overflow_nor_warn(dtype: type) -> None:
    x = np.array([[-1e30, -1000, 1000, 1e30]], dtype)
    y, saved = ELU(2.0).forward({}, x)
    dx, _ = ELU(2.0).backward({}, saved, np.ones_like(x))
    np.testing.assert_array_equal(y, np.array([[-2, -2, 1000, 1e30]], dtype))
    np.testing.assert_array_equal(dx, [[0, 0, 1, 1]])


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
def test_a_bad_alpha_is_refused(alpha: float) -> None:
    with pytest.raises(ConfigError, match=rf"ELU\(alpha={alpha}\): alpha must be a finite number of at least 0; got"):
        ELU(alpha)
