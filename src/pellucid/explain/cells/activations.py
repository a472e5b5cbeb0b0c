"""Cells of the activations: one number from one number, but for softmax."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.explain.cells.draft import Column, Draft, Index, constant, grid, one, sum_of
from pellucid.explain.cells.explainer import Explainer
from pellucid.explain.cells.place import Place
from pellucid.layers import ELU, Dropout, LeakyReLU, ReLU, Sigmoid, Softmax, Tanh
from pellucid.philox import Stream

_NOTHING_DROPPED = "At inference nothing is dropped: y = x."


class ReLUCells(Explainer[ReLU]):
    """y = [x > 0]·x."""

    def value(self, layer: ReLU, at: Place) -> Draft:
        """Explain y."""
        x = at.inputs(one(at.index))
        return self.forward(layer, at, sum_of(_positive(x), x), notes=(_gate(x),))

    def share(self, layer: ReLU, at: Place, slot: int) -> Draft:
        """Explain dx."""
        x = at.inputs(one(at.index))
        return self.backward(layer, at, "dx", sum_of(_positive(x), at.deltas(one(at.index))), notes=(_gate(x),))


class LeakyReLUCells(Explainer[LeakyReLU]):
    """y = x or a·x."""

    def value(self, layer: LeakyReLU, at: Place) -> Draft:
        """Explain y."""
        x = at.inputs(one(at.index))
        return self.forward(layer, at, sum_of(self._slope(layer, x), x))

    def share(self, layer: LeakyReLU, at: Place, slot: int) -> Draft:
        """Explain dx."""
        x = at.inputs(one(at.index))
        return self.backward(layer, at, "dx", sum_of(self._slope(layer, x), at.deltas(one(at.index))))

    def _slope(self, layer: LeakyReLU, x: Column) -> Column:
        a = layer.negative_slope
        return x.through(lambda v: np.where(v > 0, 1.0, a), r"\big([x_# > 0] + a\,[x_# \le 0]\big)", ("a", a))


class ELUCells(Explainer[ELU]):
    """y = x or α(e^x − 1)."""

    def value(self, layer: ELU, at: Place) -> Draft:
        """Explain y."""
        x = at.inputs(one(at.index))
        if x.values[0] >= 0:
            return self.forward(layer, at, sum_of(x))
        return self.forward(layer, at, sum_of(constant(r"\alpha", layer.alpha), x.through(np.expm1, r"(e^{x_#} - 1)")))

    def share(self, layer: ELU, at: Place, slot: int) -> Draft:
        """Explain dx."""
        x, dy = at.inputs(one(at.index)), at.deltas(one(at.index))
        if x.values[0] >= 0:
            return self.backward(layer, at, "dx", sum_of(x.through(np.ones_like, r"[x_# \ge 0]"), dy))
        slope = constant(r"\alpha", layer.alpha), x.through(np.exp, r"e^{x_#}")
        return self.backward(layer, at, "dx", sum_of(*slope, dy))


class SigmoidCells(Explainer[Sigmoid]):
    """y = 1/(1 + e^{−x})."""

    def value(self, layer: Sigmoid, at: Place) -> Draft:
        """Explain y."""
        return self.forward(layer, at, sum_of(at.inputs(one(at.index)).through(sigmoid, r"\frac{1}{1 + e^{-x_#}}")))

    def share(self, layer: Sigmoid, at: Place, slot: int) -> Draft:
        """Explain dx."""
        y, dy = at.outputs(one(at.index)), at.deltas(one(at.index))
        rest = at.inputs(one(at.index)).through(lambda x: sigmoid(-x), r"\Big(1 - \tfrac{1}{1 + e^{-x_#}}\Big)")
        return self.backward(layer, at, "dx", sum_of(y, rest, dy))


class TanhCells(Explainer[Tanh]):
    """y = tanh x."""

    def value(self, layer: Tanh, at: Place) -> Draft:
        """Explain y."""
        return self.forward(layer, at, sum_of(at.inputs(one(at.index)).through(np.tanh, r"\tanh x_#")))

    def share(self, layer: Tanh, at: Place, slot: int) -> Draft:
        """Explain dx."""
        slope = at.outputs(one(at.index)).through(lambda y: 1 - y**2, r"(1 - y_#^2)")
        return self.backward(layer, at, "dx", sum_of(slope, at.deltas(one(at.index))))


class SoftmaxCells(Explainer[Softmax]):
    """y = e^x/Σ e^x over the channels, with the largest x taken off all of them."""

    def value(self, layer: Softmax, at: Place) -> Draft:
        """Explain y."""
        pixel = at.index[1:]
        largest, total = self._partition(at, pixel)
        power = at.inputs(one(at.index)).through(
            lambda x: np.exp(x - largest), r"e^{x_# - \max x}", (r"\max x", largest)
        )
        inverse = at.inner("partition", total, pixel, r"Z_#").through(np.reciprocal, r"\frac{1}{Z_#}")
        notes = (f"The largest x, {largest:.4g}, is taken off every x first; that changes no y.",)
        reads = at.inputs(grid(range(at.input_shape[0]), *([i] for i in pixel))).regions()
        return self.forward(layer, at, sum_of(power, inverse), reads=reads, notes=notes)

    def share(self, layer: Softmax, at: Place, slot: int) -> Draft:
        """Explain dx."""
        every = grid(range(at.input_shape[0]), *([i] for i in at.index[1:]))
        own = at.outputs(one(at.index))
        first = sum_of(own, at.deltas(one(at.index)))
        return self.backward(
            layer, at, "dx", first, sum_of(constant("-1", -1.0), own, at.deltas(every), at.outputs(every))
        )

    def inner(self, layer: Softmax, at: Place, key: str) -> Draft:
        """Explain Z = Σ e^x."""
        if key != "partition":
            return super().inner(layer, at, key)
        largest, _ = self._partition(at, at.index)
        every = grid(range(at.input_shape[0]), *([i] for i in at.index))
        powers = at.inputs(every).through(lambda x: np.exp(x - largest), r"e^{x_# - \max x}", (r"\max x", largest))
        return Draft(r"Z = \sum_k e^{x_{tk} - \max x}", layer.formula.source if layer.formula else "", at.node.name,
                     [sum_of(powers)])  # fmt: skip

    def inner_shape(self, layer: Softmax, output: Shape, key: str) -> Shape:
        """Return (H, W), or () for a vector."""
        return output[1:]

    def _partition(self, at: Place, pixel: Index) -> tuple[float, float]:
        x = at.x[(slice(None), *pixel)].astype(np.float64)
        return float(x.max()), float(np.exp(x - x.max()).sum())


class DropoutCells(Explainer[Dropout]):
    """y = m·x/(1 − p)."""

    def value(self, layer: Dropout, at: Place) -> Draft:
        """Explain y."""
        x = at.inputs(one(at.index))
        if at.training:
            return self.forward(layer, at, sum_of(self._scale(layer, at), x))
        return replace(self.forward(layer, at, sum_of(x), notes=(_NOTHING_DROPPED,)), formula="y = x")

    def share(self, layer: Dropout, at: Place, slot: int) -> Draft:
        """Explain dx."""
        dy = at.deltas(one(at.index))
        if at.training:
            return self.backward(layer, at, "dx", sum_of(self._scale(layer, at), dy))
        passed = r"\frac{\partial J}{\partial x} = \frac{\partial J}{\partial y}"
        return replace(self.backward(layer, at, "dx", sum_of(dy), notes=(_NOTHING_DROPPED,)), formula=passed)

    def _scale(self, layer: Dropout, at: Place) -> Column:
        network = at.view.network
        stream = Stream(network.seed, at.view.trace.step, network.graph.nodes.index(at.node))
        kept = layer.keeps(stream.words(at.batch.shape)[(at.sample, *at.index)])
        return constant(r"\frac{m}{1-p}", float(kept) / (1 - layer.p))


def sigmoid(x: Array) -> Array:
    """Return 1/(1 + e^{−x}) without overflow."""
    e = np.exp(-abs(x))
    return np.where(x >= 0, 1, e) / (1 + e)


def _positive(x: Column) -> Column:
    return x.through(lambda v: (v > 0).astype(np.float64), r"[x_# > 0]")


def _gate(x: Column) -> str:
    return "x > 0: it passes as it is." if x.values[0] > 0 else "x is not above 0: nothing passes."
