from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_gradients, assert_values, inside, random_window, receptive_fields
from scipy.ndimage import uniform_filter

from pellucid.layers import AvgPool2d


def random_settings(rng: np.random.Generator) -> tuple[dict[str, Any], bool, tuple[int, int]]:
    while True:
        settings, size = random_window(rng, pooling=True)
        if settings.pop("dilation") == (1, 1):
            return settings, bool(rng.integers(2)), size


def naive(
    x: np.ndarray, dy_of: np.random.Generator, settings: dict[str, Any], include_pad: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y, dy and dx by loops; of the pixels outside the map, only the padding counts, not what hangs over it."""
    size = x.shape[2:]
    rows, columns = settings["padding"] if include_pad else (0, 0)
    fields = receptive_fields(size, **settings)
    y = np.zeros((*x.shape[:2], len(fields), len(fields[0])))
    dy, dx = dy_of.normal(size=y.shape), np.zeros_like(x)
    for i, line in enumerate(fields):
        for j, pixels in enumerate(line):
            count = sum(-rows <= u < size[0] + rows and -columns <= v < size[1] + columns for u, v in pixels)
            for u, v in inside(pixels, size):
                y[:, :, i, j] += x[:, :, u, v] / count
                dx[:, :, u, v] += dy[:, :, i, j] / count
    return y, dy, dx


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(150):
        settings, include_pad, size = random_settings(rng)
        x = rng.normal(size=(2, 3, *size))
        y, dy, dx = naive(x, rng, settings, include_pad)
        assert_values(AvgPool2d(**settings, count_include_pad=include_pad), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        settings, include_pad, size = random_settings(rng)
        assert_gradients(AvgPool2d(**settings, count_include_pad=include_pad), (2, *size), seed=seed)


@pytest.mark.parametrize("size", [3, 5])
def test_zero_padding_is_scipys_uniform_filter(size: int) -> None:
    x = np.random.default_rng(2).normal(size=(1, 1, 9, 8))
    y, _ = AvgPool2d(size, stride=1, padding=size // 2).forward({}, x)
    np.testing.assert_allclose(y[0, 0], uniform_filter(x[0, 0], size, mode="constant"), rtol=0, atol=1e-14)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [[3.0]]),  # (1 + 2 + 4 + 5)/4
        ({"ceil_mode": True}, [[3.0, 4.5], [7.5, 9.0]]),  # overhanging windows divide by what they hold
        ({"padding": 1}, [[0.25, 1.25], [2.75, 7.0]]),
        ({"padding": 1, "count_include_pad": False}, [[1.0, 2.5], [5.5, 7.0]]),
        ({"padding": "same"}, [[3.0, 2.25], [3.75, 2.25]]),
        ({"padding": "same", "count_include_pad": False}, [[3.0, 4.5], [7.5, 9.0]]),
    ],
)
def test_the_divisor_at_the_edges_by_hand(settings: dict[str, Any], expected: list[list[float]]) -> None:
    x = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]])[None, None]
    y, _ = AvgPool2d(2, **settings).forward({}, x)
    np.testing.assert_allclose(y[0, 0], expected, rtol=1e-15)


def test_the_average_of_ones_is_one_where_epelbaums_sum_is_r_squared() -> None:
    x = np.ones((1, 1, 6, 6))
    y, saved = AvgPool2d(3).forward({}, x)
    np.testing.assert_array_equal(y, np.ones((1, 1, 2, 2)))
    dx, _ = AvgPool2d(3).backward({}, saved, np.ones_like(y))
    np.testing.assert_allclose(dx, np.full_like(x, 1 / 9), rtol=1e-15)
