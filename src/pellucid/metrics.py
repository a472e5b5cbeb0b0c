"""How good predictions are, and what a classifier takes for what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ConfigError, DataError


def accuracy(p: Array, target: Array) -> Array:
    """Return 1 for every sample whose most probable class is the target's, else 0; (N,) from two (N, K)."""
    return (p.argmax(axis=1) == target.argmax(axis=1)).astype(np.float64)


def binary_accuracy(p: Array, target: Array) -> Array:
    """Return for every sample the share of its K yes-or-no answers that are right, yes being ½ or more; (N,)."""
    return ((p >= 0.5) == (target >= 0.5)).mean(axis=1)


def mean_absolute_error(p: Array, target: Array) -> Array:
    """Return 1/K Σ_k |p[t,k] − y[t,k]| for every sample; (N,)."""
    return abs(p - target).mean(axis=1)


#: name, as in histories and results, to a function of predictions and targets (N, K) that gives one number a sample
METRICS: dict[str, Callable[[Array, Array], Array]] = {
    "accuracy": accuracy,
    "binary_accuracy": binary_accuracy,
    "mae": mean_absolute_error,
}


def higher_is_better(column: str) -> bool:
    """Tell whether a figure of a history, such as ``"val_accuracy"``, is the better the higher it is."""
    return column.endswith("accuracy")


def confusion_matrix(labels: Any, predicted: Any, classes: int) -> Array:
    """Return how often a class was taken for another: [i, j] counts samples of class i predicted as class j.

    The diagonal holds what is right, so accuracy is its sum over the sum of all. A row sums to the samples there are
    of its class.

    Args:
        labels: true class numbers, (N,).
        predicted: predicted class numbers, (N,).
        classes: K, the number of classes; class numbers run from 0 to K − 1.

    Returns:
        int64 (K, K).

    Raises:
        ConfigError: ``classes`` is less than 1.
        DataError: the two differ in length, or hold anything but whole numbers from 0 to K − 1.

    Example:
        >>> confusion_matrix([0, 0, 1], [0, 1, 1], classes=2).tolist()
        [[1, 1], [0, 1]]
    """
    if classes < 1:
        raise ConfigError(f"confusion_matrix: classes must be at least 1, got {classes}")
    true, guess = _class_numbers("labels", labels, classes), _class_numbers("predicted", predicted, classes)
    if len(true) != len(guess):
        raise DataError(f"confusion_matrix: there are {len(true)} labels but {len(guess)} predictions")
    return np.bincount(classes * true + guess, minlength=classes * classes).reshape(classes, classes)


def _class_numbers(what: str, numbers: Any, classes: int) -> Array:
    given = np.asarray(numbers)
    if given.ndim != 1:
        raise DataError(f"confusion_matrix: {what} has shape {given.shape}, expected (N,): one class number a sample")
    if not len(given):
        return given.astype(np.int64)
    if given.dtype.kind not in "iuf":
        raise DataError(f"confusion_matrix: {what} has dtype {given.dtype}, expected whole numbers")
    broken = given != np.floor(given)
    if broken.any():
        raise DataError(f"confusion_matrix: {what} must be whole numbers, got e.g. {given[broken][0]}")
    if given.min() < 0 or given.max() >= classes:
        raise DataError(
            f"confusion_matrix: {what} runs from {given.min():g} to {given.max():g}, "
            f"expected class numbers from 0 to {classes - 1}"
        )
    return given.astype(np.int64)
