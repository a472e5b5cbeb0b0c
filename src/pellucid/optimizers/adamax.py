"""AdaMax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.optimizers.base import NativeRule, Optimizer, keep_betas
from pellucid.schedules import Schedule, keep_number


@dataclass(frozen=True)
class AdaMax(Optimizer):
    """Momentum, divided by the largest recent gradient of the entry. Name: ``"adamax"``.

    Legend: θ = a parameter, g = ∂J/∂θ, η = the learning rate (the paper's α), t = 1, 2, … the step; m = running mean of
    g, u = decaying maximum of |g|, both 0 at the start. Products, maxima and quotients go entry by entry.

    ::

        m ← β₁m + (1 − β₁)g
        u ← max(β₂u, |g| + ε)
        θ ← θ − η/(1 − β₁ᵗ) · m/u

    Equal to PyTorch's ``Adamax``; the paper has no ε, and divides by 0 where the gradient has always been 0.

    Args:
        learning_rate: η, a number or a schedule.
        betas: (β₁, β₂), each from 0 to below 1.
        eps: ε, above 0.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range.

    Source: Kingma & Ba 2015, algorithm 2.
    """

    elementwise: ClassVar[bool] = True

    learning_rate: float | Schedule = 0.002
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_betas(self, self.betas)
        keep_number(self, "eps", above=0)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the running mean of g and the decaying maximum of |g|."""
        return ("mean", "largest")

    def native(self) -> NativeRule:
        """Return the rule of the same name."""
        return NativeRule("adamax", *self.betas, eps=self.eps)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← θ − η/(1 − β₁ᵗ) · m/u."""
        mean, largest = slots["mean"], slots["largest"]
        beta1, beta2 = self.betas
        mean *= beta1
        mean += (1 - beta1) * grad
        np.maximum(beta2 * largest, abs(grad) + self.eps, out=largest)
        param -= learning_rate / (1 - beta1**step) * mean / largest
