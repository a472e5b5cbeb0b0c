"""AdaGrad."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.optimizers.base import NativeRule, Optimizer
from pellucid.schedules import Schedule, keep_number


@dataclass(frozen=True)
class AdaGrad(Optimizer):
    """Divide each entry's step by the root of all its squared gradients so far. Name: ``"adagrad"``.

    Legend: θ = a parameter, g = ∂J/∂θ, η = the learning rate, s = sum of squares, 0 at the start. Products, roots and
    quotients go entry by entry.

    ::

        s ← s + g²
        θ ← θ − η g/(√s + ε)

    Equal to PyTorch's ``Adagrad``.

    Args:
        learning_rate: η, a number or a schedule.
        eps: ε, above 0; keeps the quotient finite where the gradient has always been 0.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range.

    Source: Duchi, Hazan & Singer 2011, (1) with the diagonal of G.
    """

    elementwise: ClassVar[bool] = True

    learning_rate: float | Schedule = 0.01
    eps: float = 1e-10

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "eps", above=0)

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the sum of squares."""
        return ("square_sum",)

    def native(self) -> NativeRule:
        """Return the rule of the same name."""
        return NativeRule("adagrad", eps=self.eps)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← θ − η g/(√s + ε)."""
        square_sum = slots["square_sum"]
        square_sum += np.square(grad)
        param -= learning_rate * grad / (np.sqrt(square_sum) + self.eps)
