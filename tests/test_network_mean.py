"""The input mean of a network: given, or taken from the data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.errors import ConfigError
from pellucid.layers import Flatten, Linear
from pellucid.losses import SquaredError


def two_channels(**settings: Any) -> Network:
    return Network([Flatten(), Linear(2, name="out")], (2, 3, 4), dtype="float64", **settings)


@pytest.mark.parametrize("raw", [False, True], ids=["float", "uint8"])
@pytest.mark.parametrize(("kind", "axes", "shape"), [("channel", (0, 2, 3), (2, 1, 1)), ("pixel", (0,), (2, 3, 4))])
def test_the_mean_is_taken_over_samples_and_pixels_or_over_samples(
    kind: str, axes: tuple[int, ...], shape: tuple[int, ...], raw: bool
) -> None:
    numbers = np.random.default_rng(8).integers(0, 256, (5, 2, 3, 4))
    network = two_channels(input_mean=kind)
    assert network.input_mean is None
    network.centre_on(network.check_images(numbers.astype(np.uint8) if raw else numbers / 255))
    mean = np.mean(numbers / 255, axis=axes).reshape(shape)
    assert network.input_mean is not None
    assert network.input_mean.shape == shape
    np.testing.assert_allclose(network.input_mean, mean, rtol=1e-12)
    network.centre_on(np.zeros((1, 2, 3, 4)))  # once known, it stays
    expected = (numbers / 255 - mean).reshape(5, -1) @ network.parameters["out.weight"].T
    np.testing.assert_allclose(network.forward(numbers / 255), expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(network.forward(numbers.astype(np.uint8)), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("shape", [(2,), (2, 1, 1), (2, 3, 4)], ids=str)
def test_a_given_mean_is_subtracted(shape: tuple[int, ...]) -> None:
    mean = np.random.default_rng(1).normal(size=shape)
    network = two_channels(input_mean=mean)
    x = np.random.default_rng(2).normal(size=(3, 2, 3, 4))
    for t, sample in enumerate(x):
        centred = [sample[c] - (mean[c] if len(shape) == 3 else np.full((3, 4), mean[c])) for c in range(2)]
        expected = network.parameters["out.weight"].dot(np.concatenate([m.ravel() for m in centred]))
        np.testing.assert_allclose(network.forward(x)[t], expected, rtol=1e-12)


def test_a_given_mean_is_copied() -> None:
    mean = np.ones(2)
    network = two_channels(input_mean=mean)
    mean[:] = 50
    assert network.input_mean is not None
    assert network.input_mean.ravel().tolist() == [1, 1]


@pytest.mark.parametrize("mean", ["channel", "pixel", np.zeros(2)], ids=["channel", "pixel", "array"])
@pytest.mark.parametrize("loss", ["squared_error", SquaredError("sum")])
def test_regression_takes_no_mean(mean: Any, loss: Any) -> None:
    with pytest.raises(ConfigError, match=r"input_mean is not for regression .* leave it out with squared_error"):
        two_channels(input_mean=mean, loss=loss)


def test_a_mean_per_channel_needs_channels() -> None:
    with pytest.raises(ConfigError, match=r"input_mean='channel' needs images; the input has shape \(5,\)"):
        Network([Linear(2)], (5,), input_mean="channel")
