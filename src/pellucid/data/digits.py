"""scikit-learn's handwritten digits: 1,797 real 8×8 images that come with the package, so nothing is downloaded."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array
from pellucid.data.dataset import DIGITS, Dataset
from pellucid.extra import need


def load_digits() -> Dataset:
    """Return the digits, pixels 0 … 16 divided by 16, as float32 (N, 1, 8, 8).

    Of the images of each digit, in the order scikit-learn gives them, every fifth is for testing: 1,442 for training
    and 355 for testing. No random generator is involved, so the split is the same everywhere and for ever.

    Raises:
        MissingExtraError: scikit-learn is not installed.

    Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI, 1998 (its test set).
    """
    bunch = need("sklearn.datasets", "the digits come with scikit-learn", "pellucid[sklearn]").load_digits()
    x = (np.asarray(bunch.images) / 16).astype(np.float32)[:, None]
    y = np.asarray(bunch.target, dtype=np.int64)
    test = _every_fifth_of_each_class(y)
    return Dataset("digits", x[~test], y[~test], x[test], y[test], DIGITS)


def _every_fifth_of_each_class(y: Array) -> Array:
    chosen = np.zeros(len(y), dtype=bool)
    for digit in np.unique(y):
        chosen[np.flatnonzero(y == digit)[4::5]] = True
    return chosen
