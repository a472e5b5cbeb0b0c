"""What a network computed, layer by layer, forward and backward: the numbers behind :meth:`Network.trace`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pellucid.arrays import Array, Tensors
from pellucid.layers.base import Layer


@dataclass(frozen=True)
class Step:
    """One layer's part in one forward and backward pass.

    Attributes:
        name: path of the layer in the network.
        layer: its settings.
        inputs: names of the steps whose output it reads (``"input"`` for the network's input).
        output: y, (N, ...).
        delta: ∂J/∂y, the error the texts call δ, of the same shape.
        gradients: ∂J/∂parameter by parameter (``"weight"``, ``"bias"``).
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    output: Array
    delta: Array
    gradients: Tensors


@dataclass(frozen=True)
class Trace:
    """Every step of one pass, in running order.

    Attributes:
        input: the batch as the first layer sees it (centred).
        input_delta: ∂J/∂input.
        steps: the layers in order; ``trace["conv1"]`` finds one by name.
        prediction: the loss's activation of the last output.
        target: the targets the loss compared it with, (N, K).
        loss: J.
        training: whether batch statistics and dropout were on.
        step: the network's step, which dropout draws by.
    """

    input: Array
    input_delta: Array
    steps: tuple[Step, ...]
    prediction: Array
    target: Array
    loss: float
    training: bool
    step: int

    def __iter__(self) -> Iterator[Step]:
        """Iterate over the steps."""
        return iter(self.steps)

    def __len__(self) -> int:
        """Return the number of steps."""
        return len(self.steps)

    def __getitem__(self, name: str) -> Step:
        """Return the step of that name; raises KeyError listing the names there are."""
        for step in self.steps:
            if step.name == name:
                return step
        raise KeyError(f"no layer called {name!r}; there are {', '.join(step.name for step in self.steps)}")
