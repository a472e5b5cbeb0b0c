from __future__ import annotations

import numpy as np
import pytest

from pellucid.errors import DataError
from pellucid.estimator import scaling
from pellucid.estimator.scaling import Scaling


def test_every_column_of_vectors() -> None:
    x = np.array([[1, 10.0], [2, 10.0], [6, 10.0]])
    scaled = Scaling.of(x, np.array([1, 2, 1.0]))
    # (1 + 2·2 + 6)/4 = 11/4; ((7/4)² + 2(3/4)² + (13/4)²)/4 = 59/16
    np.testing.assert_allclose(scaled.mean, [11 / 4, 10])
    np.testing.assert_allclose(scaled.deviation, [np.sqrt(59) / 4, 1])
    z = scaled.apply(x, np.dtype(np.float32))
    assert z.dtype == np.float32
    np.testing.assert_allclose(z[:, 0], np.array([-7, -3, 13]) / np.sqrt(59), rtol=1e-6)
    np.testing.assert_allclose(z[:, 1], 0)
    np.testing.assert_allclose(scaled.undo(z), x, rtol=1e-6)


@pytest.mark.parametrize("at_a_time", [1, 30, 2**22])
def test_every_channel_of_images(monkeypatch: pytest.MonkeyPatch, at_a_time: int) -> None:
    monkeypatch.setattr(scaling, "_AT_A_TIME", at_a_time)
    rng = np.random.default_rng(0)
    x, weight = rng.integers(0, 256, (9, 2, 3, 4), dtype=np.uint8), rng.integers(1, 5, 9)
    scaled = Scaling.of(x, weight)
    repeated = x.repeat(weight, axis=0).astype(np.float64)
    np.testing.assert_allclose(scaled.mean[:, 0, 0], repeated.mean(axis=(0, 2, 3)))
    np.testing.assert_allclose(scaled.deviation[:, 0, 0], repeated.std(axis=(0, 2, 3)))
    z = scaled.apply(x, np.dtype(np.float64)).repeat(weight, axis=0)
    np.testing.assert_allclose(z.mean(axis=(0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(axis=(0, 2, 3)), 1)


def test_rounding_is_not_stretched() -> None:
    x = np.full((50, 1), 0.1) + np.arange(50)[:, None] % 2 * 1e-17
    np.testing.assert_array_equal(Scaling.of(x * 1e6, np.ones(50)).deviation, [1.0])
    small = np.arange(50.0)[:, None] * 1e-9
    np.testing.assert_allclose(Scaling.of(1 + small, np.ones(50)).deviation, small.std(), rtol=1e-6)


def test_numbers_too_large() -> None:
    with pytest.raises(DataError, match="too large to be squared; scale them, or give standardize=False"):
        Scaling.of(np.array([[1e200], [-1e200]]), np.ones(2))
