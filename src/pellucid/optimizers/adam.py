"""Adam, and AdamW with its decoupled weight decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.optimizers.base import NativeRule, Optimizer, keep_betas
from pellucid.schedules import Schedule, keep_number


@dataclass(frozen=True)
class Adam(Optimizer):
    """Momentum, divided by the root of a running mean of squared gradients. Name: ``"adam"``.

    Legend: θ = a parameter, g = ∂J/∂θ, η = the learning rate (the paper's α), t = 1, 2, … the step; m and v = running
    means of g and g², 0 at the start; m̂ and v̂ = the same, freed of that start. Products, roots and quotients go entry
    by entry.

    ::

        m ← β₁m + (1 − β₁)g             m̂ = m/(1 − β₁ᵗ)
        v ← β₂v + (1 − β₂)g²            v̂ = v/(1 − β₂ᵗ)
        θ ← θ − η m̂/(√v̂ + ε)

    Equal to PyTorch's ``Adam``.

    Args:
        learning_rate: η, a number or a schedule.
        betas: (β₁, β₂), each from 0 to below 1.
        eps: ε, above 0.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range.

    Source: Kingma & Ba 2015, algorithm 1.
    """

    elementwise: ClassVar[bool] = True

    learning_rate: float | Schedule = 0.001
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_betas(self, self.betas)
        keep_number(self, "eps", above=0)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the running means of g and of g²."""
        return ("mean", "square_mean")

    def native(self) -> NativeRule:
        """Return the rule of the same name."""
        return NativeRule("adam", *self.betas, eps=self.eps)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← θ − η m̂/(√v̂ + ε)."""
        mean, square_mean = slots["mean"], slots["square_mean"]
        beta1, beta2 = self.betas
        mean *= beta1
        mean += (1 - beta1) * grad
        square_mean *= beta2
        square_mean += (1 - beta2) * np.square(grad)
        mean_hat = mean / (1 - beta1**step)
        square_mean_hat = square_mean / (1 - beta2**step)
        param -= learning_rate * mean_hat / (np.sqrt(square_mean_hat) + self.eps)


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam, with weights that shrink by themselves and not through the gradient. Name: ``"adamw"``.

    Legend: as in :class:`Adam`; λ = weight decay.

    ::

        θ ← (1 − ηλ)θ,   then Adam's step

    Equal to PyTorch's ``AdamW``.

    Args:
        learning_rate, betas, eps: as in :class:`Adam`.
        weight_decay: λ, not negative; acts on every parameter, biases too.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range.

    Source: Loshchilov & Hutter 2019, algorithm 2, with λ times the learning rate as in PyTorch.
    """

    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "weight_decay", least=0)

    def native(self) -> NativeRule:
        """Return Adam's rule with the decay."""
        return NativeRule("adam", *self.betas, eps=self.eps, decay=self.weight_decay)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← (1 − ηλ)θ − η m̂/(√v̂ + ε)."""
        param *= 1 - learning_rate * self.weight_decay
        super().update(param, grad, slots, learning_rate, step)
