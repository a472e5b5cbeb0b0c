from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_gradients, assert_values

from pellucid.errors import ConfigError, ShapeError
from pellucid.layers import LocalResponseNorm


def random_settings(rng: np.random.Generator) -> tuple[dict[str, Any], tuple[int, int, int]]:
    settings = {
        "size": int(rng.integers(1, 8)),
        "alpha": float(rng.uniform(0, 3)),
        "beta": float(rng.uniform(-1, 2)),
        "k": float(rng.uniform(0.5, 3)),
    }
    channels, height, width = rng.integers(1, [7, 4, 4])
    return settings, (int(channels), int(height), int(width))


def neighbours(c: int, channels: int, size: int) -> range:
    return range(max(0, c - size // 2), min(channels, c + (size - 1) // 2 + 1))


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        settings, (channels, height, width) = random_settings(rng)
        n, alpha, beta, k = settings.values()
        x = rng.normal(size=(2, channels, height, width))
        dy = rng.normal(size=x.shape)
        y, s, dx = np.empty_like(x), np.full_like(x, k), np.zeros_like(x)
        for c in range(channels):
            for i in neighbours(c, channels, n):
                s[:, c] += alpha / n * x[:, i] ** 2
            y[:, c] = x[:, c] / s[:, c] ** beta
        for i in range(channels):  # ∂y_i/∂x_c, term by term
            dx[:, i] += dy[:, i] / s[:, i] ** beta
            for c in neighbours(i, channels, n):
                dx[:, c] += dy[:, i] * x[:, i] * -beta * s[:, i] ** (-beta - 1) * 2 * alpha / n * x[:, c]
        assert_values(LocalResponseNorm(**settings), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        settings, shape = random_settings(rng)
        assert_gradients(LocalResponseNorm(**settings), shape, seed=seed)


def test_an_even_neighbourhood_reaches_further_down_than_up() -> None:
    x = np.zeros((1, 5, 1, 1))
    x[0, 2] = 2.0
    x[0, [0, 1, 3, 4]] = 1.0
    y, _ = LocalResponseNorm(2, alpha=2.0, beta=1.0, k=1.0).forward({}, x)
    # W(c) = {c − 1, c}: s = 1 + 1, 1 + 1 + 1, 1 + 1 + 4, 1 + 4 + 1, 1 + 1 + 1
    np.testing.assert_allclose(y.ravel(), [1 / 2, 1 / 3, 2 / 6, 1 / 6, 1 / 3], rtol=1e-15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 0}, "size must be a whole number of at least 1; got 0"),
        ({"size": 2.5}, "size must be a whole number of at least 1; got 2.5"),
        ({"alpha": -1.0}, "alpha must be at least 0; got -1.0"),
        ({"beta": float("inf")}, "beta must be finite; got inf"),
        ({"k": 0.0}, "k must be greater than 0; got 0.0"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=rf"LocalResponseNorm\(.*\): {message}"):
        LocalResponseNorm(**{"size": 5, **settings})


def test_a_vector_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"LocalResponseNorm\(5\) takes feature maps .* has shape \(10,\)"):
        LocalResponseNorm(5).output_shape((10,))
