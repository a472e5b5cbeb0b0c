"""Penalties: terms added to the loss that keep weights small.

They act on the weights of convolutions and linear layers (:attr:`pellucid.layers.Layer.regularized`), not on biases
or batch-norm coefficients, and they are part of J: of its value, its gradients, and of what the checker checks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.arrays import Array
from pellucid.description import Described
from pellucid.errors import ConfigError


@dataclass(frozen=True)
class Penalty(Described):
    """Base of the penalties.

    Attributes:
        strength: λ, not negative.
    """

    strength: float

    def __post_init__(self) -> None:
        good = isinstance(self.strength, (int, float)) and np.isfinite(self.strength)  # pyright: ignore
        if not (good and self.strength >= 0):
            raise ConfigError(f"{type(self).__name__}: strength must be finite and not negative; got {self.strength}")

    def value(self, weight: Array) -> float:
        """Return the term added to J for one weight array."""
        raise NotImplementedError

    def gradient(self, weight: Array) -> Array:
        """Return its derivative, of the weight's shape."""
        raise NotImplementedError

    def native(self) -> tuple[float, float] | None:
        """Return the strengths (λ₁, λ₂) of L1 and L2 that this is; None for a penalty of your own, which NumPy runs."""
        return None


@dataclass(frozen=True)
class L1(Penalty):
    """J += λ Σ|θ|, ∂J/∂θ += λ sign θ: drives weights to exactly zero."""

    def value(self, weight: Array) -> float:
        """Return λ Σ|θ|."""
        return self.strength * float(abs(weight).sum())

    def gradient(self, weight: Array) -> Array:
        """Return λ sign θ, 0 at 0."""
        return self.strength * np.sign(weight)

    def native(self) -> tuple[float, float]:
        """Return (λ, 0)."""
        return self.strength, 0.0


@dataclass(frozen=True)
class L2(Penalty):
    """J += ½λ Σθ², ∂J/∂θ += λθ: with plain SGD the same as weight decay."""

    def value(self, weight: Array) -> float:
        """Return ½λ Σθ²."""
        return 0.5 * self.strength * float(np.square(weight).sum())

    def gradient(self, weight: Array) -> Array:
        """Return λθ."""
        return self.strength * weight

    def native(self) -> tuple[float, float]:
        """Return (0, λ)."""
        return 0.0, self.strength
