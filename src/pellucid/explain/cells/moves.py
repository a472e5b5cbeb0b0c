"""Cells of the layers that move numbers, and of those that join branches."""

from __future__ import annotations

from itertools import accumulate

import numpy as np

from pellucid.explain.cells.draft import Draft, Index, constant, one, sum_of
from pellucid.explain.cells.explainer import Explainer
from pellucid.explain.cells.place import Place
from pellucid.layers import Add, Concat, Flatten, Pad2d, PadChannels


class FlattenCells(Explainer[Flatten]):
    """y is x in a row."""

    def value(self, layer: Flatten, at: Place) -> Draft:
        """Explain y."""
        return self.forward(layer, at, sum_of(at.inputs(one(self._from(layer, at, at.index[0])))))

    def share(self, layer: Flatten, at: Place, slot: int) -> Draft:
        """Explain dx."""
        return self.backward(layer, at, "dx", sum_of(at.deltas(one(self._to(layer, at)))))

    def _from(self, layer: Flatten, at: Place, k: int) -> Index:
        if len(at.input_shape) == 3 and layer.column_major:
            channels, height, width = at.input_shape
            c, v, u = np.unravel_index(k, (channels, width, height))
            return int(c), int(u), int(v)
        return tuple(int(i) for i in np.unravel_index(k, at.input_shape))

    def _to(self, layer: Flatten, at: Place) -> Index:
        if len(at.input_shape) == 3 and layer.column_major:
            channels, height, width = at.input_shape
            c, u, v = at.index
            return (int(np.ravel_multi_index((c, v, u), (channels, width, height))),)
        return (int(np.ravel_multi_index(at.index, at.input_shape)),)


class Pad2dCells(Explainer[Pad2d]):
    """y is x inside the border."""

    def value(self, layer: Pad2d, at: Place) -> Draft:
        """Explain y."""
        (top, _), (left, _) = layer.sides
        _, height, width = at.input_shape
        c, row, column = at.index
        u, v = row - top, column - left
        if 0 <= u < height and 0 <= v < width:
            return self.forward(layer, at, sum_of(at.inputs(one((c, u, v)))))
        return self.forward(layer, at, sum_of(constant(r"\text{value}", layer.value)), notes=("This is the border.",))

    def share(self, layer: Pad2d, at: Place, slot: int) -> Draft:
        """Explain dx."""
        (top, _), (left, _) = layer.sides
        c, u, v = at.index
        return self.backward(layer, at, "dx", sum_of(at.deltas(one((c, u + top, v + left)))))


class PadChannelsCells(Explainer[PadChannels]):
    """y is x, and zeros behind it."""

    def value(self, layer: PadChannels, at: Place) -> Draft:
        """Explain y."""
        if at.index[0] < at.input_shape[0]:
            return self.forward(layer, at, sum_of(at.inputs(one(at.index))))
        return self.forward(layer, at, sum_of(constant("0", 0.0)), notes=("This is one of the maps of zeros.",))

    def share(self, layer: PadChannels, at: Place, slot: int) -> Draft:
        """Explain dx."""
        return self.backward(layer, at, "dx", sum_of(at.deltas(one(at.index))))


class AddCells(Explainer[Add]):
    """y is the sum of the branches; δ goes back to each of them."""

    def value(self, layer: Add, at: Place) -> Draft:
        """Explain y."""
        branches = (at.inputs(one(at.index), slot=i, symbol=f"x^{{({i + 1})}}_#") for i in range(len(at.node.inputs)))
        return self.forward(layer, at, *map(sum_of, branches))

    def share(self, layer: Add, at: Place, slot: int) -> Draft:
        """Explain dx."""
        return self.backward(layer, at, "dx", sum_of(at.deltas(one(at.index))))


class ConcatCells(Explainer[Concat]):
    """y is the branches behind each other."""

    def value(self, layer: Concat, at: Place) -> Draft:
        """Explain y."""
        starts = self._starts(at)
        slot = max(i for i, start in enumerate(starts) if start <= at.index[0])
        index = (at.index[0] - starts[slot], *at.index[1:])
        note = f"It is map {index[0]} of branch {slot + 1}, {at.node.inputs[slot]}."
        x = at.inputs(one(index), slot=slot, symbol=f"x^{{({slot + 1})}}_#")
        return self.forward(layer, at, sum_of(x), notes=(note,))

    def share(self, layer: Concat, at: Place, slot: int) -> Draft:
        """Explain dx."""
        index = (at.index[0] + self._starts(at)[slot], *at.index[1:])
        return self.backward(layer, at, "dx", sum_of(at.deltas(one(index))))

    def _starts(self, at: Place) -> list[int]:
        return [0, *accumulate(shape[0] for shape in at.node.input_shapes)][:-1]
