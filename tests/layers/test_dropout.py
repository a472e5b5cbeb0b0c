from __future__ import annotations

import numpy as np
import pytest
from harness import assert_gradients, awkward, random_shape

from pellucid import Network
from pellucid.errors import ConfigError
from pellucid.layers import Dropout, Flatten, Linear


def test_entries_are_zero_or_scaled_and_so_are_their_gradients() -> None:
    rng = np.random.default_rng(0)
    for seed in range(100):
        p = float(rng.uniform(0, 0.9))
        x = awkward(1 + rng.random((3, *random_shape(rng))))
        dy = awkward(1 + rng.random(x.shape))
        y, saved = Dropout(p).forward({}, x, training=True, rng=np.random.default_rng(seed))
        dx, grads = Dropout(p).backward({}, saved, dy)
        kept = y != 0
        np.testing.assert_allclose(y, np.where(kept, x / (1 - p), 0), rtol=1e-14)
        np.testing.assert_allclose(dx, np.where(kept, dy / (1 - p), 0), rtol=1e-14)
        assert grads == {}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_dropped_is_p_and_the_mean_stays(p: float) -> None:
    x = np.ones((100, 1000))
    y, _ = Dropout(p).forward({}, x, training=True, rng=np.random.default_rng(1))
    deviation = np.sqrt(p * (1 - p) / x.size)
    assert abs((y == 0).mean() - p) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - p)
    across = (y == 0).mean(axis=0)  # every entry of every sample is drawn for itself
    assert abs(across.var() / (p * (1 - p) / 100) - 1) < 0.3


def test_gradients() -> None:
    rng = np.random.default_rng(2)
    for seed in range(100):
        assert_gradients(Dropout(float(rng.uniform(0, 0.9))), random_shape(rng), seed=seed)


def test_inference_is_the_identity_and_draws_nothing() -> None:
    x = np.random.default_rng(3).normal(size=(4, 7))
    rng = np.random.default_rng(4)
    before = rng.bit_generator.state
    y, saved = Dropout(0.9).forward({}, x, training=False, rng=rng)
    assert rng.bit_generator.state == before
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(Dropout(0.9).backward({}, saved, x)[0], x)


def test_the_mask_depends_on_the_generator_only() -> None:
    x = np.ones((5, 3, 4, 4))
    masks = [
        Dropout(0.5).forward({}, x.astype(dtype), training=True, rng=np.random.default_rng(seed))[0] != 0
        for dtype, seed in ((np.float64, 5), (np.float32, 5), (np.float64, 6))
    ]
    np.testing.assert_array_equal(masks[0], masks[1])
    assert (masks[0] != masks[2]).mean() > 0.3


def test_float32_stays_float32() -> None:
    x = np.ones((2, 8), np.float32)
    y, saved = Dropout(0.3).forward({}, x, training=True, rng=np.random.default_rng(7))
    dx, _ = Dropout(0.3).backward({}, saved, x)
    assert y.dtype == dx.dtype == np.float32


def test_a_network_predicts_without_it() -> None:
    layers = [Flatten(), Dropout(0.5), Linear(3)]
    net = Network(layers, input_shape=(1, 4, 4), seed=0, dtype="float64", engine="reference")
    x = np.random.default_rng(8).normal(size=(2, 1, 4, 4))
    expected = x.reshape(2, 16) @ net.parameters["2.weight"].T + net.parameters["2.bias"]
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-12)


@pytest.mark.parametrize("p", [-0.1, 1.0, 1.5, float("nan")])
def test_a_probability_out_of_range_is_refused(p: float) -> None:
    with pytest.raises(ConfigError, match=rf"Dropout\(p={p}\): p must be at least 0 and less than 1; got {p}"):
        Dropout(p)


def test_training_without_a_generator_says_so() -> None:
    with pytest.raises(ConfigError, match=r"Dropout\(\): forward draws a mask while training, so pass rng=np.random"):
        Dropout().forward({}, np.ones((1, 2)), training=True)
