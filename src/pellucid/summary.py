"""What a network consists of and costs: a row for every layer application, and totals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from html import escape
from io import StringIO
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.graph import INPUT, Graph
from pellucid.machine import readable

if TYPE_CHECKING:
    from rich.console import Group

    from pellucid.engine.memory import PlannedMemory

HEADINGS = ("name", "layer", "output shape", "parameters", "multiply-adds")


@dataclass(frozen=True)
class Row:
    """One layer application.

    Attributes:
        name: its path in the network.
        layer: the layer with its settings.
        shape: of its output, without the batch.
        parameters: how many numbers it learns.
        multiply_adds: of one forward pass for one sample.
    """

    name: str
    layer: str
    shape: Shape
    parameters: int
    multiply_adds: int

    def cells(self) -> tuple[str, ...]:
        """Return the text of the row, in the order of the headings."""
        shape = " × ".join(map(str, self.shape))
        return self.name, self.layer, shape, f"{self.parameters:,}", f"{self.multiply_adds:,}"


class Summary:
    """Layers, output shapes, parameters, multiply-adds and memory of a network; print it to read it.

    Attributes:
        rows: one a layer application, in running order.
        input_shape: of one sample.
        dtype: of parameters and values.
        parameters: how many numbers the network learns.
        multiply_adds: of one forward pass for one sample; a backward pass takes about twice as many.
        parameter_bytes: size of the parameters.
        training_bytes_per_sample: kept from the forward to the backward pass: the input, the output of every layer, and
            a δ of the same size for each of them. What a layer notes for itself (which pixel won a window, for one),
            the gradients of the parameters and the optimizer's state come on top.
        inference_bytes_per_sample: the most that is alive at once while predicting, when every value is let go after
            its last reader. What a layer needs while it computes comes on top.
        planned: what the native engine has planned, and takes, for values and δ; None if it does not run the network.

    Args:
        graph: the network's graph.
        params: its parameters by full name.
        dtype: of parameters and values.
        planned: from the native engine.
    """

    def __init__(
        self, graph: Graph, params: Mapping[str, Array], dtype: Any, planned: PlannedMemory | None = None
    ) -> None:
        learned = Counter[str]()
        for name, value in params.items():
            learned[name.rpartition(".")[0]] += value.size
        self.rows = tuple(Row(n.name, repr(n.layer), n.shape, learned[n.name], n.multiply_adds) for n in graph.nodes)
        self.input_shape = graph.input_shape
        self.dtype = np.dtype(dtype)
        self.parameters = sum(row.parameters for row in self.rows)
        self.multiply_adds = sum(row.multiply_adds for row in self.rows)
        self.parameter_bytes = self.parameters * self.dtype.itemsize
        values = prod(self.input_shape) + sum(prod(row.shape) for row in self.rows)
        self.training_bytes_per_sample = 2 * values * self.dtype.itemsize
        self.inference_bytes_per_sample = _most_alive(graph) * self.dtype.itemsize
        self.planned = planned

    def to_json(self) -> dict[str, Any]:
        """Return everything as plain JSON types; bytes of values are for one sample."""
        return {
            "input_shape": list(self.input_shape),
            "dtype": self.dtype.name,
            "layers": [{**asdict(row), "shape": list(row.shape)} for row in self.rows],
            "parameters": self.parameters,
            "multiply_adds": self.multiply_adds,
            "parameter_bytes": self.parameter_bytes,
            "training_bytes_per_sample": self.training_bytes_per_sample,
            "inference_bytes_per_sample": self.inference_bytes_per_sample,
            "planned": None if self.planned is None else asdict(self.planned),
        }

    def __str__(self) -> str:
        """Return the table as text: as wide as the terminal, or as wide as it needs to be where there is none."""
        from rich.console import Console

        terminal, shown = Console(), self.__rich__()
        width = terminal.width if terminal.is_terminal else Console(width=10_000).measure(shown).maximum
        text = StringIO()
        Console(file=text, width=width, color_system=None).print(shown)
        return "\n".join(line.rstrip() for line in text.getvalue().splitlines())

    __repr__ = __str__

    def __rich__(self) -> Group:
        """Return the table and the notes below it for a rich console."""
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(title=self._title(), title_justify="left", show_footer=True)
        for heading, total in zip(HEADINGS, self._totals(), strict=True):
            number, folds = heading in HEADINGS[3:], heading in HEADINGS[:2]
            justify = "right" if number else "left"
            table.add_column(heading, Text(total), justify=justify, overflow="fold", no_wrap=not folds)
        for row in self.rows:
            # Text, so that brackets in a layer's settings are not taken for markup.
            table.add_row(*(Text(cell) for cell in row.cells()))
        return Group(table, *(Text(note) for note in self._notes()))

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head = "".join(f"<th>{escape(heading)}</th>" for heading in HEADINGS)
        body = "".join(_html_row("td", row.cells()) for row in self.rows)
        notes = "<br>".join(map(escape, self._notes()))
        return (
            f"<table><caption>{escape(self._title())}</caption><thead><tr>{head}</tr></thead><tbody>{body}</tbody>"
            f"<tfoot>{_html_row('th', self._totals())}</tfoot></table><p>{notes}</p>"
        )

    def _title(self) -> str:
        return f"input {' × '.join(map(str, self.input_shape))}, {self.dtype.name}"

    def _totals(self) -> tuple[str, ...]:
        return "total", "", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"

    def _notes(self) -> tuple[str, ...]:
        planned = () if self.planned is None else self.planned.notes()
        return (
            f"parameters: {readable(self.parameter_bytes)}",
            f"training, a sample: {readable(self.training_bytes_per_sample)} (input and all outputs, and a δ for each)",
            f"inference, a sample: {readable(self.inference_bytes_per_sample)} (the most values alive at once)",
            *planned,
        )


def _most_alive(graph: Graph) -> int:
    """Return the largest count of numbers alive at once for a sample; see :func:`pellucid.engine.reference.infer`."""
    readers = Counter(source for node in graph.nodes for source in node.inputs)
    alive = {INPUT: prod(graph.input_shape)}
    most = 0
    for node in graph.nodes:
        alive[node.name] = prod(node.shape)
        most = max(most, sum(alive.values()))
        for source in node.inputs:
            readers[source] -= 1
            if not readers[source]:
                del alive[source]
    return most


def _html_row(tag: str, cells: tuple[str, ...]) -> str:
    aligns = ("left", "left", "left", "right", "right")
    inner = (f'<{tag} style="text-align:{a}">{escape(cell)}</{tag}>' for a, cell in zip(aligns, cells, strict=True))
    return f"<tr>{''.join(inner)}</tr>"
