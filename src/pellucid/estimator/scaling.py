"""Scaling: what is learnt from is shifted and stretched to mean 0 and variance 1."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import DataError

#: numbers taken at a time, so that no double-precision copy of everything is made
_AT_A_TIME = 2**22


@dataclass(frozen=True)
class Scaling:
    """z = (x − μ)/σ, with μ and σ of every channel of images (N, C, H, W), or of every column of (N, K).

    Attributes:
        mean: μ, (C, 1, 1) or (K,).
        deviation: σ, of the same shape; 1 where there is nothing but rounding to stretch.
    """

    mean: Array
    deviation: Array

    @classmethod
    def of(cls, x: Array, weight: Array) -> Scaling:
        """Return the scaling of samples that weigh w: μ = Σ w x / Σ w and σ² = Σ w (x − μ)² / Σ w.

        Raises:
            DataError: the numbers are too large for their squares.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            mean = _weighted_mean(x, weight, 0.0, 1)
            variance = _weighted_mean(x, weight, mean, 2)
        if not np.isfinite(variance).all():
            raise DataError("the data hold numbers too large to be squared; scale them, or give standardize=False")
        rounding = 10 * np.finfo(np.float64).eps * abs(mean)
        deviation = np.sqrt(variance)
        return cls(mean, np.where(deviation > rounding, deviation, 1.0))

    def apply(self, x: Array, dtype: np.dtype[np.generic]) -> Array:
        """Return z as a new array."""
        z = np.empty(x.shape, dtype)
        for rows in _blocks(x):
            z[rows] = (x[rows] - self.mean) / self.deviation
        return z

    def undo(self, z: Array) -> Array:
        """Return x = σ z + μ in double precision, which a large μ may need."""
        return z * self.deviation + self.mean


def _weighted_mean(x: Array, weight: Array, shift: Array | float, power: int) -> Array:
    """Return Σ w (x − shift)^power / Σ w, averaged over the pixels of a channel."""
    total: Array | float = 0.0
    for rows in _blocks(x):
        total = total + np.tensordot(weight[rows], (x[rows].astype(np.float64) - shift) ** power, 1)
    mean = np.asarray(total) / weight.sum()
    return mean.mean(axis=(1, 2), keepdims=True) if mean.ndim == 3 else mean


def _blocks(x: Array) -> Iterator[slice]:
    """Yield slices of rows that hold a bounded number of numbers."""
    count = max(1, _AT_A_TIME * len(x) // max(x.size, 1))
    for start in range(0, len(x), count):
        yield slice(start, start + count)
