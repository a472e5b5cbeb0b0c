from __future__ import annotations

from typing import Any

import numpy as np
from harness import assert_gradients, assert_values, inside, random_window, receptive_fields

from pellucid.layers import MaxPool2d


def naive(x: np.ndarray, dy: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """Return dx: each dy goes to the first of the largest real pixels of its window."""
    dx = np.zeros_like(x)
    size = x.shape[2:]
    for i, line in enumerate(receptive_fields(size, **settings)):
        for j, pixels in enumerate(line):
            for t, c in np.ndindex(*x.shape[:2]):
                u, v = max(inside(pixels, size), key=lambda pixel: x[t, c, *pixel])
                dx[t, c, u, v] += dy[t, c, i, j]
    return dx


def naive_output(x: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    size = x.shape[2:]
    fields = receptive_fields(size, **settings)
    y = [[[[max(c[u, v] for u, v in inside(p, size)) for p in line] for line in fields] for c in t] for t in x]
    return np.array(y)


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        settings, size = random_window(rng, pooling=True)
        x = rng.permutation(2 * 2 * size[0] * size[1]).reshape(2, 2, *size) / 16 - 3.0
        y = naive_output(x, settings)
        dy = rng.normal(size=y.shape)
        assert_values(MaxPool2d(**settings), x, y, dy, naive(x, dy, settings))


def test_of_equal_pixels_the_first_wins() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        settings, size = random_window(rng, pooling=True)
        x = rng.integers(-1, 2, (2, 2, *size)).astype(float)
        y = naive_output(x, settings)
        dy = rng.normal(size=y.shape)
        assert_values(MaxPool2d(**settings), x, y, dy, naive(x, dy, settings))


def test_padding_never_wins_over_negative_pixels() -> None:
    rng = np.random.default_rng(2)
    for padding in (1, (0, 1), "same", "full"):
        layer = MaxPool2d(3, stride=2, padding=padding, ceil_mode=True)
        x = -1 - rng.random((2, 3, 7, 6))
        y, saved = layer.forward({}, x)
        assert (y <= -1).all()
        dy = rng.random(y.shape)
        dx, _ = layer.backward({}, saved, dy)
        np.testing.assert_allclose(dx.sum(), dy.sum(), rtol=1e-13)  # nothing fell on the padding


def test_gradients() -> None:
    rng = np.random.default_rng(3)
    for seed in range(100):
        settings, size = random_window(rng, pooling=True)
        assert_gradients(MaxPool2d(**settings), (1, *size), seed=seed)


def test_grishins_two_by_two_squares() -> None:
    """§2: position p of the maximum counts 1, 2, 3, 4 row by row; §13 sends the error there."""
    x = np.array([[1.0, 5.0, 7.0, 2.0], [3.0, 4.0, 6.0, 8.0]])[None, None]
    dx = np.array([[0.0, 10.0, 0.0, 0.0], [0.0, 0.0, 0.0, 20.0]])[None, None]
    assert_values(MaxPool2d(2), x, np.array([[[[5.0, 8.0]]]]), np.array([[[[10.0, 20.0]]]]), dx)


def test_a_pixel_that_wins_twice_gets_both_errors() -> None:
    x = np.array([[[[1.0, 9.0, 2.0]]]])
    assert_values(
        MaxPool2d((1, 2), stride=1),
        x,
        np.array([[[[9.0, 9.0]]]]),
        np.array([[[[3.0, 4.0]]]]),
        np.array([[[[0.0, 7.0, 0.0]]]]),
    )
