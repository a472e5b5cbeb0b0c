"""The zoo's large networks for tests: as graphs of which no numbers are made, and narrowed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

from pellucid import Network
from pellucid.graph import Graph


def graph_of(build: Callable[..., Network], *args: Any, **settings: Any) -> Graph:
    """Return the graph of ``build(*args, **settings)``, none of whose parameters are drawn."""
    module = sys.modules[getattr(build, "func", build).__module__]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "Network", lambda layers, input_shape, **_: Graph(layers, input_shape))
        return build(*args, **settings)


def parameter_count(graph: Graph) -> int:
    """Return how many numbers the network would have."""
    return sum(node.layer.parameter_count(*node.input_shapes) for node in graph.nodes)


def narrowed(graph: Graph, by: int) -> Graph:
    """Return the graph with every count of maps and units but the classes divided by ``by``, and without dropout."""
    described = graph.to_json()
    for entry in described["layers"][:-1]:
        layer = entry["layer"]
        for width in layer.keys() & {"out_channels", "out_features"}:
            layer[width], rest = divmod(layer[width], by)
            assert rest == 0, f"{entry['name']} cannot be divided by {by}"
        if layer["type"] == "Dropout":
            layer["p"] = 0.0
    return Graph.from_json(described)
