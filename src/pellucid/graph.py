"""The graph every network becomes: layer applications in the order they run, with their shapes and parameter names.

A list of layers, nested Sequential, Residual and Concat, and the functional form all expand to the same thing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.arrays import Rng, Shape, Tensors
from pellucid.description import from_json, to_json
from pellucid.errors import ConfigError, ShapeError
from pellucid.layers.base import Layer, Symbol
from pellucid.layers.combine import Sequential

#: the name of the value that enters the network
INPUT = "input"


@dataclass(frozen=True)
class Node:
    """One application of a layer.

    Attributes:
        name: dotted path, e.g. ``"layer1.0.conv1"``; with ``.weight`` behind it, the name of a parameter.
        layer: the settings.
        inputs: names of the nodes whose outputs it reads, or :data:`INPUT`.
        input_shapes, shape: without the batch.
    """

    name: str
    layer: Layer
    inputs: tuple[str, ...]
    input_shapes: tuple[Shape, ...]
    shape: Shape

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of one sample's forward pass."""
        return self.layer.multiply_adds(*self.input_shapes)


class Graph:
    """Layer applications in running order; the last one gives the output.

    Args:
        layers: a list of layers, one layer, or the last symbol of the functional form.
        input_shape: (C, H, W) or (K,); may be left out for the functional form.

    Raises:
        ConfigError: two nodes share a name, or the functional form has several inputs.
        ShapeError: a layer does not fit its input; the message shows the chain of shapes up to it.
    """

    def __init__(self, layers: Sequence[Layer] | Layer | Symbol, input_shape: Shape | None = None) -> None:
        self.nodes: list[Node] = []
        self._shapes: dict[str, Shape] = {}
        if isinstance(layers, Symbol):
            self._connect_symbols(layers, input_shape)
        else:
            self._set_input(input_shape)
            (layers if isinstance(layers, Layer) else Sequential(layers)).connect(self, "", INPUT)
        if not self.nodes:
            raise ConfigError("a network needs at least one layer")

    @property
    def input_shape(self) -> Shape:
        """Shape of one input sample."""
        return self._shapes[INPUT]

    @property
    def output_shape(self) -> Shape:
        """Shape of one output sample."""
        return self.nodes[-1].shape

    def add(self, path: str, layer: Layer, *sources: str) -> str:
        """Add one application of ``layer``; see :class:`pellucid.layers.base.Wiring`."""
        if not path:
            path = layer.name or "0"
        if path in self._shapes:
            raise ConfigError(
                f"two layers are called {path!r}; give each a name of its own (a layer that is used twice has two "
                "sets of weights, so it needs two names)"
            )
        input_shapes = tuple(self._shapes[source] for source in sources)
        try:
            shape = layer.output_shape(*input_shapes)
        except ShapeError as error:
            raise ShapeError(f"layer {path!r} does not fit. {error}\n{self._chain(path, layer)}") from error
        self.nodes.append(Node(path, layer, sources, input_shapes, tuple(shape)))
        self._shapes[path] = tuple(shape)
        return path

    def init_tensors(self, rng: Rng, dtype: Any) -> tuple[Tensors, Tensors]:
        """Return fresh ``(parameters, state)`` of all layers by full name, in ``dtype``."""
        params: Tensors = {}
        state: Tensors = {}
        for node in self.nodes:
            shape = node.input_shapes[0]
            for key, value in node.layer.init_params(shape, rng).items():
                params[f"{node.name}.{key}"] = np.array(value, dtype=dtype, order="C")
            for key, value in node.layer.init_state(shape).items():
                state[f"{node.name}.{key}"] = np.array(value, dtype=dtype, order="C")
        return params, state

    def to_json(self) -> dict[str, Any]:
        """Return the graph as plain JSON types."""
        return {
            "input_shape": list(self.input_shape),
            "layers": [{"name": n.name, "layer": to_json(n.layer), "inputs": list(n.inputs)} for n in self.nodes],
        }

    @classmethod
    def from_json(cls, data: Any) -> Graph:
        """Rebuild a graph written by :meth:`to_json`.

        Raises:
            ConfigError: the description is not well formed, or names an unknown layer.
            ShapeError: its layers do not fit each other.
        """
        graph = cls.__new__(cls)
        graph.nodes, graph._shapes = [], {}
        try:
            graph._set_input(tuple(data["input_shape"]))
            for entry in data["layers"]:
                graph.add(str(entry["name"]), from_json(entry["layer"], Layer), *entry["inputs"])
        except (KeyError, TypeError, NotImplementedError) as error:
            raise ConfigError(
                f"the network's description is not well formed: {type(error).__name__} {error}"
            ) from error
        if not graph.nodes:
            raise ConfigError("the network's description has no layers")
        return graph

    def _set_input(self, shape: Shape | None) -> None:
        if shape is None:
            raise ConfigError(
                "give input_shape, e.g. input_shape=(1, 28, 28) for 28×28 grey images, or start with Input"
            )
        good = isinstance(shape, (tuple, list)) and len(shape) in (1, 3)  # pyright: ignore
        good = good and all(isinstance(n, int) and n >= 1 for n in shape)  # pyright: ignore
        if not good:
            raise ShapeError(
                f"input_shape must be (channels, height, width) or (features,), without the batch; got {shape}"
            )
        self._shapes[INPUT] = tuple(shape)

    def _connect_symbols(self, output: Symbol, input_shape: Shape | None) -> None:
        order: list[Symbol] = []
        stack: list[tuple[Symbol, bool]] = [(output, False)]
        seen: set[int] = set()
        while stack:
            symbol, inputs_done = stack.pop()
            if inputs_done:
                order.append(symbol)
            elif id(symbol) not in seen:
                seen.add(id(symbol))
                stack.append((symbol, True))
                stack.extend((source, False) for source in reversed(symbol.inputs))
        starts = [symbol for symbol in order if symbol.layer is None]
        if len(starts) != 1:
            raise ConfigError(f"a network has one Input, this one has {len(starts)}")
        if input_shape is not None and tuple(input_shape) != starts[0].shape:
            raise ConfigError(f"input_shape {tuple(input_shape)} contradicts Input({starts[0].shape}); leave it out")
        self._set_input(starts[0].shape)
        names = {id(starts[0]): INPUT}
        position = 0
        for symbol in order:
            if symbol.layer is not None:
                sources = [names[id(source)] for source in symbol.inputs]
                names[id(symbol)] = symbol.layer.connect(self, symbol.layer.name or str(position), *sources)
                position += 1

    def _chain(self, path: str, layer: Layer) -> str:
        rows = [(INPUT, "", str(self._shapes[INPUT]))]
        rows += [(node.name, repr(node.layer), str(node.shape)) for node in self.nodes[-12:]]
        rows.append((path, repr(layer), "does not fit"))
        widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
        lines = [f"  {name:<{widths[0]}}  {what:<{widths[1]}}  {shape}" for name, what, shape in rows]
        if len(self.nodes) > 12:
            lines.insert(1, f"  … {len(self.nodes) - 12} more layers")
        return "Shapes up to there:\n" + "\n".join(lines)
