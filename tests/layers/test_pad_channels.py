from __future__ import annotations

import numpy as np
import pytest
from harness import assert_gradients, assert_values

from pellucid.errors import ConfigError, ShapeError
from pellucid.layers import PadChannels


def test_values_follow_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        samples, channels, height, width = (int(n) for n in rng.integers(1, 6, 4))
        maps = channels + int(rng.integers(4))
        x, dy = rng.normal(size=(samples, channels, height, width)), rng.normal(size=(samples, maps, height, width))
        y, dx = np.zeros_like(dy), np.zeros_like(x)
        for t, c, u, v in np.ndindex(*x.shape):
            y[t, c, u, v] = x[t, c, u, v]
            dx[t, c, u, v] = dy[t, c, u, v]
        assert_values(PadChannels(maps), x, y, dy, dx)


def test_gradients() -> None:
    rng = np.random.default_rng(1)
    for seed in range(100):
        channels, height, width = (int(n) for n in rng.integers(1, 6, 3))
        assert_gradients(PadChannels(channels + int(rng.integers(4))), (channels, height, width), seed=seed)


@pytest.mark.parametrize("maps", [0, -1, 2.0, True])
def test_settings_out_of_range(maps: object) -> None:
    with pytest.raises(ConfigError, match=rf"PadChannels\({maps}\): out_channels must be a whole .* got {maps}"):
        PadChannels(maps)  # pyright: ignore[reportArgumentType]


def test_inputs_that_do_not_fit() -> None:
    with pytest.raises(ShapeError, match=r"PadChannels\(4\): its input has 5 maps already"):
        PadChannels(4).output_shape((5, 2, 2))
    with pytest.raises(ShapeError, match=r"PadChannels\(4\) takes feature maps .* its input has shape \(3,\)"):
        PadChannels(4).output_shape((3,))
