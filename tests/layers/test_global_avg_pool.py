from __future__ import annotations

import numpy as np
import pytest
from harness import assert_gradients, assert_values

from pellucid.errors import ShapeError
from pellucid.layers import GlobalAvgPool2d


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        samples, channels, height, width = shape = tuple(int(n) for n in rng.integers(1, 8, 4))
        x, dy = rng.normal(size=shape), rng.normal(size=(samples, channels))
        y, dx = np.zeros_like(dy), np.zeros_like(x)
        for t, c, u, v in np.ndindex(*shape):
            y[t, c] += x[t, c, u, v] / (height * width)
            dx[t, c, u, v] = dy[t, c] / (height * width)
        assert_values(GlobalAvgPool2d(), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        assert_gradients(GlobalAvgPool2d(), tuple(int(n) for n in rng.integers(1, 7, 3)), seed=seed)


def test_a_large_map_keeps_its_precision() -> None:
    x = np.full((1, 1, 300, 300), 0.1, np.float32)
    y, _ = GlobalAvgPool2d().forward({}, x)
    np.testing.assert_allclose(y, 0.1, rtol=2e-6)


def test_a_vector_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"GlobalAvgPool2d\(\) takes feature maps .* its input has shape \(10,\)"):
        GlobalAvgPool2d().output_shape((10,))
