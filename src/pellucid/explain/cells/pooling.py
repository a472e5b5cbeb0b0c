"""Cells of the pooling layers."""

from __future__ import annotations

from math import prod
from typing import TypeVar

import numpy as np

from pellucid.arrays import Array
from pellucid.explain.cells.draft import Column, Draft, constant, grid, one, sum_of
from pellucid.explain.cells.explainer import Explainer
from pellucid.explain.cells.latex import listed
from pellucid.explain.cells.place import Place
from pellucid.explain.cells.taps import UNREAD, outputs_reading, taps_inside
from pellucid.layers import AvgPool2d, GlobalAvgPool2d, LPPool2d, MaxPool2d
from pellucid.layers.pooling import Pool2d
from pellucid.layers.windows import Axis, axes

P = TypeVar("P", bound=Pool2d)


class WindowCells(Explainer[P]):
    """What the layers that reduce a window share: which pixels it holds, and which windows hold a pixel."""

    def window(self, layer: P, at: Place, row: int, column: int) -> Array:
        """Return the pixels (c, u, v) of a window, row by row, without the padding."""
        rows, columns = _axes(layer, at)
        return grid([at.index[0]], taps_inside(rows, row)[1], taps_inside(columns, column)[1])

    def holding(self, layer: P, at: Place) -> Array:
        """Return the windows (c, l, m) that hold the pixel ``at.index``, in their order."""
        rows, columns = _axes(layer, at)
        c, row, column = at.index
        return grid([c], np.sort(outputs_reading(rows, row)[1]), np.sort(outputs_reading(columns, column)[1]))


class MaxPool2dCells(WindowCells[MaxPool2d]):
    """y = the largest pixel of a window; δ goes back to it alone."""

    def value(self, layer: MaxPool2d, at: Place) -> Draft:
        """Explain y."""
        pixels = self.window(layer, at, *at.index[1:])
        winner = self._winner(at, pixels)
        note = f"The largest of the window's {len(pixels)} pixels sits at {_where(winner)}."
        ties = int((at.inputs(pixels).values == at.x[tuple(winner)]).sum())
        notes = (note, f"{ties} pixels are equally large; the first one wins.") if ties > 1 else (note,)
        written = listed(r"\max", at.inputs(pixels).values.tolist())
        reads = at.inputs(pixels).regions()
        return self.forward(layer, at, sum_of(at.inputs(winner[None])), written=written, reads=reads, notes=notes)

    def share(self, layer: MaxPool2d, at: Place, slot: int) -> Draft:
        """Explain dx: the δ of every window that this pixel has won."""
        held = self.holding(layer, at)
        won = [tuple(self._winner(at, self.window(layer, at, row, column))) == at.index for _, row, column in held]
        deltas = at.deltas(held[np.array(won, bool)])
        reads, notes = at.deltas(held).regions(), (_routed(sum(won), len(held)),)
        return self.backward(layer, at, "dx", sum_of(deltas), reads=reads, notes=notes)

    def _winner(self, at: Place, pixels: Array) -> Array:
        """Return the first largest of some pixels, as the layer finds it."""
        return pixels[at.x[tuple(pixels.T)].argmax()]


class AvgPool2dCells(WindowCells[AvgPool2d]):
    """y = the mean of a window; every pixel of it gets the same part of δ."""

    def value(self, layer: AvgPool2d, at: Place) -> Draft:
        """Explain y."""
        pixels = self.window(layer, at, *at.index[1:])
        share = constant(r"\frac{1}{n}", 1 / self._count(layer, at, one(at.index))[0])
        return self.forward(layer, at, sum_of(share, at.inputs(pixels)))

    def share(self, layer: AvgPool2d, at: Place, slot: int) -> Draft:
        """Explain dx."""
        held = self.holding(layer, at)
        sums = [
            sum_of(constant(r"\frac{1}{n}", 1 / n), at.deltas(window[None]))
            for n, window in zip(self._count(layer, at, held), held, strict=True)
        ]
        return self.backward(layer, at, "dx", *sums, given=None if sums else 0.0, notes=() if sums else (UNREAD,))

    def _count(self, layer: AvgPool2d, at: Place, windows: Array) -> Array:
        """Return n of some windows (c, l, m)."""
        rows, columns = _axes(layer, at)
        per_row, per_column = (self._counted(layer, axis) for axis in (rows, columns))
        return per_row[windows[:, 1]] * per_column[windows[:, 2]]

    def _counted(self, layer: AvgPool2d, axis: Axis) -> Array:
        before, after = (axis.before, axis.after) if layer.count_include_pad else (0, 0)
        return axis.taps_between(-before, axis.length + after)


class LPPool2dCells(WindowCells[LPPool2d]):
    """y = the p-norm of a window."""

    def value(self, layer: LPPool2d, at: Place) -> Draft:
        """Explain y."""
        p = layer.norm_type
        pixels = at.inputs(self.window(layer, at, *at.index[1:]))
        powers = pixels.through(lambda x: abs(x) ** p, rf"|x_#|^{{{p:g}}}")

        def root(total: float) -> float:
            return total ** (1 / p)

        return self.forward(layer, at, sum_of(powers), outer=(rf"\Big(#\Big)^{{1/{p:g}}}", root))

    def share(self, layer: LPPool2d, at: Place, slot: int) -> Draft:
        """Explain dx; a window of zeros sends nothing back."""
        p, x, every = layer.norm_type, at.inputs(one(at.index)), self.holding(layer, at)
        held = every[at.y[tuple(every.T)] > 0]
        notes = () if len(every) else (UNREAD,)
        sign = x.through(np.sign, r"\operatorname{sign}(x_#)")
        size = x.through(lambda v: abs(v) ** (p - 1), rf"|x_#|^{{{p - 1:g}}}")
        norm = at.outputs(held).through(lambda y: y ** (1 - p), rf"y_#^{{{1 - p:g}}}")
        return self.backward(layer, at, "dx", sum_of(sign, size, norm, at.deltas(held)), notes=notes)


class GlobalAvgPool2dCells(Explainer[GlobalAvgPool2d]):
    """y = the mean of a map."""

    def value(self, layer: GlobalAvgPool2d, at: Place) -> Draft:
        """Explain y."""
        _, height, width = at.input_shape
        pixels = at.inputs(grid(at.index, range(height), range(width)))
        return self.forward(layer, at, sum_of(self._share(at), pixels))

    def share(self, layer: GlobalAvgPool2d, at: Place, slot: int) -> Draft:
        """Explain dx."""
        return self.backward(layer, at, "dx", sum_of(self._share(at), at.deltas(one(at.index[:1]))))

    def _share(self, at: Place) -> Column:
        return constant(r"\frac{1}{HW}", 1 / prod(at.input_shape[1:]))


def _axes(layer: Pool2d, at: Place) -> tuple[Axis, Axis]:
    _, height, width = at.input_shape
    stride = layer.kernel_size if layer.stride is None else layer.stride
    return axes(layer, (height, width), layer.kernel_size, stride, layer.padding, layer.dilation, layer.ceil_mode)


def _where(pixel: Array) -> str:
    return f"({', '.join(str(int(i)) for i in pixel[1:])})"


def _routed(won: int, windows: int) -> str:
    """Return in words which windows send their δ back to a pixel."""
    match won, windows:
        case _, 0:
            return UNREAD
        case 1, 1:
            return "It is the largest of the window that holds it, whose δ comes back to it."
        case 0, 1:
            return "It is not the largest of the window that holds it, so no δ comes back to it."
        case _:
            return f"It is the largest in {won} of the {windows} windows that hold it; their δ comes back to it."
