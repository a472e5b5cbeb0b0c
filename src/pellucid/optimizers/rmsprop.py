"""RMSProp."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.optimizers.base import NativeRule, Optimizer
from pellucid.schedules import Schedule, keep_number


@dataclass(frozen=True)
class RMSProp(Optimizer):
    """Divide each entry's step by the root of a running mean of its squared gradients. Name: ``"rmsprop"``.

    Legend: θ = a parameter, g = ∂J/∂θ, η = the learning rate, s = running mean of squares, 0 at the start. Products,
    roots and quotients go entry by entry.

    ::

        s ← αs + (1 − α)g²
        θ ← θ − η g/(√s + ε)

    Equal to PyTorch's ``RMSprop``, whose defaults are η = 0.01 and α = 0.99; those here are Hinton's.

    Args:
        learning_rate: η, a number or a schedule.
        alpha: α, the share of the mean that each step keeps, from 0 to below 1.
        eps: ε, above 0.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range.

    Source: Tieleman & Hinton 2012, Neural Networks for Machine Learning, lecture 6e.
    """

    elementwise: ClassVar[bool] = True

    learning_rate: float | Schedule = 0.001
    alpha: float = 0.9
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "alpha", least=0, below=1)
        keep_number(self, "eps", above=0)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the running mean of squares."""
        return ("square_mean",)

    def native(self) -> NativeRule:
        """Return the rule of the same name."""
        return NativeRule("rmsprop", first=self.alpha, eps=self.eps)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← θ − η g/(√s + ε)."""
        square_mean = slots["square_mean"]
        square_mean *= self.alpha
        square_mean += (1 - self.alpha) * np.square(grad)
        param -= learning_rate * grad / (np.sqrt(square_mean) + self.eps)
