"""What ``fit`` refuses before anything changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from small_training import blobs, softmax_regression

from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.losses import CrossEntropy
from pellucid.training import Callback, fit

X, Y = blobs(10)


@pytest.mark.parametrize(
    ("settings", "error", "text"),
    [
        ({"epochs": 0}, ConfigError, "epochs must be a whole number of at least 1, got 0"),
        ({"epochs": 1.5}, ConfigError, "epochs must be a whole number of at least 1, got 1.5"),
        ({"batch_size": 0}, ConfigError, "batch_size must be a whole number of at least 1, got 0"),
        ({"batch_size": -3}, ConfigError, "batch_size must be a whole number of at least 1, got -3"),
        ({"optimizer": "sdg"}, ConfigError, "no optimizer called 'sdg'; there are sgd, momentum"),
        ({"callbacks": [Callback]}, ConfigError, "callbacks must be objects of subclasses of Callback, got <class"),
        ({"callbacks": Callback()}, ConfigError, "callbacks must be a list, such as [Callback(...)], got one alone"),
        ({"validation_split": 1.0}, ConfigError, "validation_split must be at least 0 and less than 1, got 1.0"),
        ({"validation_split": -0.1}, ConfigError, "validation_split must be at least 0 and less than 1, got -0.1"),
        ({"validation_split": 0.01}, ConfigError, "validation_split=0.01 of 10 samples leaves 10 to train on and 0 to"),
        ({"validation_split": 0.99}, ConfigError, "leaves 0 to train on and 10 to validate with"),
        ({"validation_split": 0.5, "validation_data": (X, Y)}, ConfigError, "validation_data or validation_split, not"),
        ({"validation_data": X}, ConfigError, "validation_data must be (x, y) or (x, y, sample_weight), got ndarray"),
        (
            {"validation_data": (X,)},
            ConfigError,
            "validation_data must be (x, y) or (x, y, sample_weight), got 1 parts",
        ),
        ({"validation_data": (X, Y[:9])}, DataError, "validation_data: there are 10 inputs but 9 targets"),
        (
            {"validation_data": (X[:, :3], Y)},
            ShapeError,
            "validation_data: inputs have shape (10, 3), the network takes",
        ),
        (
            {"validation_data": (X, Y, Y[:3])},
            DataError,
            "validation_data: sample_weight has shape (3,), expected (10,)",
        ),
        ({"sample_weight": np.ones(9)}, DataError, "sample_weight has shape (9,), expected (10,): one weight a sample"),
        ({"sample_weight": -np.ones(10)}, DataError, "sample weights must be finite and not negative"),
        ({"sample_weight": np.full(10, np.nan)}, DataError, "sample weights must be finite and not negative"),
        ({"sample_weight": np.zeros(10)}, DataError, "the weights of a batch are all zero"),
        ({"sample_weight": "even"}, DataError, "sample_weight must be one number a sample, got 'even'"),
    ],
)
def test_bad_settings_are_told_before_anything_changes(settings: dict[str, Any], error: type, text: str):
    network = softmax_regression()
    before = network.parameters["0.weight"].copy()
    with pytest.raises(error, match=re.escape(text)):
        fit(network, X, Y, verbose=0, **settings)
    np.testing.assert_array_equal(network.parameters["0.weight"], before)
    assert network.step == 0


def test_weights_of_zero_throughout_are_refused_for_sums_too():
    with pytest.raises(DataError, match="all samples weigh 0; give at least one of them a positive weight"):
        fit(softmax_regression(loss=CrossEntropy("sum")), X, Y, sample_weight=np.zeros(10), verbose=0)


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda x, y: (x, y[:-1]), "there are 10 inputs but 9 targets"),
        (lambda x, y: (x, y + 1), "label 3 of sample 9 is out of range: the network has 3 outputs"),
        (lambda x, y: (np.where(x == x[4, 1], np.nan, x), y), "sample 4 contains NaN or infinity"),
    ],
)
def test_bad_samples_are_told(spoil: Callable[..., Any], text: str):
    y = np.where(Y == 2, 0, Y)
    y[-1] = 2
    with pytest.raises(DataError, match=text):
        fit(softmax_regression(), *spoil(X, y), verbose=0)
