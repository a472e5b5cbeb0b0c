"""Optimizers: how gradients change the parameters. Each keeps the contract of :class:`Optimizer`."""

from __future__ import annotations

from dataclasses import replace

from pellucid.errors import ConfigError
from pellucid.optimizers.adadelta import AdaDelta
from pellucid.optimizers.adagrad import AdaGrad
from pellucid.optimizers.adam import Adam, AdamW
from pellucid.optimizers.adamax import AdaMax
from pellucid.optimizers.base import NativeRule, Optimizer, OptimizerState
from pellucid.optimizers.clipping import clip_by_norm, clip_by_value, limit_norms
from pellucid.optimizers.rmsprop import RMSProp
from pellucid.optimizers.sgd import SGD
from pellucid.schedules import Schedule

OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": SGD(),
    "momentum": SGD(momentum=0.9),
    "nesterov": SGD(momentum=0.9, nesterov=True),
    "adagrad": AdaGrad(),
    "rmsprop": RMSProp(),
    "adadelta": AdaDelta(),
    "adam": Adam(),
    "adamax": AdaMax(),
    "adamw": AdamW(),
}


def resolve_optimizer(optimizer: str | Optimizer, learning_rate: float | Schedule | None = None) -> Optimizer:
    """Return the optimizer of that name, with that learning rate if one is given, or the object itself.

    Raises:
        ConfigError: there is no such name, the learning rate is out of range, or an object came with a learning rate.
    """
    if isinstance(optimizer, Optimizer):
        if learning_rate is not None:
            raise ConfigError(
                f"optimizer={optimizer!r} has its own learning rate, so learning_rate={learning_rate!r} cannot be "
                f"given as well; put it in the object: {type(optimizer).__name__}(learning_rate={learning_rate!r}, ...)"
            )
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ConfigError(f"no optimizer called {optimizer!r}; there are {', '.join(OPTIMIZERS)}")
    found = OPTIMIZERS[optimizer]
    return found if learning_rate is None else replace(found, learning_rate=learning_rate)


__all__ = [
    "OPTIMIZERS",
    "SGD",
    "AdaDelta",
    "AdaGrad",
    "AdaMax",
    "Adam",
    "AdamW",
    "NativeRule",
    "Optimizer",
    "OptimizerState",
    "RMSProp",
    "clip_by_norm",
    "clip_by_value",
    "limit_norms",
    "resolve_optimizer",
]
