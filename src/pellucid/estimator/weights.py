"""What samples weigh: the caller's weights times those of their classes."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ConfigError, DataError
from pellucid.estimator.contract import check_array, compute_class_weight


def check_weights(sample_weight: Any, samples: int) -> Array:
    """Return one weight a sample, (N,) in double precision; ones for None, and a number stands for all.

    Raises:
        DataError: weights of another shape, negative, or all zero.
        ValueError: scikit-learn's, for what is not finite or no number.
    """
    if sample_weight is None or isinstance(sample_weight, Real):
        sample_weight = np.full(samples, 1.0 if sample_weight is None else float(sample_weight))
    weight = check_array(sample_weight, ensure_2d=False, dtype=np.float64, input_name="sample_weight")
    if weight.shape != (samples,):
        raise DataError(f"sample_weight has shape {weight.shape}, expected ({samples},): one weight a sample")
    if (weight < 0).any():
        raise DataError(f"sample_weight must not be negative, got {weight.min()}")
    if not weight.any():
        raise DataError("sample weights are all zero; give at least one sample a positive weight")
    return weight


def class_weights(class_weight: Any, classes: Array, numbers: Array, weight: Array) -> Array:
    """Return the weight of every class.

    ``"balanced"`` gives class k the weight Σ w / (K Σ_{t of class k} w), so that all classes weigh the same together.

    Args:
        class_weight: None, ``"balanced"``, or a mapping from labels to weights; labels left out weigh 1.
        classes: the labels, (K,).
        numbers: the class of each sample, from 0, (N,).
        weight: w, (N,).

    Raises:
        ConfigError: something else, or a weight that is no finite number ≥ 0.
        ValueError: scikit-learn's, for a mapping that names other labels.
    """
    if class_weight is None:
        return np.ones(len(classes))
    if isinstance(class_weight, str) and class_weight == "balanced":
        present = np.bincount(numbers, weights=weight, minlength=len(classes))
        return np.divide(weight.sum(), len(classes) * present, out=np.zeros(len(classes)), where=present > 0)
    if not isinstance(class_weight, Mapping):
        raise ConfigError(f"class_weight must be None, 'balanced' or a dict of label: weight, got {class_weight!r}")
    weights = compute_class_weight(class_weight, classes=classes, y=classes[numbers])
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ConfigError(f"class_weight must give finite weights that are not negative, got {class_weight!r}")
    return weights
