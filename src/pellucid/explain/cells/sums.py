"""Cells of the layers with weights: convolution and full connection."""

from __future__ import annotations

import numpy as np

from pellucid.arrays import Array
from pellucid.explain.cells.draft import Column, Draft, Sum, grid, one, sum_of
from pellucid.explain.cells.explainer import Explainer
from pellucid.explain.cells.place import Place
from pellucid.explain.cells.taps import UNREAD, outputs_reading, taps_inside, windows_with_tap
from pellucid.layers import Conv2d, Linear
from pellucid.layers.windows import Axis, axes


class Conv2dCells(Explainer[Conv2d]):
    """y = b + Σ w·x over a window; dx = Σ w·δ over the windows that hold x; dw = Σ δ·x over all windows."""

    def value(self, layer: Conv2d, at: Place) -> Draft:
        """Explain y; taps on the padding are left out, since they add 0."""
        rows, columns = _axes(layer, at)
        f, row, column = at.index
        (j, u), (k, v) = taps_inside(rows, row), taps_inside(columns, column)
        maps, filters = at.input_shape[0] // layer.groups, layer.out_channels // layer.groups
        c = np.arange(maps)
        weights = self._weights(layer, at, grid([f], c, j, k))
        pixels = at.inputs(grid(c + f // filters * maps, u, v))
        outside = rows.kernel * columns.kernel - len(j) * len(k)
        notes = (f"{outside} of the window's {rows.kernel * columns.kernel} taps fall on the padding and add 0.",)
        sums = [sum_of(weights, pixels)]
        if layer.bias:
            sums.insert(0, sum_of(at.parameters("bias", one((f,)), "b_#")))
        return self.forward(layer, at, *sums, notes=notes if outside else ())

    def share(self, layer: Conv2d, at: Place, slot: int) -> Draft:
        """Explain dx: every window that holds the pixel sends back its δ times the weight that met the pixel."""
        rows, columns = _axes(layer, at)
        c, row, column = at.index
        (j, u), (k, v) = outputs_reading(rows, row), outputs_reading(columns, column)
        maps, filters = at.input_shape[0] // layer.groups, layer.out_channels // layer.groups
        f = np.arange(filters) + c // maps * filters
        weights = self._weights(layer, at, grid(f, [c % maps], j, k))
        turned = "turned by 180°, " if max(rows.kernel, columns.kernel) > 1 and not layer.flip else ""
        notes = (f"Each filter, {turned}lies on the δ map with its centre on this pixel.",)
        if (rows.stride, columns.stride, rows.dilation, columns.dilation) != (1, 1, 1, 1):
            notes = () if len(j) and len(k) else (UNREAD,)
        return self.backward(layer, at, "dx", sum_of(weights, at.deltas(grid(f, u, v))), notes=notes)

    def gradient(self, layer: Conv2d, at: Place, key: str) -> Draft:
        """Explain dw and db: a sum over every window of every sample."""
        rows, columns = _axes(layer, at)
        samples = len(at.batch)
        if key == "bias":
            return self.backward(
                layer, at, "dbias", _everywhere(at, at.index[0], samples, range(rows.outputs), range(columns.outputs))
            )
        f, c, j, k = at.index
        if layer.flip:
            j, k = rows.kernel - 1 - j, columns.kernel - 1 - k
        (row, u), (column, v) = windows_with_tap(rows, j), windows_with_tap(columns, k)
        maps, filters = at.input_shape[0] // layer.groups, layer.out_channels // layer.groups
        reads = grid(range(samples), [c + f // filters * maps], u, v)
        return self.backward(
            layer,
            at,
            "dweight",
            _everywhere(at, f, samples, row, column, at.inputs(reads[:, 1:], reads[:, 0])),
        )

    def _weights(self, layer: Conv2d, at: Place, taps: Array) -> Column:
        """Return the weights at taps (f, c, j, k); a flipped filter's stand on the opposite side."""
        if layer.flip:
            height, width = at.view.network.parameters[at.full("weight")].shape[2:]
            taps = taps * (1, 1, -1, -1) + (0, 0, height - 1, width - 1)
        return at.parameters("weight", taps, "w_#")


class LinearCells(Explainer[Linear]):
    """y = b + Σ w·x over all inputs; dx = Σ δ·w over all outputs; dw = Σ δ·x over the samples."""

    def value(self, layer: Linear, at: Place) -> Draft:
        """Explain y."""
        inputs = range(at.input_shape[0])
        sums = [sum_of(at.parameters("weight", grid(at.index, inputs), "w_#"), at.inputs(grid(inputs)))]
        if layer.bias:
            sums.insert(0, sum_of(at.parameters("bias", one(at.index), "b_#")))
        return self.forward(layer, at, *sums)

    def share(self, layer: Linear, at: Place, slot: int) -> Draft:
        """Explain dx."""
        outputs = range(layer.out_features)
        weights = at.parameters("weight", grid(outputs, at.index), "w_#")
        return self.backward(layer, at, "dx", sum_of(at.deltas(grid(outputs)), weights))

    def gradient(self, layer: Linear, at: Place, key: str) -> Draft:
        """Explain dw and db."""
        samples = np.arange(len(at.batch))
        i, *j = at.index
        deltas = at.deltas(np.full((len(samples), 1), i), samples)
        if key == "bias":
            return self.backward(layer, at, "dbias", sum_of(deltas))
        return self.backward(layer, at, "dweight", sum_of(deltas, at.inputs(np.full((len(samples), 1), j[0]), samples)))


def _axes(layer: Conv2d, at: Place) -> tuple[Axis, Axis]:
    _, height, width = at.input_shape
    return axes(layer, (height, width), layer.kernel_size, layer.stride, layer.padding, layer.dilation)


def _everywhere(at: Place, f: int, samples: int, rows: range | Array, columns: range | Array, *others: Column) -> Sum:
    """Return the sum over all samples of δ of one map at some rows and columns, times other columns."""
    where = grid(range(samples), [f], rows, columns)
    return sum_of(at.deltas(where[:, 1:], where[:, 0]), *others)
