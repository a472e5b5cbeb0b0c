from __future__ import annotations

from typing import Any

import pytest

from pellucid.errors import ConfigError, ShapeError
from pellucid.layers import AvgPool2d, LPPool2d, MaxPool2d

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
    with pytest.raises(TypeError, match="dilation"):
        AvgPool2d(2, dilation=2)  # type: ignore[call-arg]
