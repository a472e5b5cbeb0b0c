from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid.errors import ConfigError, DataError
from pellucid.estimator.weights import check_weights, class_weights


def test_one_weight_a_sample() -> None:
    np.testing.assert_array_equal(check_weights(None, 3), [1, 1, 1])
    np.testing.assert_array_equal(check_weights(2, 2), [2, 2])
    np.testing.assert_array_equal(check_weights([0, 1.5], 2), [0, 1.5])
    assert check_weights(np.array([1, 2], dtype=np.uint8), 2).dtype == np.float64


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        ([1, 2, 3], r"sample_weight has shape \(3,\), expected \(2,\): one weight a sample"),
        ([[1], [2]], r"sample_weight has shape \(2, 1\), expected \(2,\)"),
        ([1, -2], "sample_weight must not be negative, got -2.0"),
        ([0, 0], "sample weights are all zero; give at least one sample a positive weight"),
        (0, "sample weights are all zero"),
    ],
    ids=str,
)
def test_weights_that_are_none(weight: Any, told: str) -> None:
    with pytest.raises(DataError, match=told):
        check_weights(weight, 2)


@pytest.mark.parametrize("weight", [[1, np.nan], ["a", "b"], [np.inf, 1]], ids=str)
def test_what_scikit_learn_refuses(weight: Any) -> None:
    with pytest.raises(ValueError, match=r"sample_weight contains|could not convert"):
        check_weights(weight, 2)


LABELS = np.array(["a", "b", "c"])
NUMBERS = np.array([0, 0, 0, 1, 2])


def test_weights_of_classes() -> None:
    ones = np.ones(5)
    np.testing.assert_array_equal(class_weights(None, LABELS, NUMBERS, ones), [1, 1, 1])
    np.testing.assert_array_equal(class_weights({"b": 3}, LABELS, NUMBERS, ones), [1, 3, 1])
    np.testing.assert_allclose(class_weights("balanced", LABELS, NUMBERS, ones), [5 / 9, 5 / 3, 5 / 3])
    weight = np.array([1, 1, 2, 0, 4.0])
    np.testing.assert_allclose(class_weights("balanced", LABELS, NUMBERS, weight), [2 / 3, 0, 2 / 3])


def test_weights_of_other_classes() -> None:
    with pytest.raises(ValueError, match=r"The classes, \['b', 'c'\], are not in class_weight"):
        class_weights({"a": 1, "d": 2}, LABELS, NUMBERS, np.ones(5))
    with pytest.raises(ConfigError, match="class_weight must be None, 'balanced' or a dict of label: weight, got 3"):
        class_weights(3, LABELS, NUMBERS, np.ones(5))
    with pytest.raises(ConfigError, match="class_weight must give finite weights that are not negative"):
        class_weights({"a": np.nan}, LABELS, NUMBERS, np.ones(5))
