"""An ONNX graph in the making, as plain data: operations, constants, and a name for each that is taken only once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.errors import ExportError


@dataclass(frozen=True)
class Operation:
    """One ONNX node; it is called by its output."""

    kind: str
    inputs: tuple[str, ...]
    output: str
    attributes: dict[str, Any]


@dataclass
class Draft:
    """What an ONNX graph will hold.

    Attributes:
        dtype: of all real numbers; whole ones are int64.
        operations: ONNX nodes in running order.
        constants: arrays by name.
        shapes: value to its shape without the batch, for those whose shape is known.
    """

    dtype: np.dtype[Any]
    operations: list[Operation] = field(default_factory=list[Operation])
    constants: Tensors = field(default_factory=dict[str, Array])
    shapes: dict[str, Shape] = field(default_factory=dict[str, Shape])
    _taken: set[str] = field(default_factory=set[str])

    def name(self, wanted: str) -> str:
        """Return ``wanted``, or with a number behind it if that name is taken; it is taken from now on."""
        name, number = wanted, 1
        while name in self._taken:
            number += 1
            name = f"{wanted}_{number}"
        self._taken.add(name)
        return name

    def constant(self, wanted: str, value: Any) -> str:
        """Add an array; return its name.

        Raises:
            ExportError: it holds numbers too large for :attr:`dtype`.
        """
        given = np.asarray(value)
        with np.errstate(over="ignore"):
            array = given.astype(self.dtype if given.dtype.kind == "f" else np.int64, copy=False)
        if np.isfinite(given[np.isinf(array)]).any():
            raise ExportError(f"{wanted!r} holds numbers too large for {self.dtype}; export with dtype='float64'")
        name = self.name(wanted)
        self.constants[name] = array
        return name


class Place:
    """Where a layer goes in an ONNX graph: what it reads, its numbers, and the way to add operators.

    Attributes:
        inputs: the ONNX values that the layer reads.
        input_shapes: their shapes, without the batch.
        tensors: the layer's parameters and running statistics, ``"weight"``, ``"bias"``, …
    """

    def __init__(
        self, draft: Draft, path: str, inputs: tuple[str, ...], input_shapes: tuple[Shape, ...], tensors: Tensors
    ) -> None:
        self._draft, self._path = draft, path
        self.inputs, self.input_shapes, self.tensors = inputs, input_shapes, tensors

    def own(self, key: str) -> str:
        """Add one of the layer's tensors to the graph, under its full name; return that name."""
        return self.constant(key, self.tensors[key])

    def constant(self, key: str, value: Any) -> str:
        """Add an array to the graph; return its name. Real numbers get the graph's dtype, whole ones int64."""
        return self._draft.constant(f"{self._path}.{key}", value)

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add an ONNX operator of opset 18, ``add("Elu", x, alpha=1.0)``; return the name of its output."""
        output = self._draft.name(f"{self._path}/{kind}")
        self._draft.operations.append(Operation(kind, inputs, output, attributes))
        return output
