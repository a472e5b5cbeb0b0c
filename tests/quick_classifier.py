"""A classifier that learns in moments, and what it learns from."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from pellucid import ConvNetClassifier

DIGITS = load_digits()
IMAGES, NUMBERS = DIGITS.images, DIGITS.target


def quick(**settings: Any) -> ConvNetClassifier:
    return ConvNetClassifier(**{"max_iter": 5, "random_state": 0, "n_jobs": 1, **settings})


def two_blobs(samples: int = 200) -> tuple[np.ndarray, np.ndarray]:
    y = np.arange(samples) % 2
    return np.random.default_rng(0).normal(size=(samples, 3)) + 3 * y[:, None], y
