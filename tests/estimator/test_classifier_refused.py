"""What a classifier refuses, in words that say what it takes."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from quick_classifier import IMAGES, NUMBERS, quick, two_blobs
from sklearn.exceptions import NotFittedError

from pellucid import Network
from pellucid.errors import ConfigError, DataError, ShapeError
from pellucid.layers import Conv2d, Flatten, Linear


def test_partial_fit_wants_to_know_the_classes() -> None:
    x, y = two_blobs()
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        quick().partial_fit(x, y)
    classifier = quick().partial_fit(x, y, classes=[0, 1])
    with pytest.raises(ConfigError, match=r"classes=\[0, 2\] are not those of the first call to partial_fit, \[0 1\]"):
        classifier.partial_fit(x, y, classes=[0, 2])
    with pytest.raises(DataError, match=r"y has the classes 'a', 'b', but ConvNetClassifier learnt \[0, 1\]"):
        classifier.partial_fit(x, np.array(["a", "b"])[y])
    for setting, told in (({"early_stopping": True}, "early_stopping"), ({"class_weight": "balanced"}, "'balanced'")):
        with pytest.raises(ConfigError, match=f"partial_fit sees only some .* does not support .*{told}"):
            quick(**setting).partial_fit(x, y, classes=[0, 1])


@pytest.mark.parametrize(
    ("network", "error", "told"),
    [
        ("lenet", ConfigError, "lenet"),
        (7, ConfigError, "network must be a list of layers, the name of a zoo network, a callable .*; got 7"),
        ([Flatten(), Linear(3)], ConfigError, r"gives \(3,\), but .* need 10 outputs: end it with Linear\(10\)"),
        ([Conv2d(3, 9), Flatten(), Linear(10)], ShapeError, "does not fit"),
        (lambda **_: 3, ConfigError, "network must be .*; got 3"),
        (Linear, ConfigError, "a callable that takes input_shape and classes .*; got <class '.*Linear'>"),
        (lambda: [Linear(10)], ConfigError, "a callable that takes input_shape and classes .*; got <function"),
        (
            lambda **_: Network([Flatten(), Linear(10)], (1, 8, 8), loss="log_loss"),
            ConfigError,
            "the callable's network has the loss LogLoss.*, but 'cross_entropy' is needed",
        ),
    ],
    ids=["name", "number", "outputs", "shape", "callable", "class", "no arguments", "loss"],
)
def test_networks_that_do_not_fit(network: Any, error: type[Exception], told: str) -> None:
    with pytest.raises(error, match=told):
        quick(network=network).fit(IMAGES[:50], NUMBERS[:50])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"max_iter": 0}, "max_iter must be a whole number of at least 1, got 0"),
        ({"batch_size": 2.5}, "batch_size must be a whole number of at least 1, got 2.5"),
        ({"validation_fraction": 1.0}, "validation_fraction must be a number between 0 and 1, got 1.0"),
        ({"n_iter_no_change": 0}, "n_iter_no_change must be a number of at least 1, or inf, got 0"),
        ({"tol": "little"}, "tol must be a finite number and not negative, got 'little'"),
        ({"alpha": -1}, "alpha must be a finite number and not negative, got -1"),
        ({"optimizer": "adm"}, "no optimizer called 'adm'; there are sgd, "),
        ({"n_jobs": 0}, "n_jobs must be a number of threads"),
        ({"class_weight": "even"}, "class_weight must be None, 'balanced' or a dict of label: weight, got 'even'"),
        ({"class_weight": {0: -1}}, "class_weight must give finite weights that are not negative"),
        ({"input_shape": (3, 1)}, "X has samples of shape (1, 8, 8), but input_shape=(3, 1) means 3 features"),
        ({"input_shape": 8}, "input_shape must be (H, W), (C, H, W) or (features,), got 8"),
        ({"early_stopping": True, "validation_fraction": 0.01}, "holds out 0 and leaves 20 to train on"),
    ],
    ids=str,
)
def test_settings_out_of_range(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=re.escape(told)):
        quick(**settings).fit(IMAGES[:20], NUMBERS[:20])


def test_bad_data() -> None:
    x, y = IMAGES[:20], NUMBERS[:20]
    with pytest.raises(DataError, match="needs at least two classes; here is one class only: 'a'"):
        quick().fit(x, ["a"] * 20)
    with pytest.raises(DataError, match="at least two classes that have positive weights"):
        quick().fit(x, y, sample_weight=y == 3)
    with pytest.raises(DataError, match="at least two classes"):
        quick().partial_fit(x, y, classes=[4])
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        quick().fit(x, y + 0.5)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        quick().fit(x, y[:-1])
    with pytest.raises(ValueError, match="contains NaN"):
        quick().fit(np.where(x == 3, np.nan, x), y)
    with pytest.raises(DataError, match="too large to be squared"):
        quick().fit(x * 1e300, y)
    with pytest.raises(NotFittedError):
        quick().predict(x)
    classifier = quick().fit(x, y)
    with pytest.raises(ShapeError, match=r"X has samples of shape \(1, 4, 16\), but .* learnt \(1, 8, 8\)"):
        classifier.predict(x.reshape(20, 4, 16))
    with pytest.raises(ValueError, match="X has 63 features, but ConvNetClassifier is expecting 64"):
        classifier.predict(x.reshape(20, 64)[:, 1:])


def test_without_scikit_learn_the_error_says_what_to_install() -> None:
    script = """
import sys
sys.modules["sklearn.base"] = None
import pellucid
try:
    pellucid.ConvNetClassifier
except pellucid.PellucidError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("MissingExtraError the estimators need scikit-learn 1.6 or newer (")
    assert done.stdout.endswith('): pip install "pellucid[sklearn]"\n')
