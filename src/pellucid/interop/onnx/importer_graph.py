"""An ONNX graph as plain data: what is left of a file once it has been checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import Any

from pellucid.arrays import Tensors
from pellucid.errors import ModelFileError


@dataclass(frozen=True)
class Operation:
    """One ONNX node.

    Attributes:
        kind: the operator, ``"Conv"``.
        name: the node's name; may be empty.
        version: the opset that brought this form of the operator.
        inputs: names of the values it reads, ``""`` for one that is left out.
        outputs: names of the values it gives, likewise.
        attributes: by name, with the defaults of that version; None for one that is left out and has none.
    """

    kind: str
    name: str
    version: int
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]

    @property
    def label(self) -> str:
        """How messages call it."""
        return f"{self.kind} {self.name!r}" if self.name else f"the {self.kind} that gives {self.outputs[0]!r}"

    def error(self, message: str) -> ModelFileError:
        """Return an error that names this node."""
        return ModelFileError(f"{self.label}: {message}")


@dataclass(frozen=True)
class Entry:
    """A value that enters the graph: its name, its NumPy dtype and its shape, each None where the file tells none."""

    name: str
    dtype: str | None
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class OnnxGraph:
    """A checked graph.

    Attributes:
        entries: what it takes, weights left out.
        outputs: names of what it gives.
        constants: the initializers by name.
        operations: in running order; those that no output needs are left out.
    """

    entries: tuple[Entry, ...]
    outputs: tuple[str, ...]
    constants: Tensors
    operations: tuple[Operation, ...]


def in_order(operations: list[Operation], known: Iterable[str], outputs: Iterable[str]) -> tuple[Operation, ...]:
    """Return the operations that the outputs need, in an order in which they can run.

    Args:
        operations: of which each value has at most one.
        known: values that need none: inputs and initializers.
        outputs: of the graph.

    Raises:
        ModelFileError: a value comes from nowhere, or needs itself.
    """
    producer = {name: i for i, operation in enumerate(operations) for name in operation.outputs if name}
    there = set(known)
    for name in outputs:
        if name not in producer and name not in there:
            raise ModelFileError(f"its output {name!r} comes from nowhere: no node gives it")
    needs: dict[int, list[int]] = {}
    stack = [producer[name] for name in outputs if name in producer]
    while stack:
        i = stack.pop()
        if i in needs:
            continue
        for name in operations[i].inputs:
            if name and name not in producer and name not in there:
                raise operations[i].error(
                    f"reads {name!r}, which nothing in the model gives: an initializer is missing"
                )
        needs[i] = [producer[name] for name in operations[i].inputs if name in producer]
        stack.extend(needs[i])
    if all(source < i for i, sources in needs.items() for source in sources):
        return tuple(operations[i] for i in sorted(needs))
    try:
        return tuple(operations[i] for i in TopologicalSorter(needs).static_order())
    except CycleError as error:
        cycle: list[int] = error.args[1]
        raise ModelFileError(
            f"its graph has a cycle, so that it cannot run: {' → '.join(operations[i].label for i in cycle)}"
        ) from None
