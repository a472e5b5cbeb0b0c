"""Cells of the layers that normalize."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.explain.cell import Region
from pellucid.explain.cells.draft import Column, Draft, Index, Places, constant, grid, one, sum_of
from pellucid.explain.cells.explainer import Explainer
from pellucid.explain.cells.place import Place
from pellucid.layers import BatchNorm, BatchNorm2d, LocalResponseNorm


@dataclass(frozen=True)
class _Statistics:
    """Mean and variance that one activation is normalized with, over ``count`` values of the batch."""

    mean: float
    variance: float
    count: int


class _Letters(NamedTuple):
    """A layer's own letters for γ, β, the variance, and the values that it is taken over."""

    gamma: str
    beta: str
    variance: str
    count: str


_EPELBAUM = _Letters(r"\gamma", r"\beta", r"\sigma^2", "m")
_GRISHIN = _Letters(r"\alpha", r"\beta", "V", "N")


class BatchNormCells(Explainer[BatchNorm2d | BatchNorm]):
    """y = γ·x̂ + β; dx has a term of its own δ, one through the mean and one through the variance."""

    def value(self, layer: BatchNorm2d | BatchNorm, at: Place) -> Draft:
        """Explain y."""
        unit, found = self._unit(layer, at), self._statistics(layer, at)
        normalized = at.inner("normalized", self._normalized(layer, at, found), at.index, r"\hat{x}_#")
        gamma, beta = self._coefficients(layer, at, unit)
        reads = (*at.inputs(one(at.index)).regions(), *self._shared_region(layer, at, at.node.inputs[0], "value"))
        draft = self.forward(
            layer, at, sum_of(gamma, normalized), sum_of(beta), reads=reads, notes=self._notes(layer, at, found)
        )
        if at.training:
            return draft
        letters = self._letters(layer)
        return replace(
            draft,
            formula=rf"y = {letters.gamma}\,\hat{{x}} + {letters.beta},\quad {self._formula_of_normalized(layer)}",
        )

    def share(self, layer: BatchNorm2d | BatchNorm, at: Place, slot: int) -> Draft:
        """Explain dx."""
        unit, found = self._unit(layer, at), self._statistics(layer, at)
        gamma, _ = self._coefficients(layer, at, unit)
        inverse = self._inverse(layer, at, unit, found)
        own = sum_of(gamma, inverse, at.deltas(one(at.index)))
        if not at.training:
            letters = self._letters(layer)
            passed = rf"\frac{{{letters.gamma}}}{{\sqrt{{{letters.variance} + \epsilon}}}}"
            formula = rf"\frac{{\partial J}}{{\partial x}} = {passed}\,\frac{{\partial J}}{{\partial y}}"
            return replace(self.backward(layer, at, "dx", own, notes=self._notes(layer, at, found)), formula=formula)
        part = constant(rf"-\frac{{1}}{{{self._letters(layer).count}}}", -1 / found.count)
        normalized = at.inner("normalized", self._normalized(layer, at, found), at.index, r"\hat{x}_#")
        dbeta = at.gradients("bias", one(unit), rf"\frac{{\partial J}}{{\partial {self._letters(layer).beta}_#}}")
        dgamma = at.gradients("weight", one(unit), rf"\frac{{\partial J}}{{\partial {self._letters(layer).gamma}_#}}")
        notes = (
            "The first term is this number's own δ, the second comes through the batch's mean, the third through its "
            "variance.",
            *self._notes(layer, at, found),
        )
        return self.backward(
            layer, at, "dx", own, sum_of(gamma, inverse, part, dbeta), sum_of(gamma, inverse, part, normalized, dgamma),
            reads=self._shared_region(layer, at, at.node.name, "delta"), notes=notes,
        )  # fmt: skip

    def gradient(self, layer: BatchNorm2d | BatchNorm, at: Place, key: str) -> Draft:
        """Explain dγ and dβ: a sum over the values that share them."""
        where = self._sharing(layer, at, at.index)
        deltas = at.deltas(where[:, 1:], where[:, 0])
        if key == "bias":
            return self.backward(layer, at, "dbias", sum_of(deltas))
        found = self._statistics_of(layer, at, at.index)
        x = at.inputs(where[:, 1:], where[:, 0]).values
        normalized = Column(
            r"\hat{x}_#",
            (x - found.mean) / np.sqrt(found.variance + layer.eps),
            Places(at.full("normalized"), "inner", where[:, 1:], where[:, 0]),
        )
        return self.backward(layer, at, "dweight", sum_of(deltas, normalized))

    def inner(self, layer: BatchNorm2d | BatchNorm, at: Place, key: str) -> Draft:
        """Explain x̂, and the batch's mean and variance."""
        source = layer.formula.source if layer.formula else ""
        if key == "normalized":
            unit, found = self._unit(layer, at), self._statistics(layer, at)
            inverse, mean = self._inverse(layer, at, unit, found), self._mean(at, unit, found)
            sums = [sum_of(at.inputs(one(at.index)), inverse), sum_of(constant("-1", -1.0), mean, inverse)]
            formula = self._formula_of_normalized(layer)
            return Draft(formula, source, at.node.name, sums, notes=self._notes(layer, at, found))
        if key not in ("mean", "variance") or not at.training:
            return super().inner(layer, at, key)
        where = self._sharing(layer, at, at.index)
        x = at.inputs(where[:, 1:], where[:, 0])
        letters = self._letters(layer)
        one_by_count = rf"\frac{{1}}{{{letters.count}}}"
        share = constant(one_by_count, 1 / len(where))
        if key == "mean":
            return Draft(rf"\mu = {one_by_count} \sum x", source, at.node.name, [sum_of(share, x)])
        mean = self._statistics_of(layer, at, at.index).mean
        spread = x.through(lambda v: (v - mean) ** 2, r"(x_# - \mu)^2", (r"\mu", mean))
        notes = (f"Around the mean μ = {mean:.6g}.",)
        return Draft(rf"{letters.variance} = {one_by_count} \sum (x - \mu)^2", source, at.node.name,
                     [sum_of(share, spread)], notes=notes)  # fmt: skip

    def inner_shape(self, layer: BatchNorm2d | BatchNorm, output: Shape, key: str) -> Shape:
        """Return that of y, or of the coefficients."""
        return output[:1] if self.inner_is_shared(key) and isinstance(layer, BatchNorm2d) else output

    def inner_is_shared(self, key: str) -> bool:
        """Tell whether it is a statistic of the batch."""
        return key != "normalized"

    def _unit(self, layer: BatchNorm2d | BatchNorm, at: Place) -> Index:
        """Return the index of γ, β and the statistics that ``at.index`` is normalized with."""
        return at.index[:1] if isinstance(layer, BatchNorm2d) else at.index

    def _sharing(self, layer: BatchNorm2d | BatchNorm, at: Place, unit: Index) -> Array:
        """Return the places (t, ...) that share them."""
        rest = [range(n) for n in at.input_shape[1:]] if isinstance(layer, BatchNorm2d) else []
        return grid(range(len(at.batch)), *([i] for i in unit), *rest)

    def _shared_region(self, layer: BatchNorm2d | BatchNorm, at: Place, node: str, what: str) -> tuple[Region, ...]:
        """Return the cells of every sample that the statistics are taken over; none where they are the running ones."""
        if not at.training:
            return ()
        whole = tuple((0, n, 1) for n in at.input_shape[1:]) if isinstance(layer, BatchNorm2d) else ()
        own = tuple((i, i + 1, 1) for i in self._unit(layer, at))
        return (Region(node, what, None, own + whole),)

    def _statistics(self, layer: BatchNorm2d | BatchNorm, at: Place) -> _Statistics:
        return self._statistics_of(layer, at, self._unit(layer, at))

    def _statistics_of(self, layer: BatchNorm2d | BatchNorm, at: Place, unit: Index) -> _Statistics:
        if not at.training:
            state = at.view.network.state
            mean, variance = (float(state[at.full(key)][unit]) for key in ("running_mean", "running_var"))
            return _Statistics(mean, variance, 1)
        x = at.batch[(slice(None), *unit)].astype(np.float64)
        mean = float(x.mean())
        return _Statistics(mean, float(np.square(x - mean).mean()), x.size)

    def _normalized(self, layer: BatchNorm2d | BatchNorm, at: Place, found: _Statistics) -> float:
        return float((float(at.x[at.index]) - found.mean) / np.sqrt(found.variance + layer.eps))

    def _coefficients(self, layer: BatchNorm2d | BatchNorm, at: Place, unit: Index) -> tuple[Column, Column]:
        letters = self._letters(layer)
        return (
            at.parameters("weight", one(unit), f"{letters.gamma}_#"),
            at.parameters("bias", one(unit), f"{letters.beta}_#"),
        )

    def _letters(self, layer: BatchNorm2d | BatchNorm) -> _Letters:
        return _EPELBAUM if isinstance(layer, BatchNorm2d) else _GRISHIN

    def _formula_of_normalized(self, layer: BatchNorm2d | BatchNorm) -> str:
        return rf"\hat{{x}} = \frac{{x - \mu}}{{\sqrt{{{self._letters(layer).variance} + \epsilon}}}}"

    def _mean(self, at: Place, unit: Index, found: _Statistics) -> Column:
        if at.training:
            return at.inner("mean", found.mean, unit, r"\mu_#", shared=True)
        return at.statistics("running_mean", one(unit), r"\mu_#")

    def _inverse(self, layer: BatchNorm2d | BatchNorm, at: Place, unit: Index, found: _Statistics) -> Column:
        """Return 1/√(σ² + ε)."""
        symbol = f"{self._letters(layer).variance}_#"
        if at.training:
            variance = at.inner("variance", found.variance, unit, symbol, shared=True)
        else:
            variance = at.statistics("running_var", one(unit), symbol)
        return variance.through(
            lambda v: 1 / np.sqrt(v + layer.eps),
            rf"\frac{{1}}{{\sqrt{{{symbol} + \epsilon}}}}",
            (r"\epsilon", layer.eps),
        )

    def _notes(self, layer: BatchNorm2d | BatchNorm, at: Place, found: _Statistics) -> tuple[str, ...]:
        if at.training:
            count = self._letters(layer).count
            return (f"Mean and variance are taken over {count} = {found.count} values of the batch.",)
        return ("Mean and variance are the running ones, which do not depend on x.",)


class LocalResponseNormCells(Explainer[LocalResponseNorm]):
    """y = x·s^{−β}, s being k and the squares of the neighbouring channels."""

    def value(self, layer: LocalResponseNorm, at: Place) -> Draft:
        """Explain y."""
        reads = at.inputs(self._neighbours(layer, at, at.index)).regions()
        return self.forward(layer, at, sum_of(at.inputs(one(at.index)), self._power(layer, at, at.index)), reads=reads)

    def share(self, layer: LocalResponseNorm, at: Place, slot: int) -> Draft:
        """Explain dx."""
        c, *pixel = at.index
        below, above = layer.size // 2, (layer.size - 1) // 2
        own = sum_of(at.deltas(one(at.index)), self._power(layer, at, at.index))
        scale = constant(r"-\frac{2\alpha\beta}{n}", -2 * layer.alpha * layer.beta / layer.size)
        others = [
            sum_of(
                scale, at.inputs(one(at.index)), at.deltas(one(i)), at.outputs(one(i)),
                self._s(layer, at, i).through(np.reciprocal, r"\frac{1}{s_#}"),
            )
            for i in ((n, *pixel) for n in self._clipped(at, c - above, c + below))
        ]  # fmt: skip
        return self.backward(layer, at, "dx", own, *others)

    def inner(self, layer: LocalResponseNorm, at: Place, key: str) -> Draft:
        """Explain s."""
        if key != "s":
            return super().inner(layer, at, key)
        x = at.inputs(self._neighbours(layer, at, at.index))
        share = constant(r"\frac{\alpha}{n}", layer.alpha / layer.size)
        formula = r"s_{tc} = k + \frac{\alpha}{n} \sum_{i \in W(c)} x_{ti}^2"
        return Draft(formula, layer.formula.source if layer.formula else "", at.node.name,
                     [sum_of(constant("k", layer.k)), sum_of(share, x.through(np.square, "x_#^2"))])  # fmt: skip

    def _power(self, layer: LocalResponseNorm, at: Place, index: Index) -> Column:
        return self._s(layer, at, index).through(lambda s: s**-layer.beta, r"s_#^{-\beta}", (r"\beta", layer.beta))

    def _s(self, layer: LocalResponseNorm, at: Place, index: Index) -> Column:
        x = at.inputs(self._neighbours(layer, at, index)).values
        return at.inner("s", layer.k + layer.alpha / layer.size * float(np.square(x).sum()), index, "s_#")

    def _neighbours(self, layer: LocalResponseNorm, at: Place, index: Index) -> Array:
        c, u, v = index
        return grid(self._clipped(at, c - layer.size // 2, c + (layer.size - 1) // 2), [u], [v])

    def _clipped(self, at: Place, first: int, last: int) -> range:
        return range(max(first, 0), min(last, at.input_shape[0] - 1) + 1)
