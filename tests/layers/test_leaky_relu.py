from __future__ import annotations

import numpy as np
import pytest
from harness import assert_gradients, assert_values, random_shape

from pellucid.errors import ConfigError
from pellucid.layers import LeakyReLU


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        slope = float(rng.normal())
        x = rng.normal(size=(3, *random_shape(rng)))
        dy = rng.normal(size=x.shape)
        y, dx = np.empty_like(x), np.empty_like(x)
        for i in np.ndindex(*x.shape):
            y[i], dx[i] = (x[i], dy[i]) if x[i] > 0 else (slope * x[i], slope * dy[i])
        assert_values(LeakyReLU(slope), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(LeakyReLU(float(rng.uniform(0, 2))), random_shape(rng), seed=seed)


def test_one_hundredth_passes_below_zero_and_at_it() -> None:
    x = np.array([[-3.0, 0.0, 2.0]])
    assert_values(LeakyReLU(), x, np.array([[-0.03, 0.0, 2.0]]), np.full((1, 3), 100.0), np.array([[1.0, 1.0, 100.0]]))


@pytest.mark.parametrize("slope", [float("nan"), float("inf")])
def test_a_slope_that_is_not_finite_is_refused(slope: float) -> None:
    with pytest.raises(ConfigError, match=rf"LeakyReLU\(negative_slope={slope}\): negative_slope must be finite; got"):
        LeakyReLU(slope)
