from __future__ import annotations

import numpy as np
import pytest
from harness import assert_gradients, awkward, random_shape

from pellucid import Network
from pellucid.errors import ConfigError
from pellucid.layers import Dropout, Flatten, Linear
from pellucid.philox import Stream


def test_entries_are_zero_or_scaled_and_so_are_their_gradients() -> None:
    rng = np.random.default_rng(0)
    for seed in range(100):
        p = float(rng.uniform(0, 0.9))
        x = awkward(1 + rng.random((3, *random_shape(rng))))
        dy = awkward(1 + rng.random(x.shape))
        y, saved = Dropout(p).forward({}, x, training=True, stream=Stream(seed))
        dx, grads = Dropout(p).backward({}, saved, dy)
        kept = y != 0
        np.testing.assert_allclose(y, np.where(kept, x / (1 - p), 0), rtol=1e-14)
        np.testing.assert_allclose(dx, np.where(kept, dy / (1 - p), 0), rtol=1e-14)
        assert grads == {}


@pytest.mark.parametrize("p", [0.1, 0.5, 0.8])
def test_the_share_dropped_is_p_and_the_mean_stays(p: float) -> None:
    x = np.ones((100, 1000))
    y, _ = Dropout(p).forward({}, x, training=True, stream=Stream(1))
    deviation = np.sqrt(p * (1 - p) / x.size)
    assert abs((y == 0).mean() - p) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - p)
    across = (y == 0).mean(axis=0)  # every entry of every sample is drawn for itself
    assert abs(across.var() / (p * (1 - p) / 100) - 1) < 0.3


def test_gradients() -> None:
    rng = np.random.default_rng(2)
    for seed in range(100):
        assert_gradients(Dropout(float(rng.uniform(0, 0.9))), random_shape(rng), seed=seed)


def test_inference_is_the_identity() -> None:
    x = np.random.default_rng(3).normal(size=(4, 7))
    y, saved = Dropout(0.9).forward({}, x, training=False)
    np.testing.assert_array_equal(y, x)
    np.testing.assert_array_equal(Dropout(0.9).backward({}, saved, x)[0], x)


def dropped(stream: Stream, shape: tuple[int, ...], p: float = 0.5, dtype: type = np.float64) -> np.ndarray:
    y, _ = Dropout(p).forward({}, np.ones(shape, dtype), training=True, stream=stream)
    return y == 0


def test_the_mask_depends_on_seed_step_and_layer_and_nothing_else() -> None:
    shape, stream = (5, 3, 4, 4), Stream(5, 6, 7)
    mask = dropped(stream, shape)
    np.testing.assert_array_equal(mask, dropped(stream, shape, dtype=np.float32))
    # Neither how many samples follow, nor whether the entries are maps or a vector, makes a difference.
    np.testing.assert_array_equal(mask[:2], dropped(stream, (2, *shape[1:])))
    np.testing.assert_array_equal(mask.reshape(5, 48), dropped(stream, (5, 48)))
    for other in (Stream(6, 6, 7), Stream(5 + 2**32, 6, 7), Stream(5, 5, 7), Stream(5, 6, 6)):
        assert (mask != dropped(other, shape)).mean() > 0.3


def test_a_word_below_its_share_drops_the_entry() -> None:
    # The words of counter and key 0 are published; see test_philox.py.
    first = np.array([0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]) / 2**32
    for p in (0.39, 0.41, 0.6, 0.62, 0.73, 0.74, 0.88, 0.89):
        np.testing.assert_array_equal(dropped(Stream(), (1, 4), p)[0], first < p)


def test_applications_of_one_layer_draw_each_for_itself() -> None:
    shared = Dropout(0.5)
    net = Network([shared, shared], (400,), loss="squared_error", engine="reference")
    trace = net.trace(np.ones((1, 400)), np.zeros((1, 400)))
    first, both = (step.output[0] == 0 for step in trace.steps)
    # A half of what the first lets through is dropped by the second: binomial, 200 ± 10.
    assert 150 < first.sum() < 250
    assert 60 < (both & ~first).sum() < 140


def test_float32_stays_float32() -> None:
    x = np.ones((2, 8), np.float32)
    y, saved = Dropout(0.3).forward({}, x, training=True, stream=Stream(7))
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
    with pytest.raises(ConfigError, match=r"Dropout\(\): forward draws a mask while training, so pass stream=philox"):
        Dropout().forward({}, np.ones((1, 2)), training=True)
