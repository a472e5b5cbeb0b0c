"""Where in a network a number stands, and the numbers around it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.explain.cells.draft import Column, Index, Places, one
from pellucid.graph import INPUT, Node
from pellucid.network import Network
from pellucid.tracing import Step, Trace


class View:
    """A network and one of its traces, by name."""

    def __init__(self, network: Network, trace: Trace) -> None:
        self.network = network
        self.trace = trace
        self.steps: dict[str, Step] = {step.name: step for step in trace}
        self.nodes: dict[str, Node] = {node.name: node for node in network.graph.nodes}

    @property
    def last(self) -> Node:
        """The node that gives the network's output."""
        return self.network.graph.nodes[-1]

    @cached_property
    def weights(self) -> Array:
        """w_t, or w_t/Σ w if the loss takes the mean: what each sample's loss counts in J."""
        loss = self.network.loss
        weight = loss.weights(self.trace.target, None)
        return weight / weight.sum() if loss.reduction == "mean" else weight

    def values(self, name: str) -> Array:
        """Return y of a node, or the input, (N, ...)."""
        return self.trace.input if name == INPUT else self.steps[name].output

    def deltas(self, name: str) -> Array:
        """Return ∂J/∂y of a node, or of the input, (N, ...)."""
        return self.trace.input_delta if name == INPUT else self.steps[name].delta

    def gradient(self, name: str) -> Array:
        """Return ∂J/∂parameter by the parameter's full name."""
        node, _, key = name.rpartition(".")
        return self.steps[node].gradients[key]

    def readers(self, name: str) -> list[tuple[Node, int]]:
        """Return the nodes that read a value, and which of their inputs it is."""
        return [(node, i) for node in self.network.graph.nodes for i, s in enumerate(node.inputs) if s == name]


@dataclass(frozen=True)
class Place:
    """A layer of a network, a sample, and an index: of its output, of an input, or of a parameter.

    What comes back as a column reads the given rows, (n, axes), of this sample, or of the samples named.
    """

    view: View
    node: Node
    sample: int
    index: Index

    @property
    def training(self) -> bool:
        """Whether the trace is of a training step."""
        return self.view.trace.training

    @property
    def input_shape(self) -> Shape:
        """Shape of the first input."""
        return self.node.input_shapes[0]

    @property
    def batch(self) -> Array:
        """The first input of every sample."""
        return self.view.values(self.node.inputs[0])

    @property
    def x(self) -> Array:
        """The first input of this sample."""
        return self.batch[self.sample]

    @property
    def y(self) -> Array:
        """The output of this sample."""
        return self.view.values(self.node.name)[self.sample]

    @property
    def dy(self) -> Array:
        """δ of the output of this sample."""
        return self.view.deltas(self.node.name)[self.sample]

    def inputs(self, index: Array, samples: Array | None = None, *, slot: int = 0, symbol: str = "x_#") -> Column:
        """Return numbers of an input."""
        return self._column(symbol, self.node.inputs[slot], "value", index, samples)

    def outputs(self, index: Array, samples: Array | None = None, *, symbol: str = "y_#") -> Column:
        """Return numbers of the output."""
        return self._column(symbol, self.node.name, "value", index, samples)

    def deltas(self, index: Array, samples: Array | None = None) -> Column:
        """Return δ of the output."""
        return self._column(r"\delta_#", self.node.name, "delta", index, samples)

    def parameters(self, key: str, index: Array, symbol: str) -> Column:
        """Return numbers of a parameter."""
        return self._tensor(symbol, self.view.network.parameters[self.full(key)], key, "parameter", index)

    def gradients(self, key: str, index: Array, symbol: str) -> Column:
        """Return numbers of a parameter's gradient."""
        return self._tensor(symbol, self.view.gradient(self.full(key)), key, "gradient", index)

    def statistics(self, key: str, index: Array, symbol: str) -> Column:
        """Return numbers of a running statistic."""
        return self._tensor(symbol, self.view.network.state[self.full(key)], key, "state", index)

    def inner(self, key: str, value: float, index: Index, symbol: str, *, shared: bool = False) -> Column:
        """Return a quantity that the layer works out on the way, of this sample or of all."""
        places = Places(self.full(key), "inner", one(index), None if shared else self.sample)
        return Column(symbol, np.array([value], np.float64), places)

    def full(self, key: str) -> str:
        """Return the full name of a parameter, statistic or inner quantity."""
        return f"{self.node.name}.{key}"

    def _column(self, symbol: str, name: str, what: str, index: Array, samples: Array | None) -> Column:
        tensor = self.view.values(name) if what == "value" else self.view.deltas(name)
        rows = self.sample if samples is None else samples
        return Column(symbol, _taken(tensor[rows] if samples is None else tensor, index, samples),
                      Places(name, what, index, rows))  # fmt: skip

    def _tensor(self, symbol: str, tensor: Array, key: str, what: str, index: Array) -> Column:
        return Column(symbol, _taken(tensor, index, None), Places(self.full(key), what, index, None))


def _taken(tensor: Array, index: Array, samples: Array | None) -> Array:
    """Return the numbers at the rows of (n, axes) indices, in float64."""
    where = tuple(index.T) if samples is None else (samples, *index.T)
    return np.atleast_1d(tensor[where]).astype(np.float64)
