from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import ConfigError, EngineError, ShapeError
from pellucid.layers import AvgPool2d, Flatten, LPPool2d, MaxPool2d

POOLS = [AvgPool2d, LPPool2d, MaxPool2d]
each_pool = pytest.mark.parametrize("pool", POOLS, ids=lambda pool: pool.__name__)


@each_pool
def test_stride_is_the_kernel_size_unless_given(pool: Any) -> None:
    assert pool(2).output_shape((6, 24, 24)) == (6, 12, 12)
    assert pool((2, 3)).output_shape((1, 5, 10)) == (1, 2, 3)
    assert pool(3, 2, 1).output_shape((64, 112, 112)) == (64, 56, 56)


@each_pool
def test_modes_of_padding(pool: Any) -> None:
    assert pool(3, 2, "valid").output_shape((1, 8, 9)) == (1, 3, 4)
    assert pool(3, 2, "same").output_shape((1, 8, 9)) == (1, 4, 5)
    assert pool(3, 1, "full").output_shape((1, 8, 9)) == (1, 10, 11)


@each_pool
def test_ceil_mode_adds_a_window_that_hangs_over(pool: Any) -> None:
    assert pool(2, ceil_mode=False).output_shape((1, 7, 8)) == (1, 3, 4)
    assert pool(2, ceil_mode=True).output_shape((1, 7, 8)) == (1, 4, 4)


@each_pool
def test_a_vector_is_refused(pool: Any) -> None:
    message = rf"{pool.__name__}\(2\) takes feature maps of shape \(C, H, W\), but its input has shape \(10,\)"
    with pytest.raises(ShapeError, match=message):
        pool(2).output_shape((10,))


@each_pool
def test_maps_smaller_than_the_window_are_refused(pool: Any) -> None:
    with pytest.raises(ShapeError, match="its kernel spans 4 pixels, more than the height of the padded input, 3"):
        pool(4).output_shape((1, 3, 8))


@each_pool
def test_windows_of_nothing_but_padding_are_refused(pool: Any) -> None:
    message = r"window 0 along the width would hold padding only \(input 2, padding 2 and 2\); use less padding"
    with pytest.raises(ShapeError, match=message):
        pool((1, 2), 1, (0, 2)).output_shape((1, 4, 2))


@pytest.mark.parametrize("pool", [LPPool2d, MaxPool2d])
def test_so_are_windows_whose_pixels_lie_on_both_sides_of_the_map(pool: Any) -> None:
    with pytest.raises(ShapeError, match="window 1 along the height would hold padding only"):  # rows −1 and 3 of 3
        pool((2, 1), 1, "same", dilation=4).output_shape((1, 3, 8))


@each_pool
def test_bad_settings_are_refused_by_name(pool: Any) -> None:
    with pytest.raises(ConfigError, match=rf"{pool.__name__}\(2, stride=0\): stride must be a whole number"):
        pool(2, stride=0)


def test_average_pooling_takes_pytorchs_positional_settings() -> None:
    assert AvgPool2d(2, 1, 0, True, False) == AvgPool2d(2, stride=1, ceil_mode=True, count_include_pad=False)


def test_average_pooling_may_be_dilated_by_name_only() -> None:
    x = np.arange(16.0).reshape(1, 1, 4, 4)
    y, _ = AvgPool2d(2, 1, dilation=2).forward({}, x)
    np.testing.assert_array_equal(y[0, 0], [[5.0, 6.0], [9.0, 10.0]])  # (0 + 2 + 8 + 10)/4, one further, a row further
    with pytest.raises(
        EngineError, match=r"AvgPool2d\(2, dilation=2\): the native average pooling has windows without"
    ):
        Network([AvgPool2d(2, dilation=2), Flatten()], (1, 4, 4), engine="native")


@each_pool
def test_four_sides_are_the_same_as_a_padded_map(pool: Any) -> None:
    rng = np.random.default_rng(0)
    border = -np.inf if pool is MaxPool2d else 0.0
    for _ in range(100):
        kernel = (int(rng.integers(2, 5)), int(rng.integers(2, 5)))
        sides = tuple((int(rng.integers(n)), int(rng.integers(n))) for n in kernel)
        x = rng.normal(size=(2, 2, *rng.integers(4, 8, 2)))
        stride = int(rng.integers(1, 4))
        padded = np.pad(x, [(0, 0), (0, 0), *sides], constant_values=border)
        y, saved = pool(kernel, stride, sides).forward({}, x)
        expected, padded_saved = pool(kernel, stride).forward({}, padded)
        np.testing.assert_allclose(y, expected, rtol=1e-13)
        dy = rng.normal(size=y.shape)
        (top, bottom), (left, right) = sides
        inside = np.s_[:, :, top : padded.shape[2] - bottom, left : padded.shape[3] - right]
        dx = pool(kernel, stride).backward({}, padded_saved, dy)[0][inside]
        np.testing.assert_allclose(pool(kernel, stride, sides).backward({}, saved, dy)[0], dx, rtol=1e-13, atol=1e-13)


def test_four_sides_count_in_the_average_or_do_not() -> None:
    x = np.array([[1.0, 2.0], [3.0, 6.0]])[None, None]
    sides = ((0, 1), (0, 0))
    assert AvgPool2d(2, 1, sides).forward({}, x)[0].tolist() == [[[[3.0], [2.25]]]]
    assert AvgPool2d(2, 1, sides, count_include_pad=False).forward({}, x)[0].tolist() == [[[[3.0], [4.5]]]]
