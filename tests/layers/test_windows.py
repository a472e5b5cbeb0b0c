from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from harness import awkward, inside, random_window, receptive_fields
from scipy.signal import correlate2d

from pellucid.errors import ConfigError, ShapeError
from pellucid.layers import Conv2d
from pellucid.layers.windows import axes, overlap_add, pad, windows


def random_geometry(rng: np.random.Generator) -> tuple[dict[str, Any], tuple[int, int]]:
    return random_window(rng, pooling=bool(rng.integers(2)))


def test_every_window_reads_the_pixels_of_the_definition() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        settings, size = random_geometry(rng)
        x = rng.normal(size=(2, 2, *size))
        rows, columns = axes("layer", size, **settings)
        found = windows(pad(awkward(x), rows, columns, value=7.0), rows, columns)
        fields = receptive_fields(size, **settings)
        assert found.shape[2:4] == (len(fields), len(fields[0]))
        for i, line in enumerate(fields):
            for j, pixels in enumerate(line):
                real = set(inside(pixels, size))
                expected = [x[:, :, u, v] if (u, v) in real else np.full((2, 2), 7.0) for u, v in pixels]
                np.testing.assert_array_equal(found[:, :, i, j].reshape(2, 2, -1), np.stack(expected, axis=-1))


def test_which_window_reads_padding_only_and_how_many_pixels_each_reads() -> None:
    rng = np.random.default_rng(3)
    found = 0
    for _ in range(2000):
        before, after, kernel, stride, dilation, length = (int(n) for n in rng.integers((0, 0, 1, 1, 1, 1), 7))
        span = dilation * (kernel - 1) + 1
        if before + length + after < span:
            continue
        axis, _ = axes("layer", (length, 1), (kernel, 1), (stride, 1), ((before, after), (0, 0)), (dilation, 1))
        pixels = [[stride * k + dilation * j - before for j in range(kernel)] for k in range(axis.outputs)]
        empty = [k for k, taps in enumerate(pixels) if not any(0 <= u < length for u in taps)]
        assert axis.first_of_padding() == (empty[0] if empty else None)
        found += bool(empty)
        low, high = sorted(int(n) for n in rng.integers(-8, 14, 2))
        assert axis.taps_between(low, high).tolist() == [sum(low <= u < high for u in taps) for taps in pixels]
    assert found > 300


def test_overlap_add_puts_every_value_where_it_was_read() -> None:
    rng = np.random.default_rng(1)
    for _ in range(200):
        settings, size = random_geometry(rng)
        rows, columns = axes("layer", size, **settings)
        patches = rng.normal(size=(2, 2, rows.outputs, columns.outputs, rows.kernel, columns.kernel))
        expected = np.zeros((2, 2, *size))
        for i, line in enumerate(receptive_fields(size, **settings)):
            for j, pixels in enumerate(line):
                for k, (u, v) in enumerate(pixels):
                    if inside([(u, v)], size):
                        expected[:, :, u, v] += patches[:, :, i, j].reshape(2, 2, -1)[..., k]
        np.testing.assert_allclose(overlap_add(awkward(patches), rows, columns), expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("mode", ["valid", "full", "same"])
def test_modes_place_the_window_as_scipy_does(mode: Any) -> None:
    rng = np.random.default_rng(2)
    for kernel in ((1, 1), (3, 5), (5, 1)):  # odd: for even ones scipy's "same" has the odd pixel before, ours after
        x, weight = rng.normal(size=(6, 7)), rng.normal(size=kernel)
        rows, columns = axes("layer", (6, 7), kernel, 1, mode)
        found = np.einsum("tclmjk,jk->lm", windows(pad(x[None, None], rows, columns), rows, columns), weight)
        np.testing.assert_allclose(found, correlate2d(x, weight, mode), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "dilation", "before", "after", "outputs"),
    [
        (5, 2, 1, 1, 0, 1, 5),  # the odd pixel of padding comes after
        (5, 3, 2, 1, 1, 1, 3),
        (6, 3, 2, 1, 0, 1, 3),
        (7, 2, 3, 1, 0, 1, 3),
        (7, 3, 1, 2, 2, 2, 7),
        (9, 1, 4, 1, 0, 0, 3),  # the stride jumps over pixels: nothing to pad
    ],
)
def test_same_gives_one_output_for_every_stride(
    length: int, kernel: int, stride: int, dilation: int, before: int, after: int, outputs: int
) -> None:
    axis, _ = axes("layer", (length, length), kernel, stride, "same", dilation)
    assert (axis.before, axis.after, axis.outputs) == (before, after, outputs)


@pytest.mark.parametrize(
    ("length", "kernel", "stride", "padding", "floor", "ceil"),
    [
        (6, 3, 2, 0, 2, 3),
        (7, 3, 2, 0, 3, 3),  # the stride divides: no window more
        (5, 2, 2, 0, 2, 3),
        (2, 1, 3, 0, 1, 1),  # would start at 3, past the input
        (4, 3, 4, 1, 1, 2),
        (3, 2, 2, 1, 2, 2),  # a third would start at 3, in the padding
    ],
)
def test_ceil_mode_rounds_up_unless_the_window_would_start_in_the_padding(
    length: int, kernel: int, stride: int, padding: int, floor: int, ceil: int
) -> None:
    counts = [axes("layer", (length, length), kernel, stride, padding, 1, mode)[0].outputs for mode in (False, True)]
    assert counts == [floor, ceil]


def test_four_sides() -> None:
    rows, columns = axes("layer", (5, 6), 3, (1, 2), ((1, 2), (0, 3)))
    assert (rows.before, rows.after, rows.outputs) == (1, 2, 6)
    assert (columns.before, columns.after, columns.outputs) == (0, 3, 4)


def test_a_kernel_larger_than_the_image_is_named_with_its_side() -> None:
    message = r"Conv2d\(1, 3, dilation=2\): its kernel spans 5 pixels, more than the width of the padded input, 4 "
    with pytest.raises(ShapeError, match=message + r"\(input maps are 9×4\); use a smaller kernel"):
        Conv2d(1, 3, dilation=2).output_shape((1, 9, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kernel_size": 0}, "kernel_size must be a whole number of at least 1, or a pair of them; got 0"),
        ({"kernel_size": (3, 2, 1)}, r"kernel_size must .* got \(3, 2, 1\)"),
        ({"kernel_size": 2.0}, r"kernel_size must .* got 2\.0"),
        ({"stride": 0}, "stride must be a whole number of at least 1"),
        ({"stride": (1, -1)}, r"stride must .* got \(1, -1\)"),
        ({"dilation": 0}, "dilation must be a whole number of at least 1"),
        ({"padding": -1}, "padding must be a whole number of at least 0"),
        (
            {"padding": ((1, 2), 3)},
            r"padding must be \(\(top, bottom\), \(left, right\)\) in whole .* got \(\(1, 2\), 3\)",
        ),
        ({"padding": ((1, 2), (3, -1))}, r"padding must be \(\(top, .* got \(\(1, 2\), \(3, -1\)\)"),
        ({"padding": ((1, 2), (3, 4), (5, 6))}, r"padding must be \(\(top, "),
        ({"padding": "SAME"}, r"padding must be a number, a pair or one of \('valid', 'same', 'full'\); got 'SAME'"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=r"Conv2d\(1, .*: " + message):
        Conv2d(1, **{"kernel_size": 3, **settings})
