"""At work inside scikit-learn's own tools, and on other processes."""

from __future__ import annotations

from typing import Any

import distributed
import joblib
import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import MinMaxScaler

from pellucid import ConvNetClassifier

DIGITS = load_digits()
IMAGES, FLAT, NUMBERS = DIGITS.images[:400], DIGITS.data[:400], DIGITS.target[:400]
GRID = {"learning_rate": [1e-6, 5e-3], "network": [None, "digits"]}


def quick(**settings: Any) -> ConvNetClassifier:
    return ConvNetClassifier(**{"max_iter": 8, "random_state": 0, "n_jobs": 1, **settings})


def test_cross_validation_is_a_fit_for_every_fold() -> None:
    folds = list(StratifiedKFold(3).split(IMAGES, NUMBERS))
    scores = cross_val_score(quick(), IMAGES, NUMBERS, cv=folds)
    by_hand = [np.mean(quick().fit(IMAGES[a], NUMBERS[a]).predict(IMAGES[b]) == NUMBERS[b]) for a, b in folds]
    np.testing.assert_array_equal(scores, by_hand)
    assert scores.min() > 0.8


def test_at_the_end_of_a_pipeline() -> None:
    pipeline = Pipeline([("scale", MinMaxScaler()), ("net", quick(input_shape=(8, 8)))])
    weight = np.where(NUMBERS == 3, 0.0, 1.0)
    pipeline.fit(FLAT, NUMBERS, net__sample_weight=weight)
    known = NUMBERS != 3
    assert pipeline.score(FLAT[known], NUMBERS[known]) > 0.9
    assert (pipeline.predict(FLAT) != 3).all()


def search() -> GridSearchCV:
    return GridSearchCV(quick(), GRID, cv=StratifiedKFold(2), error_score="raise")


@pytest.fixture(scope="module")
def searched() -> GridSearchCV:
    return search().fit(IMAGES, NUMBERS)


def test_a_grid_search_finds_the_learning_rate_that_learns(searched: GridSearchCV) -> None:
    assert searched.best_params_["learning_rate"] == 5e-3
    assert searched.best_score_ > 0.8
    assert searched.cv_results_["mean_test_score"][:2].max() < 0.5
    assert searched.score(IMAGES, NUMBERS) > 0.95


def require_same(found: GridSearchCV, expected: GridSearchCV) -> None:
    for key in ("split0_test_score", "split1_test_score"):
        np.testing.assert_array_equal(found.cv_results_[key], expected.cv_results_[key])
    np.testing.assert_array_equal(found.predict_proba(IMAGES), expected.predict_proba(IMAGES))


def test_a_grid_search_on_other_processes_finds_the_same(searched: GridSearchCV) -> None:
    found = search().set_params(n_jobs=2)
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        require_same(found.fit(IMAGES, NUMBERS), searched)


def test_a_grid_search_on_threads_finds_the_same(searched: GridSearchCV) -> None:
    with joblib.parallel_config(backend="threading", n_jobs=2):
        require_same(search().fit(IMAGES, NUMBERS), searched)


def test_a_grid_search_on_a_dask_cluster_finds_the_same(searched: GridSearchCV) -> None:
    settings: dict[str, Any] = {"processes": False, "dashboard_address": None}
    with (
        distributed.LocalCluster(n_workers=1, threads_per_worker=2, **settings) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        require_same(search().fit(IMAGES, NUMBERS), searched)


@pytest.mark.parametrize(("x", "shape"), [(IMAGES, None), (FLAT, (8, 8))], ids=["images", "flat"])
def test_calibration(x: np.ndarray, shape: tuple[int, int] | None) -> None:
    calibrated = CalibratedClassifierCV(quick(input_shape=shape), method="temperature", cv=2).fit(x, NUMBERS)
    probabilities = calibrated.predict_proba(x)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert np.mean(probabilities.argmax(axis=1) == NUMBERS) > 0.9
