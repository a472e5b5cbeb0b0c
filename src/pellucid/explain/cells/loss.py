"""Cells at the top: the loss, the predictions, and the δ that everything starts from."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ConfigError
from pellucid.explain.cell import LOSS
from pellucid.explain.cells import penalties
from pellucid.explain.cells.activations import sigmoid
from pellucid.explain.cells.draft import Column, Draft, Index, Places, Sum, constant, grid, one, sum_of
from pellucid.explain.cells.latex import number
from pellucid.explain.cells.place import View
from pellucid.losses import CrossEntropy, LogLoss, Loss, SquaredError


class LossCells:
    """Explains the numbers of the loss of a network for one sample.

    Args:
        view: the network and its trace.
        sample: which sample of the batch.
    """

    def __init__(self, view: View, sample: int) -> None:
        self.view = view
        self.sample = sample
        self.loss = view.network.loss

    def delta(self, index: Index) -> Draft:
        """Explain δ of the network's output, w_t (p − y)."""
        if _writes_its_own(self.loss, "value_and_delta"):
            given = float(self.view.deltas(self.view.last.name)[(self.sample, *index)])
            return self._draft(self._backward, given=given, notes=(self._own("value_and_delta"),))
        weight, p, y = self._weight(), self._prediction(index), self._target(one(index))
        formula = rf"\delta_{{tk}} = {self._weight_symbol}\,(p_{{tk}} - y_{{tk}})"
        return self._draft(formula, sum_of(weight, p), sum_of(weight, constant("-1", -1.0), y))

    def number(self, what: str, index: Index) -> Draft:
        """Explain a prediction, a target, a sample's weight, loss or partition, or the whole loss.

        Raises:
            ConfigError: the loss has no such number.
        """
        if what == "prediction":
            return self._explain_prediction(index)
        if what == "target":
            return Draft("", "", LOSS, given=float(self.view.trace.target[(self.sample, *index)]))
        if what == "weight":
            return self._explain_weight()
        if what == "sample_loss":
            return self._explain_sample_loss()
        if what == "partition" and self._is(CrossEntropy):
            powers = self._power(grid(range(self._classes)))
            return Draft(r"Z = \sum_i e^{a_{ti} - \max a}", self._source, LOSS, [sum_of(powers)])
        if what == "loss":
            return self._explain_loss()
        raise ConfigError(f"{self.loss!r} has no {what!r}")

    def partition(self) -> float:
        """Return Σ_k e^(a − max a)."""
        return float(self._power(grid(range(self._classes))).values.sum())

    def sample_loss(self, sample: int) -> float:
        """Return ℓ of a sample."""
        last = self.view.values(self.view.last.name)[sample : sample + 1]
        return float(self.loss.per_sample(last, self.view.trace.target[sample : sample + 1])[0])

    def _explain_prediction(self, index: Index) -> Draft:
        a = self._outputs(one(index))
        if self._is(CrossEntropy):
            notes = (f"The largest output, {self._a.max():.4g}, is taken off every output first; that changes no p.",)
            reads = self._outputs(grid(range(self._classes))).regions()
            return self._draft(
                self._forward, sum_of(self._power(one(index)), self._inverse_partition()), reads=reads, notes=notes
            )
        if self._is(LogLoss):
            return self._draft(self._forward, sum_of(a.through(sigmoid, r"\frac{1}{1 + e^{-a_#}}")))
        if self._is(SquaredError):
            return self._draft(self._forward, sum_of(a))
        given = float(self.view.trace.prediction[(self.sample, *index)])
        return self._draft(self._forward, given=given, notes=(self._own("activation"),))

    def _explain_weight(self) -> Draft:
        loss, target = self.loss, self.view.trace.target
        weights = loss.weights(target, None)
        parts = [constant("w_t", float(weights[self.sample]))]
        if loss.reduction == "mean":
            parts.append(constant(r"\frac{1}{\sum_t w_t}", 1 / float(weights.sum())))
        return Draft(self._weight_symbol, self._source, LOSS, [sum_of(*parts)])

    def _explain_sample_loss(self) -> Draft:
        every = grid(range(self._classes))
        y, a = self._target(every), self._outputs(every)
        if self._is(CrossEntropy):
            named = every[y.values != 0]
            minus_ln_p = self._prediction_of(named).becoming(self._minus_log(named), r"\big(-\ln p_#\big)")
            return self._draft(self._forward, sum_of(self._target(named), minus_ln_p))
        if self._is(LogLoss):
            p = self._prediction_of(every)
            yes = p.becoming(np.logaddexp(0, -a.values), r"\big(-\ln p_#\big)")
            no = p.becoming(np.logaddexp(0, a.values), r"\big(-\ln(1 - p_#)\big)")
            return self._draft(self._forward, sum_of(y, yes), sum_of(y.through(lambda v: 1 - v, r"(1 - y_#)"), no))
        if self._is(SquaredError):
            return self._draft(self._forward, *(self._distance(k) for k in range(self._classes)))
        return self._draft(self._forward, given=self.sample_loss(self.sample), notes=(self._own("per_sample"),))

    def _distance(self, k: int) -> Sum:
        """Return ½ (p_k − y_k)², the target written as its number."""
        y = float(self.view.trace.target[self.sample, k])
        symbol = rf"(p_# {'+' if y < 0 else '-'} {number(abs(y))})^2"
        return sum_of(constant(r"\tfrac{1}{2}", 0.5), self._prediction((k,)).through(lambda p: (p - y) ** 2, symbol))

    def _explain_loss(self) -> Draft:
        """Explain J = Σ w_t ℓ_t and the penalties."""
        samples = np.arange(len(self.view.trace.target))
        nothing = np.empty((len(samples), 0), np.intp)
        weights = Column("w_#", self.view.weights.astype(np.float64), Places(LOSS, "weight", nothing, samples))
        each = np.array([self.sample_loss(int(t)) for t in samples])
        losses = Column(r"\ell_#", each, Places(LOSS, "sample_loss", nothing, samples))
        network = self.view.network
        added = penalties.values_of(network)
        formula = rf"J = \sum_t {self._weight_symbol}\, \ell_t"
        if added:
            formula += penalties.value_formula(network.regularization)
        return Draft(formula, self._source, LOSS, [sum_of(weights, losses), *added])

    @property
    def _weight_symbol(self) -> str:
        return r"\frac{w_t}{\sum_t w_t}" if self.loss.reduction == "mean" else "w_t"

    def _weight(self) -> Column:
        places = Places(LOSS, "weight", one(()), self.sample)
        return Column(self._weight_symbol, np.array([self.view.weights[self.sample]], np.float64), places)

    def _prediction(self, index: Index) -> Column:
        return self._prediction_of(one(index))

    def _prediction_of(self, index: Array) -> Column:
        values = self.view.trace.prediction[(self.sample, *index.T)]
        return Column("p_#", values.astype(np.float64), Places(LOSS, "prediction", index, self.sample))

    def _target(self, index: Array) -> Column:
        values = self.view.trace.target[(self.sample, *index.T)]
        return Column("y_#", values.astype(np.float64), Places(LOSS, "target", index, self.sample))

    def _outputs(self, index: Array) -> Column:
        values = self._a[tuple(index.T)].astype(np.float64)
        return Column("a_#", values, Places(self.view.last.name, "value", index, self.sample))

    def _inverse_partition(self) -> Column:
        places = Places(LOSS, "partition", one(()), self.sample)
        return Column("Z_#", np.array([self.partition()]), places).through(np.reciprocal, r"\frac{1}{Z_#}")

    def _power(self, index: Array) -> Column:
        largest = float(self._a.max())
        return self._outputs(index).through(lambda a: np.exp(a - largest), r"e^{a_# - \max a}", (r"\max a", largest))

    def _minus_log(self, index: Array) -> Array:
        """Return −ln p by way of the outputs: p itself may have become 0."""
        a = self._a.astype(np.float64)
        return np.log(self.partition()) + a.max() - a[tuple(index.T)]

    @property
    def _a(self) -> Array:
        return self.view.values(self.view.last.name)[self.sample]

    @property
    def _classes(self) -> int:
        return self.view.trace.target.shape[1]

    @property
    def _forward(self) -> str:
        return self.loss.formula.forward if self.loss.formula else ""

    @property
    def _backward(self) -> str:
        return self.loss.formula.backward.get("delta", "") if self.loss.formula else ""

    @property
    def _source(self) -> str:
        return self.loss.formula.source if self.loss.formula else ""

    def _is(self, kind: type[Loss]) -> bool:
        """Tell whether the loss computes what that one does, in a subclass too."""
        return isinstance(self.loss, kind) and all(
            getattr(type(self.loss), method) is getattr(kind, method) for method in ("activation", "per_sample")
        )

    def _draft(self, formula: str, *sums: Sum, **rest: Any) -> Draft:
        return Draft(formula, self._source, LOSS, sums, **rest)

    def _own(self, method: str) -> str:
        return f"{type(self.loss).__name__} is a loss of your own: its {method} gives this number."


def _writes_its_own(loss: Loss, method: str) -> bool:
    return getattr(type(loss), method) is not getattr(Loss, method)
