from __future__ import annotations

import numpy as np
import pytest
from harness import assert_gradients, assert_values

from pellucid import Network
from pellucid.errors import ConfigError, EngineError, ShapeError
from pellucid.layers import Flatten, Linear, Pad2d


def random_sides(rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int]]:
    top, bottom, left, right = (int(n) for n in rng.integers(0, 4, 4))
    return (top, bottom), (left, right)


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        samples, channels, height, width = (int(n) for n in rng.integers(1, 6, 4))
        (top, bottom), (left, right) = random_sides(rng)
        value = float(rng.integers(-2, 3))
        x = rng.normal(size=(samples, channels, height, width))
        y = np.full((samples, channels, top + height + bottom, left + width + right), value)
        dy, dx = rng.normal(size=y.shape), np.zeros_like(x)
        for t, c, u, v in np.ndindex(*x.shape):
            y[t, c, top + u, left + v] = x[t, c, u, v]
            dx[t, c, u, v] = dy[t, c, top + u, left + v]
        assert_values(Pad2d(((top, bottom), (left, right)), value), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(50):
        channels, height, width = (int(n) for n in rng.integers(1, 6, 3))
        assert_gradients(Pad2d(random_sides(rng)), (channels, height, width), seed=seed)


def test_one_number_and_a_pair() -> None:
    assert Pad2d(2).output_shape((3, 4, 5)) == (3, 8, 9)
    assert Pad2d((1, 2)).output_shape((3, 4, 5)) == (3, 6, 9)


def test_what_it_refuses() -> None:
    with pytest.raises(ConfigError, match=r"Pad2d\(-1\): padding must be a whole number of at least 0"):
        Pad2d(-1)
    with pytest.raises(ConfigError, match=r"Pad2d\(\(\(1, 2\), 3\)\): padding must be \(\(top, bottom\), "):
        Pad2d(((1, 2), 3))  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"Pad2d\(1, value=inf\): value must be finite; got inf"):
        Pad2d(1, float("inf"))
    with pytest.raises(ShapeError, match=r"Pad2d\(1\) takes feature maps .* its input has shape \(3,\)"):
        Pad2d(1).output_shape((3,))
    with pytest.raises(EngineError, match=r"Pad2d\(1, value=0.5\): the native step pads with zeros only"):
        Network([Pad2d(1, 0.5), Flatten(), Linear(2)], (1, 2, 2), engine="native")
