"""A network in the making: what each value of an ONNX graph has become, and the numbers for its layers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.engine.room import require_room
from pellucid.errors import ShapeError
from pellucid.graph import INPUT
from pellucid.interop.onnx.importer_graph import OnnxGraph, Operation
from pellucid.interop.onnx.numpy_operators import aligned
from pellucid.layers.base import Layer, Symbol


@dataclass(frozen=True)
class Value:
    """What a value of the ONNX graph is in the network.

    Attributes:
        symbol: the layer application that gives it.
        shape: of a sample: (K,) or (C, H, W); maps of one line are (C, 1, L).
        ndim: its axes in ONNX, the batch included: 2, 4, or 3 for maps of one line.
        maps: what it was before it was flattened; None if it was not.
    """

    symbol: Symbol
    shape: Shape
    ndim: int
    maps: Value | None = None

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sizes of a map along the axes that ONNX knows of."""
        return self.shape[-(self.ndim - 2) :] if self.ndim > 2 else ()

    @property
    def onnx_shape(self) -> Shape:
        """The sample's shape in ONNX."""
        return (self.shape[0], *self.sizes)


@dataclass
class Draft:
    """The network so far.

    Attributes:
        graph: what it is made from.
        batch: length of the first axis if the model fixes one.
        constants: every array that does not depend on the input, by name.
        values: what depends on it.
        parameters: arrays for the layers' parameters and running statistics, by full name.
    """

    graph: OnnxGraph
    batch: int | None
    constants: Tensors
    values: dict[str, Value] = field(default_factory=dict[str, Value])
    parameters: Tensors = field(default_factory=dict[str, Array])
    _taken: dict[str, int] = field(default_factory=lambda: {INPUT: 1})

    def __post_init__(self) -> None:
        self._readers: dict[str, list[Operation]] = {}
        for operation in self.graph.operations:
            for name in operation.inputs:
                self._readers.setdefault(name, []).append(operation)

    def is_read(self, name: str) -> bool:
        """Tell whether anything needs a value."""
        return name in self._readers or name in self.graph.outputs

    def value(self, operation: Operation, position: int = 0) -> Value:
        """Return an input that must depend on the network's."""
        name = operation.inputs[position]
        if name not in self.values:
            raise operation.error(f"its input {name!r} is a constant; a network takes the sample there")
        return self.values[name]

    def constant(self, operation: Operation, position: int) -> Array | None:
        """Return an input that must not; None if it is left out."""
        name = operation.inputs[position] if position < len(operation.inputs) else ""
        if name in self.values:
            raise operation.error(
                f"its input {name!r} is computed from the network's; a network needs a constant there"
            )
        return self.constants[name] if name else None

    def weight(self, operation: Operation, position: int) -> Array:
        """Return an input that must be a constant and may not be left out."""
        found = self.constant(operation, position)
        if found is None:
            raise operation.error(f"leaves out its input {position + 1}")
        return found

    def only_reader(self, name: str) -> Operation | None:
        """Return the operation that alone reads a value; None if it has other readers or none."""
        readers = self._readers.get(name, [])
        return readers[0] if len(readers) == 1 else None

    def following_bias(self, operation: Operation, channels: int) -> tuple[Operation, Array] | None:
        """Return the Add of one constant a channel that alone reads an operation's output, and that constant."""
        reader = self.only_reader(operation.outputs[0])
        if reader is None or reader.kind != "Add":
            return None
        (name,) = [name for name in reader.inputs if name != operation.outputs[0]]
        ndim = self.values[operation.inputs[0]].ndim
        if name not in self.constants:
            return None
        addend = aligned(reader, ndim, self.constants[name])
        shape = (1,) * (ndim - addend.ndim) + addend.shape
        if len(shape) != ndim or shape[1] not in (1, channels) or prod(shape) != shape[1]:
            return None
        return reader, np.broadcast_to(addend.reshape(-1), (channels,))

    def add(
        self,
        operation: Operation,
        layer: Layer,
        *sources: Value,
        ndim: int | None = None,
        arrays: Tensors | None = None,
    ) -> Value:
        """Apply a layer.

        Args:
            operation: what it stands for, and is named after.
            layer: the layer.
            sources: what it reads.
            ndim: axes of the output in ONNX, if they are not those of the input.
            arrays: its parameters and running statistics.

        Raises:
            ModelFileError: the layer or an array does not fit.
            TooLargeError: no memory could hold a sample of the output.
        """
        try:
            shape = layer.output_shape(*(source.shape for source in sources))
        except ShapeError as error:
            raise operation.error(str(error)) from error
        require_room(4 * prod(shape), f"one sample of {operation.label}, {shape},", "the model asks for too much")
        name = self.free_name(_wanted_name(operation) or f"{operation.kind.lower()}{len(self._taken)}")
        self.parameters |= {f"{name}.{key}": array for key, array in (arrays or {}).items()}
        symbol = replace(layer, name=name)(*(source.symbol for source in sources))
        return Value(symbol, shape, ndim or sources[0].ndim)

    def free_name(self, wanted: str) -> str:
        """Return a name, with a number behind it if it is taken, and take it."""
        name = wanted
        while name in self._taken:
            self._taken[wanted] += 1
            name = f"{wanted}_{self._taken[wanted]}"
        self._taken[name] = 1
        return name


def _wanted_name(operation: Operation) -> str:
    """Return the name of a weight without its ending, or else that of the node; empty if it has none."""
    stems = [name.removesuffix(".weight") for name in operation.inputs[1:2] if name.endswith(".weight")]
    return next(filter(None, [*stems, _module_path(operation)]), "")


def _module_path(operation: Operation) -> str:
    """Return a node's name; of ``"/layer1/layer1.0/conv1/Conv"``, as PyTorch writes it, the path ``"layer1.0.conv1"``.

    PyTorch folds batch norms into convolutions, whose weights then have lost their names.
    """
    if not operation.name.startswith("/"):
        return operation.name
    *scopes, kind = operation.name.strip("/").split("/")
    path: list[str] = []
    for scope in scopes:
        if path and scope.startswith(f"{path[-1]}."):
            path.pop()  # the children of a Sequential repeat its name
        path.append(scope)
    has_weights = operation.kind in ("Conv", "Gemm", "MatMul", "BatchNormalization")
    return ".".join(path if path and has_weights else [*path, kind])


def pair(numbers: Any) -> Any:
    """Return settings along one or two axes as a layer takes them: one number if both are the same."""
    height, width = (1, *numbers) if len(numbers) == 1 else numbers
    return height if height == width else (height, width)
