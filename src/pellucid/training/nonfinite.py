"""What a training says of NaN and infinity: which numbers are not finite, and where a batch turned into them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum

import numpy as np

from pellucid.arrays import Array
from pellucid.engine import reference
from pellucid.graph import Node
from pellucid.network import Network
from pellucid.training.samples import Samples


def finite(arrays: Iterable[Array]) -> bool:
    """Tell whether there is neither NaN nor infinity in any of the arrays."""
    return all(bool(np.isfinite(array).all()) for array in arrays)


class Fault(Enum):
    """What is not finite; the first that applies."""

    LOSS = "loss"
    STATISTICS = "running statistic"
    GRADIENT = "gradient"
    PARAMETERS = "parameter"


def what_is_not_finite(
    fault: Fault, value: float, network: Network, gradient: Array, data: Samples, rows: Array
) -> str:
    """Return sentences that say what a step found, and where it comes from.

    Args:
        fault: what the step found.
        value: J.
        network: as the step left it.
        gradient: of J; flat.
        data: all samples.
        rows: those of the batch.
    """
    if fault is Fault.PARAMETERS:
        return f"after the update, {_first('the parameter', network.parameters)}."
    if fault is Fault.LOSS:
        told = f"the loss is {value}"
    elif fault is Fault.STATISTICS:
        told = _first("the running statistic", network.state)
    else:
        told = _first("the gradient of", network.named(gradient))
    with np.errstate(all="ignore"):
        return f"{told}. {first_cause(network, data, rows)}"


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


def _first(what: str, arrays: Mapping[str, Array]) -> str:
    first = next(name for name, array in arrays.items() if not finite([array]))
    return f"{what} {first!r} is not finite"
