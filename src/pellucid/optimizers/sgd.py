"""Stochastic gradient descent, plain, with momentum, and Nesterov's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid.arrays import Array, Tensors
from pellucid.errors import ConfigError
from pellucid.optimizers.base import NativeRule, Optimizer
from pellucid.schedules import Schedule, keep_number


@dataclass(frozen=True)
class SGD(Optimizer):
    """Go against the gradient. Names: ``"sgd"``, ``"momentum"`` (μ = 0.9), ``"nesterov"`` (μ = 0.9, Nesterov's).

    Legend: θ = a parameter (k, w, b in Nguyen), g = ∂J/∂θ, η = the learning rate, μ = momentum, λ = weight decay,
    v = velocity, 0 at the start.

    Plain::

        θ ← θ − ηg

    With weight decay, g stands for g + λθ. With momentum::

        v ← μv + g
        θ ← θ − ηv             or, Nesterov's:   θ ← θ − η(g + μv)

    Equal to PyTorch's ``SGD``.

    Args:
        learning_rate: η, a number or a schedule.
        momentum: μ, from 0 to below 1.
        nesterov: look ahead along the velocity; needs momentum.
        weight_decay: λ, not negative. It acts on every parameter, biases too, and is added after
            clipping; for weights alone, and part of the loss, use the penalty ``L2(λ)``.
        clip_norm, clip_value, max_norm: as in :class:`Optimizer`.

    Raises:
        ConfigError: a setting is out of range, or ``nesterov`` without momentum.

    Source: Nguyen (66); Polyak 1964 (momentum); Sutskever et al. 2013, (3)–(4) (Nesterov's, in PyTorch's form).
    """

    elementwise: ClassVar[bool] = True

    learning_rate: float | Schedule = 0.1
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        keep_number(self, "momentum", least=0, below=1)
        keep_number(self, "weight_decay", least=0)
        if self.nesterov and not self.momentum:
            raise ConfigError("SGD: nesterov=True needs a momentum above 0, e.g. momentum=0.9")

    @property
    def slot_names(self) -> tuple[str, ...]:
        """Return the velocity, with momentum only."""
        return ("velocity",) if self.momentum else ()

    def native(self) -> NativeRule:
        """Return the rule of the same name."""
        name = "nesterov" if self.nesterov else "momentum" if self.momentum else "sgd"
        return NativeRule(name, first=self.momentum, decay=self.weight_decay)

    def update(self, param: Array, grad: Array, slots: Tensors, learning_rate: float, step: int) -> None:
        """Apply θ ← θ − ηg, θ − ηv or θ − η(g + μv)."""
        if self.weight_decay:
            grad = grad + self.weight_decay * param
        if self.momentum:
            velocity = slots["velocity"]
            velocity *= self.momentum
            velocity += grad
            grad = grad + self.momentum * velocity if self.nesterov else velocity
        param -= learning_rate * grad
