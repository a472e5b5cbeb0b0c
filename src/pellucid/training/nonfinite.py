"""Finding where a batch turned into NaN or infinity."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from pellucid.arrays import Array
from pellucid.engine import reference
from pellucid.graph import Node
from pellucid.network import Network
from pellucid.training.samples import Samples


def finite(arrays: Iterable[Array]) -> bool:
    """Tell whether there is neither NaN nor infinity in any of the arrays."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


def first_cause(network: Network, data: Samples, rows: Array) -> str:
    """Run a batch again layer by layer and say, as a sentence, what was first to leave the finite numbers.

    Changes nothing; augmentation and random layers draw what they drew in the step that failed.
    """
    params = dict(network.parameters)
    state = {name: array.copy() for name, array in network.state.items()}
    x, (target, given) = data.inputs(network, data.images[rows], rows), data.wanted(rows)
    run = reference.forward(network.graph, params, state, x, training=True, seed=network.seed, step=network.step)
    for node in network.graph.nodes:
        if not finite([run.values[node.name]]):
            return f"The first output to go wrong is that of {_told(node)}."
        if not finite(reference.own(state, node).values()):
            return f"The first to go wrong are the running statistics of {_told(node)}."
    outputs = run.values[network.graph.nodes[-1].name]
    value, delta = network.loss.value_and_delta(outputs, target, given)
    if not (np.isfinite(value) and finite([delta])):
        return f"Every layer's output is finite (the last reaches {abs(outputs).max():.3g}), {network.loss!r} is not."
    deltas, _ = reference.backward(network.graph, params, run, delta)
    for node in reversed(network.graph.nodes):
        # Asked alone, since δ of a value that several layers read does not tell which of them spoilt it.
        dx, gradients = node.layer.backward(reference.own(params, node), run.saved[node.name], deltas[node.name])
        if not finite([*reference.by_input(dx), *gradients.values()]):
            return f"The first gradient to go wrong, from the loss backwards, is that of {_told(node)}."
    return "When the batch was run again every layer stayed finite: look at the penalties, and at layers of your own."


def _told(node: Node) -> str:
    return f"layer {node.name!r}, {node.layer!r}"
