"""How each network of the zoo is trained unless the command line says otherwise."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Recipe:
    """Settings of a training that go well with a network.

    Attributes:
        epochs: passes over the data.
        batch_size: images of one step.
        optimizer: its name.
        learning_rate: its step size; another optimizer takes its own default.
    """

    epochs: int = 5
    batch_size: int = 32
    optimizer: str = "adam"
    learning_rate: float = 1e-3


RECIPES = {
    "digits": Recipe(epochs=10, learning_rate=3e-3),
    "grishin": Recipe(learning_rate=3e-3),
    "lenet5": Recipe(learning_rate=3e-3),
    "nguyen": Recipe(learning_rate=3e-3),
}
