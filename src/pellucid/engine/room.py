"""Whether a network, or a batch, fits into the machine's memory: asked before anything of it is allocated.

What is counted is the least that is needed. So nothing is refused that could run, and what is far too large is refused
at once, instead of driving the machine into swapping until the system ends the process.
"""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from pellucid import machine
from pellucid.errors import TooLargeError
from pellucid.graph import Graph, Node


def require_room(need: int, what: str, remedy: str) -> None:
    """Raise :class:`TooLargeError` if ``need`` bytes are more than this process can have."""
    there = machine.memory()
    if there is not None and need > there:
        raise TooLargeError(
            f"{what} would take {machine.readable(need)}, and there are {machine.readable(there)} in all; {remedy}"
        )


def require_room_for_parameters(graph: Graph, dtype: np.dtype[Any]) -> None:
    """Raise unless the parameters fit, with what it takes to draw them: float64, a layer at a time, then one array."""
    counts = [node.layer.parameter_count(*node.input_shapes) for node in graph.nodes]
    largest = max(range(len(counts)), key=counts.__getitem__)
    numbers = sum(counts) * dtype.itemsize
    require_room(
        numbers + max(numbers, counts[largest] * 8),
        f"the network's {sum(counts):,} parameters",
        f"{_named(graph.nodes[largest])} has most of them, {counts[largest]:,}: make it smaller, or pool before it",
    )


def sample_bytes(graph: Graph, dtype: np.dtype[Any]) -> int:
    """Return the bytes that one sample takes in the layer that needs most: what it reads and what it writes.

    Raises:
        TooLargeError: not even one sample fits.
    """
    most = 0
    for node in graph.nodes:
        need = (sum(map(prod, node.input_shapes)) + prod(node.shape)) * dtype.itemsize
        require_room(
            need,
            f"one sample in {_named(node)}, {node.input_shapes[0]} → {node.shape},",
            "make the layer smaller, use a larger stride, or pool before it",
        )
        most = max(most, need)
    return most


def largest_output(graph: Graph) -> str:
    """Return, in words, which layer has the largest output."""
    node = max(graph.nodes, key=lambda node: prod(node.shape))
    return f"{_named(node)} has the largest output, {node.shape}"


def _named(node: Node) -> str:
    return f"layer {node.name!r} {node.layer!r}"
