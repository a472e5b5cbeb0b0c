"""How each network of the zoo is trained unless the command line says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from pellucid.optimizers import SGD, Adam, AdamW, Optimizer, resolve_optimizer
from pellucid.schedules import OneCycle


@dataclass(frozen=True)
class Recipe:
    """Settings of a training that go well with a network.

    Attributes:
        epochs: passes over the data.
        batch_size: images of one step.
        optimizer: with its learning rate.
    """

    epochs: int = 5
    batch_size: int = 32
    optimizer: Optimizer = field(default_factory=Adam)

    def choose(self, optimizer: str | Optimizer | None, learning_rate: float | None) -> Optimizer:
        """Return the recipe's optimizer, or the one given or of that name; with that learning rate, if one is given.

        Raises:
            ConfigError: there is no such optimizer, or the learning rate is out of range.
        """
        if isinstance(optimizer, str):
            return resolve_optimizer(optimizer, learning_rate)
        chosen = optimizer or self.optimizer
        return chosen if learning_rate is None else replace(chosen, learning_rate=learning_rate)


RECIPES = {
    "digits": Recipe(epochs=10, optimizer=Adam(3e-3)),
    "grishin": Recipe(optimizer=Adam(3e-3)),
    "lenet5": Recipe(optimizer=Adam(3e-3)),
    # 99 % of MNIST's test images in seconds: the rate goes up and down once, and weights shrink against overfitting.
    "nguyen": Recipe(epochs=12, batch_size=128, optimizer=AdamW(OneCycle(0.015), weight_decay=0.1)),
    # A few thousand photographs in some minutes (docs/data.md).
    "resnet20_cifar": Recipe(epochs=25, optimizer=SGD(OneCycle(0.1), momentum=0.9, nesterov=True)),
}
