"""AdaDelta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.optimizers.base import NativeRule, Optimizer
from pellucid.schedules import Schedule, keep_number


@dataclass(frozen=True)
class AdaDelta(Optimizer):
    """Give each entry a step in the units of the entry itself, so that η = 1 will do. Name: ``"adadelta"``.

    Legend: θ = a parameter, g = ∂J/∂θ, η = the learning rate, d = the step before η; s and u = running means of g² and
    d², 0 at the start. Products, roots and quotients go entry by entry.

    ::

        s ← ρs + (1 − ρ)g²
        d = g √(u + ε)/√(s + ε)
        u ← ρu + (1 − ρ)d²
        θ ← θ − ηd

    Equal to PyTorch's ``Adadelta``.

    Args:
        learning_rate: η, a number or a schedule.
        rho: ρ, the share of the means that each step keeps, from 0 to below 1.
        eps: ε, above 0; sets the size of the first steps.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range.

    Source: Zeiler 2012, algorithm 1.
    """

    elementwise: ClassVar[bool] = True

    learning_rate: float | Schedule = 1.0
    rho: float = 0.9
    eps: float = 1e-6

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "rho", least=0, below=1)
        keep_number(self, "eps", above=0)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the running means of g² and of d²."""
        return ("square_mean", "delta_square_mean")

    def native(self) -> NativeRule:
        """Return the rule of the same name."""
        return NativeRule("adadelta", first=self.rho, eps=self.eps)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← θ − η g √(u + ε)/√(s + ε)."""
        square_mean, delta_square_mean = slots["square_mean"], slots["delta_square_mean"]
        square_mean *= self.rho
        square_mean += (1 - self.rho) * np.square(grad)
        delta = grad * np.sqrt(delta_square_mean + self.eps) / np.sqrt(square_mean + self.eps)
        delta_square_mean *= self.rho
        delta_square_mean += (1 - self.rho) * np.square(delta)
        param -= learning_rate * delta
