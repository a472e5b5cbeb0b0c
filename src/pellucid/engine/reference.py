"""The reference engine: runs a graph by calling each layer's own forward and backward.

The backward pass is the reverse of the forward order, with the δ of all consumers of a value added, nothing more.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from pellucid.arrays import Array, Tensors
from pellucid.graph import INPUT, Graph, Node
from pellucid.philox import Stream


@dataclass
class Pass:
    """What one forward pass leaves behind.

    Attributes:
        values: the output of every node by name, and the input under :data:`~pellucid.graph.INPUT`.
        saved: what each node keeps for its backward pass.
    """

    values: Tensors
    saved: dict[str, Any] = field(default_factory=dict[str, Any])


def own(tensors: Tensors, node: Node) -> Tensors:
    """Return a node's tensors from those of the network: ``"conv1.weight"`` becomes ``"weight"``."""
    parts = ((name.rpartition("."), value) for name, value in tensors.items())
    return {key: value for (path, _, key), value in parts if path == node.name}


def call(
    node: Node,
    position: int,
    params: Tensors,
    state: Tensors,
    inputs: Sequence[Array],
    *,
    training: bool,
    seed: int = 0,
    step: int = 0,
) -> tuple[Array, Any]:
    """Return a node's output, and what its layer keeps for backward.

    Args:
        node: the node.
        position: its place in the graph, which random layers draw by, beside ``seed`` and ``step``.
        params, state: of the whole network, by full name.
        inputs: what the node reads.
        training: as in :meth:`pellucid.layers.base.Layer.forward`.
        seed, step: as in :func:`forward`.
    """
    return node.layer.forward(
        own(params, node),
        *inputs,
        state=own(state, node),
        training=training,
        rng=np.random.default_rng([seed, step, position]),
        stream=Stream(seed, step, position),
    )


def by_input(dx: Any) -> tuple[Array, ...]:
    """Return the dx of a layer's backward as a tuple, one array an input."""
    return cast("tuple[Array, ...]", dx) if isinstance(dx, tuple) else (dx,)


def forward(
    graph: Graph,
    params: Tensors,
    state: Tensors,
    x: Array,
    *,
    training: bool = False,
    seed: int = 0,
    step: int = 0,
    known: Tensors | None = None,
) -> Pass:
    """Run the whole graph and keep everything that backward needs.

    Args:
        graph: the network.
        params: parameters by full name.
        state: running statistics by full name; updated in place when ``training``.
        x: (N, *input_shape).
        training: as in :meth:`pellucid.layers.base.Layer.forward`.
        seed, step: what random layers draw depends on these and on their position in the graph.
        known: outputs of earlier nodes to take as they are instead of computing them.
    """
    run = Pass({INPUT: x, **(known or {})})
    for position, node in enumerate(graph.nodes):
        if node.name in run.values:
            continue
        inputs = [run.values[source] for source in node.inputs]
        run.values[node.name], run.saved[node.name] = call(
            node, position, params, state, inputs, training=training, seed=seed, step=step
        )
    return run


def infer(graph: Graph, params: Tensors, state: Tensors, x: Array) -> Array:
    """Return the output alone, letting go of every value once its last reader has run."""
    readers = Counter(source for node in graph.nodes for source in node.inputs)
    values: Tensors = {INPUT: x}
    for position, node in enumerate(graph.nodes):
        inputs = [values[source] for source in node.inputs]
        values[node.name] = call(node, position, params, state, inputs, training=False)[0]
        for source in node.inputs:
            readers[source] -= 1
            if not readers[source]:
                del values[source]
    return values[graph.nodes[-1].name]


def backward(graph: Graph, params: Tensors, run: Pass, delta: Array) -> tuple[Tensors, Tensors]:
    """Send δ from the output back to the input.

    Args:
        graph: the network.
        params: parameters by full name, as in the forward pass.
        run: what the forward pass left.
        delta: ∂J/∂(output of the last node).

    Returns:
        ``(deltas, grads)``: ∂J/∂(output) of every node by name, the input's under INPUT, and ∂J/∂parameter by name.
    """
    deltas: Tensors = {graph.nodes[-1].name: delta}
    grads: Tensors = {}
    for node in reversed(graph.nodes):
        if node.name not in deltas:  # nothing reads this value
            deltas[node.name] = np.zeros_like(run.values[node.name])
        dx, own_grads = node.layer.backward(own(params, node), run.saved[node.name], deltas[node.name])
        grads.update({f"{node.name}.{key}": value for key, value in own_grads.items()})
        for source, part in zip(node.inputs, by_input(dx), strict=True):
            deltas[source] = deltas[source] + part if source in deltas else part
    return deltas, grads
