from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import assert_gradients, assert_values, inside, random_window, receptive_fields

from pellucid.errors import ConfigError
from pellucid.layers import LPPool2d

NORMS = [1.0, 1.5, 2.0, 3.0, 4.7]


def naive(
    x: np.ndarray, dy_of: np.random.Generator, settings: dict[str, Any], p: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return y, dy and dx by loops over the printed formulas."""
    size = x.shape[2:]
    fields = receptive_fields(size, **settings)
    y = np.zeros((*x.shape[:2], len(fields), len(fields[0])))
    dy, dx = dy_of.normal(size=y.shape), np.zeros_like(x)
    for i, line in enumerate(fields):
        for j, pixels in enumerate(line):
            for u, v in inside(pixels, size):
                y[:, :, i, j] += abs(x[:, :, u, v]) ** p
            y[:, :, i, j] **= 1 / p
            for u, v in inside(pixels, size):
                share = np.sign(x[:, :, u, v]) * (abs(x[:, :, u, v]) / y[:, :, i, j]) ** (p - 1)
                dx[:, :, u, v] += dy[:, :, i, j] * share
    return y, dy, dx


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(120):
        settings, size = random_window(rng, pooling=True)
        p = float(rng.choice(NORMS))
        x = rng.normal(size=(2, 2, *size))
        y, dy, dx = naive(x, rng, settings, p)
        assert_values(LPPool2d(**settings, norm_type=p), x, y, dy, dx)


@pytest.mark.parametrize("p", NORMS)
def test_gradients(p: float) -> None:
    rng = np.random.default_rng(1)
    for seed in range(25):
        settings, size = random_window(rng, pooling=True)
        assert_gradients(LPPool2d(**settings, norm_type=p), (1, *size), seed=seed)


def test_l2_pooling_of_three_and_four_is_five() -> None:
    x = np.array([[3.0, 0.0], [0.0, -4.0]])[None, None]
    dx = np.array([[6.0, 0.0], [0.0, -8.0]])[None, None]
    assert_values(LPPool2d(2), x, np.array([[[[5.0]]]]), np.array([[[[10.0]]]]), dx)


@pytest.mark.parametrize("p", NORMS)
def test_a_window_of_zeros_passes_no_gradient(p: float) -> None:
    zeros = np.zeros((1, 1, 2, 4))
    x = zeros.copy()
    x[..., 0, 3] = 2.0
    dx = zeros.copy()
    dx[..., 0, 3] = 7.0
    assert_values(LPPool2d(2, norm_type=p), x, np.array([[[[0.0, 2.0]]]]), np.array([[[[5.0, 7.0]]]]), dx)


@pytest.mark.parametrize("scale", [1e-40, 1e-30, 1e30, 1e37])
@pytest.mark.parametrize("p", NORMS)
def test_float32_neither_overflows_nor_underflows(p: float, scale: float) -> None:
    x = np.array([[1.0, -2.0, 0.5], [3.0, 1.5, -2.5]])[None, None]
    tiny = (x * scale).astype(np.float32)
    exact = tiny.astype(np.float64)  # what is left of a subnormal
    y, saved = LPPool2d((2, 3), norm_type=p).forward({}, tiny)
    norm = (abs(exact) ** p).sum() ** (1 / p)
    np.testing.assert_allclose(y, norm, rtol=2e-5)
    dx, _ = LPPool2d((2, 3), norm_type=p).backward({}, saved, np.ones_like(y))
    assert dx.dtype == np.float32
    np.testing.assert_allclose(dx, np.sign(exact) * (abs(exact) / norm) ** (p - 1), rtol=1e-4)


@pytest.mark.parametrize("p", [0.5, 0, -2, float("inf"), float("nan")])
def test_norms_that_are_none_are_refused(p: float) -> None:
    with pytest.raises(ConfigError, match=rf"LPPool2d\(2, norm_type={p}\): norm_type must be a finite number of at le"):
        LPPool2d(2, norm_type=p)
