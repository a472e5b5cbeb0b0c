import numpy as np
import pytest
import scipy.signal

from pellucid.correlation import correlate
from pellucid.correlation.modes import crop, pad, zeros_around
from pellucid.errors import ConfigError
from pellucid.layers import Conv2d

RNG = np.random.default_rng


@pytest.mark.parametrize(
    ("kernel", "mode", "expected"),
    [
        (1, "same", (0, 0)),
        (2, "same", (1, 0)),
        (3, "same", (1, 1)),
        (4, "same", (2, 1)),
        (5, "same", (2, 2)),
        (4, "valid", (0, 0)),
        (4, "full", (3, 3)),
        (1, "full", (0, 0)),
    ],
)
def test_zeros_of_the_table(kernel, mode, expected):
    assert zeros_around(kernel, mode) == expected


@pytest.mark.parametrize(("length", "kernel"), [(5, 2), (5, 3), (4, 4), (7, 1), (3, 6)])
def test_sizes_of_the_outputs(length, kernel):
    x, w = np.ones(length), np.ones(kernel)
    assert correlate(x, w, "same").shape == (length,)
    assert correlate(x, w, "full").shape == (length + kernel - 1,)


def test_bindings_size_of_full_is_wrong_and_his_1_3_right():
    # His list of modes says h_I + h_F/2 + 1; his (1.3) with P = h_F − 1 and S = 1 says h_I − h_F + 2(h_F − 1) + 1.
    sizes = {kernel: correlate(np.ones(5), np.ones(kernel), "full").size for kernel in range(1, 7)}
    assert sizes == {kernel: 5 - kernel + 2 * (kernel - 1) + 1 for kernel in range(1, 7)}
    assert [kernel for kernel in range(1, 7) if sizes[kernel] != 5 + kernel / 2 + 1] == [1, 2, 3, 5, 6]


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6])
def test_same_is_scipys_and_numpys_middle_of_full(kernel):
    x, w = RNG(kernel).normal(size=9), RNG(9).normal(size=kernel)
    same = correlate(x, w, "same")
    start = (kernel - 1) // 2
    np.testing.assert_array_equal(same, correlate(x, w, "full")[start : start + 9])
    np.testing.assert_allclose(same, scipy.signal.correlate(x, w, "same", "direct"), rtol=1e-13, atol=1e-13)
    np.testing.assert_allclose(same, np.correlate(x, w, "same"), rtol=1e-13, atol=1e-13)


def test_an_even_kernel_worked_by_hand():
    # One zero before: (0, 1), (1, 2), (2, 3); Conv2d and correlate2d put it after: (1, 2), (2, 3), (3, 0).
    assert correlate([1, 2, 3], [10, 1], "same").tolist() == [1, 12, 23]
    picture, kernel = np.array([[1.0, 2, 3]]), np.array([[10.0, 1]])
    assert scipy.signal.correlate2d(picture, kernel, "same").tolist() == [[12, 23, 30]]
    layer = Conv2d(1, (1, 2), padding="same", bias=False)
    assert layer.forward({"weight": kernel[None, None]}, picture[None, None])[0].tolist() == [[[[12, 23, 30]]]]


@pytest.mark.parametrize("kernel", [(2, 2), (4, 3), (3, 3), (4, 2)])
def test_same_of_conv2d_is_the_one_here_moved_by_one_pixel_along_even_sides(kernel):
    x, w = RNG(1).normal(size=(6, 7)), RNG(2).normal(size=kernel)
    layer = Conv2d(1, kernel, padding="same", bias=False)
    theirs = layer.forward({"weight": w[None, None]}, x[None, None])[0][0, 0]
    np.testing.assert_allclose(theirs, scipy.signal.correlate2d(x, w, "same"), rtol=1e-12, atol=1e-12)
    ours = correlate(x, w, "same")
    down, right = (1 - r % 2 for r in kernel)
    moved = theirs[: 6 - down, : 7 - right]
    np.testing.assert_allclose(ours[down:, right:], moved, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mode", ["valid", "same", "full"])
def test_crop_undoes_pad(mode):
    x = RNG(3).normal(size=(5, 6))
    padded = pad(x, (4, 3), mode)
    assert padded.sum() == pytest.approx(x.sum(), rel=1e-12)
    np.testing.assert_array_equal(crop(padded, (4, 3), mode), x)


def test_an_unknown_mode_is_named():
    with pytest.raises(ConfigError, match=r"^mode must be 'valid', 'same' or 'full', got 'wrap'$"):
        zeros_around(3, "wrap")
