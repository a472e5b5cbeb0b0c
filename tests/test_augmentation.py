from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from harness import awkward

from pellucid import Network
from pellucid.augmentation import Augmentation
from pellucid.description import from_json, to_json
from pellucid.errors import ConfigError
from pellucid.layers import Flatten, Linear

RNG = np.random.default_rng


def philox(counter: Sequence[int], seed: int) -> list[int]:
    """Ten rounds in Python's own whole numbers; tests/test_philox.py holds the same against the published answers."""
    (a, b, c, d), k, m = counter, seed % 2**32, seed // 2**32 % 2**32
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q >> 32 ^ b ^ k, q % 2**32, p >> 32 ^ d ^ m, p % 2**32
        k, m = (k + 0x9E3779B9) % 2**32, (m + 0xBB67AE85) % 2**32
    return [a, b, c, d]


def seen(x: np.ndarray, settings: Augmentation, row: int, seed: int, step: int) -> np.ndarray:
    """Return one sample (C, H, W) as it is trained on: drawn and put together pixel by pixel."""
    _, height, width = x.shape
    crop = philox((0, row, 2**32 - 1, step % 2**32), seed)
    square = philox((1, row, 2**32 - 1, step % 2**32), seed)
    p, n = settings.padding, settings.cutout
    a, b = (word * (2 * p + 1) // 2**32 - p for word in crop[:2])
    flipped = settings.flip and crop[2] < 2**31
    r, s = square[0] * height // 2**32, square[1] * width // 2**32
    y = np.zeros_like(x)
    for u in range(height):
        for v in range(width):
            i, j = u + a, (width - 1 - v if flipped else v) + b
            cut = r - n // 2 <= u < r - n // 2 + n and s - n // 2 <= v < s - n // 2 + n
            if 0 <= i < height and 0 <= j < width and not cut:
                y[:, u, v] = x[:, i, j]
    return y


SETTINGS = [
    Augmentation(),
    Augmentation(padding=2),
    Augmentation(flip=True),
    Augmentation(cutout=1),
    Augmentation(padding=4, flip=True),
    Augmentation(padding=3, flip=True, cutout=4),
    Augmentation(padding=1, cutout=5),
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("shape", [(1, 5, 5), (3, 7, 6), (2, 5, 12)], ids=str)
def test_samples_against_the_equations(settings: Augmentation, shape: tuple[int, ...]) -> None:
    x = RNG(0).normal(size=(40, *shape)).astype(np.float32)
    rows = RNG(1).permutation(50000)[:40]
    for seed, step in ((0, 0), (2**63 + 5, 2**32 + 17)):
        given = settings.apply(x, rows, seed, step)
        expected = [seen(sample, settings, int(row), seed, step) for sample, row in zip(x, rows, strict=True)]
        np.testing.assert_array_equal(given, expected)
        assert given.dtype == np.float32
    np.testing.assert_array_equal(settings.apply(awkward(x), rows, 3, 4), settings.apply(x, rows, 3, 4))
    np.testing.assert_array_equal(settings.apply(x.astype(np.float64), rows, 3, 4), settings.apply(x, rows, 3, 4))


def test_a_row_looks_the_same_in_whatever_batch_it_is() -> None:
    settings = Augmentation(padding=3, flip=True, cutout=3)
    x = RNG(0).normal(size=(40, 2, 6, 7))
    whole = settings.apply(x, np.arange(40), 5, 6)
    mixed = RNG(1).permutation(40)
    np.testing.assert_array_equal(settings.apply(x[mixed], mixed, 5, 6), whole[mixed])
    np.testing.assert_array_equal(settings.apply(x[7:9], np.arange(7, 9), 5, 6), whole[7:9])


def even(counts: np.ndarray) -> bool:
    """Tell whether χ² is within seven standard deviations of what equally likely cases give."""
    expected, freedom = counts.mean(), counts.size - 1
    return float(((counts - expected) ** 2 / expected).sum()) < freedom + 7 * np.sqrt(2 * freedom)


def test_every_crop_and_both_sides_are_equally_likely() -> None:
    # Pixel (5, 4) or (5, 6) of each sample is inside the image for every crop and tells the crop's place and side.
    settings, count = Augmentation(padding=4, flip=True), 40000
    x = np.broadcast_to(np.arange(121.0).reshape(1, 1, 11, 11), (count, 1, 11, 11))
    y = settings.apply(x, np.arange(count), 1, 2)
    flipped = y[:, 0, 5, 6] < y[:, 0, 5, 4]
    down, across = np.divmod(y[:, 0, 5, 5].astype(int), 11)
    assert abs(flipped.mean() - 0.5) < 5 * np.sqrt(0.25 / count)
    counts = np.zeros((9, 9, 2))
    np.add.at(counts, (down - 1, across - 1, flipped.astype(int)), 1)
    assert counts.sum() == count
    assert even(counts)


def test_every_place_is_equally_likely_for_the_square() -> None:
    count = 30000
    y = Augmentation(cutout=1).apply(np.ones((count, 1, 6, 9)), np.arange(count), 1, 2)
    assert (y == 0).sum() == count
    assert even((y == 0).sum(axis=(0, 1)))


def test_the_square_may_reach_over_the_edge() -> None:
    # Of a square of 4 around one of 8 places, 2, 3 or 4 rows are left, or 4, 3: Σ = 2 + 3 + 4·5 + 3 = 28 in all.
    y = Augmentation(cutout=4).apply(np.ones((4000, 1, 8, 8)), np.arange(4000), 0, 0)
    rows = (y == 0).any(axis=3).sum(axis=(1, 2))
    assert sorted(set(rows.tolist())) == [2, 3, 4]
    assert rows.mean() == pytest.approx(28 / 8, abs=0.05)


def test_seed_and_step_make_a_difference() -> None:
    settings, x, rows = Augmentation(padding=4, flip=True), RNG(0).normal(size=(500, 1, 9, 9)), np.arange(500)
    first = settings.apply(x, rows, 0, 0)
    for seed, step in ((1, 0), (2**32, 0), (0, 1)):
        same = (settings.apply(x, rows, seed, step) == first).all(axis=(1, 2, 3)).sum()
        assert same < 20  # 500/162 = 3 are expected to be the same


def test_cropping_is_the_same_with_and_without_a_square() -> None:
    x, rows = RNG(0).normal(size=(50, 1, 8, 8)), np.arange(50)
    with_square, without = (Augmentation(3, True, cutout).apply(x, rows, 0, 0) for cutout in (3, 0))
    np.testing.assert_array_equal(with_square[with_square != 0], without[with_square != 0])


def test_a_fill_is_the_average_pixel() -> None:
    network = Network([Flatten(), Linear(2)], (1, 6, 6), engine="reference", input_mean="channel")
    x = RNG(0).integers(0, 256, (30, 1, 6, 6), np.uint8)
    network.fit(x, np.arange(30) % 2, epochs=1, augment=Augmentation(padding=2), verbose=0)
    assert network.input_mean is not None
    np.testing.assert_allclose(network.input_mean, x.mean() / 255, rtol=1e-6)  # of the images as they are
    y = Augmentation(padding=2).apply(network.prepare(x), np.arange(30), 0, 0)
    np.testing.assert_array_equal(y + network.input_mean == network.input_mean, y == 0)
    assert (y == 0).any()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"padding": -1}, "Augmentation: padding must be a whole number of at least 0, got -1"),
        ({"padding": 1.5}, "Augmentation: padding must be a whole number of at least 0, got 1.5"),
        ({"padding": True}, "Augmentation: padding must be a whole number of at least 0, got True"),
        ({"cutout": -3}, "Augmentation: cutout must be a whole number of at least 0, got -3"),
        ({"cutout": "8"}, "Augmentation: cutout must be a whole number of at least 0, got '8'"),
        ({"flip": 0.5}, "Augmentation: flip must be True or False, got 0.5"),
    ],
)
def test_settings_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Augmentation(**settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("shape", "settings", "message"),
    [
        (
            (12,),
            Augmentation(flip=True),
            "Augmentation(flip=True) is for images (C, H, W); the network's input has shape (12,)",
        ),
        (
            (3, 6, 4),
            Augmentation(padding=4),
            "Augmentation(padding=4) could move images of 6×4 pixels out of sight; padding must be less than 4",
        ),
        (
            (3, 4, 6),
            Augmentation(cutout=5),
            "Augmentation(cutout=5) could blank images of 4×6 pixels; cutout must be at most 4",
        ),
        ((1, 4, 4), "flip", "augment must be an Augmentation, got 'flip'"),
    ],
)
def test_inputs_that_an_augmentation_does_not_fit(shape: tuple[int, ...], settings: Any, message: str) -> None:
    network = Network([Flatten(), Linear(2)], shape, engine="reference")
    with pytest.raises(ConfigError) as caught:
        network.fit(np.zeros((4, *shape)), np.zeros(4, int), augment=settings, verbose=0)
    assert str(caught.value) == message


def test_the_largest_settings_that_fit() -> None:
    network = Network([Flatten(), Linear(2)], (1, 4, 6), engine="reference")
    x = RNG(0).normal(size=(20, 1, 4, 6))
    history = network.fit(x, np.arange(20) % 2, augment=Augmentation(3, True, 4), epochs=1, verbose=0)
    assert np.isfinite(history["loss"][0])


def test_numpy_numbers_are_kept_as_plain_ones_and_it_goes_to_json_and_back() -> None:
    settings = Augmentation(padding=np.int64(4), flip=True)
    assert repr(settings) == "Augmentation(padding=4, flip=True)"
    assert to_json(settings) == {"type": "Augmentation", "padding": 4, "flip": True}
    assert from_json(to_json(settings), Augmentation) == settings
