from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.exceptions import DataConversionWarning

from pellucid import ConvNetRegressor, Network
from pellucid.errors import ConfigError, ShapeError
from pellucid.layers import Flatten, Linear

IMAGES = load_digits().images


def quick(**settings: Any) -> ConvNetRegressor:
    return ConvNetRegressor(**{"max_iter": 40, "random_state": 0, "n_jobs": 1, **settings})


def brightness(images: np.ndarray) -> np.ndarray:
    """Where the ink is: a number that images tell."""
    return (images * np.arange(8)).sum(axis=(1, 2)) / images.sum(axis=(1, 2))


def test_where_the_ink_is() -> None:
    y = brightness(IMAGES)
    regressor = quick().fit(IMAGES[:1200], y[:1200])
    predicted = regressor.predict(IMAGES[1200:])
    assert predicted.shape == (597,)
    assert regressor.score(IMAGES[1200:], y[1200:]) > 0.95
    residual = np.square(y[1200:] - predicted).sum() / np.square(y[1200:] - y[1200:].mean()).sum()
    np.testing.assert_allclose(regressor.score(IMAGES[1200:], y[1200:]), 1 - residual)


def test_several_numbers_a_sample_each_in_its_own_unit() -> None:
    ink = brightness(IMAGES)
    y = np.column_stack([1e9 + 1e3 * ink, -1e-6 * ink, IMAGES.mean(axis=(1, 2))])
    regressor = quick().fit(IMAGES[:800], y[:800])
    assert regressor.n_outputs_ == 3
    predicted = regressor.predict(IMAGES)
    assert predicted.shape == (1797, 3)
    assert predicted.dtype == np.float64
    left = np.square(predicted - y).mean(axis=0) / y.var(axis=0)
    assert (left < 0.06).all()


def test_without_standardize_targets_are_taken_as_they_are() -> None:
    x = np.random.default_rng(0).normal(size=(64, 2))
    y = 3 * x[:, 0] + 1
    regressor = quick(network=[Linear(1)], standardize=False, optimizer="sgd", learning_rate=0.2, max_iter=200, tol=0)
    regressor.fit(x, y)
    np.testing.assert_allclose(regressor.network_.parameters["0.weight"], [[3, 0]], atol=1e-3)
    np.testing.assert_allclose(regressor.network_.parameters["0.bias"], [1], atol=1e-3)
    np.testing.assert_allclose(regressor.predict([[1.0, 5.0]]), [4], atol=1e-3)


def test_the_loss_is_half_the_variance_left() -> None:
    x, y = np.zeros((50, 3)), np.random.default_rng(0).normal(size=50) * 1e4
    regressor = quick(max_iter=1).fit(x, y)  # nothing to learn from: the mean is all there is
    np.testing.assert_allclose(regressor.loss_curve_, [0.5], rtol=1e-5)
    np.testing.assert_allclose(regressor.predict(x), y.mean(), atol=100)


def test_weights_are_repetitions() -> None:
    rng = np.random.default_rng(1)
    x, y, weight = rng.normal(size=(15, 3)), rng.normal(size=15), rng.integers(0, 4, 15)
    rows = np.arange(15).repeat(weight)[::-1]
    weighted, repeated = quick().fit(x, y, sample_weight=weight), quick().fit(x[rows], y[rows])
    np.testing.assert_array_equal(weighted.predict(x), repeated.predict(x))


def test_early_stopping_watches_r2() -> None:
    y = brightness(IMAGES)
    regressor = quick(early_stopping=True, max_iter=15, n_iter_no_change=3).fit(IMAGES[:400], y[:400])
    scores = regressor.validation_scores_
    assert scores is not None
    assert len(scores) == regressor.n_iter_
    assert 0.5 < regressor.best_validation_score_ == max(scores) <= 1


def test_partial_fit_keeps_the_first_scaling() -> None:
    x = np.random.default_rng(0).normal(size=(400, 4))
    y = 100 + 10 * x[:, 0]
    regressor = quick()
    for _ in range(30):
        for start in range(0, 400, 100):
            regressor.partial_fit(x[start : start + 100], y[start : start + 100])
    assert regressor.score(x, y) > 0.97
    assert regressor.network_.step == 30 * 4 * 2
    with pytest.raises(ShapeError, match="y has 2 columns, but ConvNetRegressor learnt 1"):
        regressor.partial_fit(x, np.column_stack([y, y]))


def test_a_column_is_taken_as_a_list_with_a_warning() -> None:
    x, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40.0)
    with pytest.warns(DataConversionWarning, match="column-vector y was passed"):
        column = quick().fit(x, y[:, None])
    np.testing.assert_array_equal(column.predict(x), quick().fit(x, y).predict(x))


def test_bad_data() -> None:
    x, y = IMAGES[:20], brightness(IMAGES[:20])
    with pytest.raises(ValueError, match="could not convert string to float"):
        quick().fit(x, ["a"] * 20)
    with pytest.raises(ValueError, match="Input y contains NaN"):
        quick().fit(x, np.where(y > 3, np.nan, y))
    with pytest.raises(ConfigError, match=r"has the loss CrossEntropy.*, but 'squared_error' is needed"):
        quick(network=lambda **_: Network([Flatten(), Linear(1)], (1, 8, 8))).fit(x, y)


def test_zoo_networks_become_regressors() -> None:
    y = brightness(IMAGES)
    regressor = quick(network="digits").fit(IMAGES[:600], y[:600])
    assert regressor.network_.output_shape == (1,)
    assert regressor.score(IMAGES[600:], y[600:]) > 0.8
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(regressor)).predict(IMAGES), regressor.predict(IMAGES))
