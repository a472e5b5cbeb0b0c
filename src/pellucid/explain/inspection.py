"""Opening a number of a trace into the formula and the numbers it comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from operator import index as as_index

import numpy as np

from pellucid.arrays import Shape
from pellucid.errors import ConfigError, ShapeError
from pellucid.explain.cell import LOSS, Cell
from pellucid.explain.cells import explainer, penalties
from pellucid.explain.cells.draft import Column, Draft, Index, Places, constant, one, sum_of
from pellucid.explain.cells.latex import number, place, text, written_out
from pellucid.explain.cells.loss import LossCells
from pellucid.explain.cells.place import Place, View
from pellucid.graph import INPUT, Node
from pellucid.network import Network
from pellucid.suggestion import did_you_mean
from pellucid.tracing import Trace

_OF_LOSS = ("prediction", "target", "weight", "partition", "sample_loss", "loss")
_OF_TENSORS = ("parameter", "gradient", "state")
_KINDS = ("value", "delta", "share", "inner", *_OF_TENSORS, *_OF_LOSS)


def inspect(
    network: Network,
    trace: Trace,
    name: str,
    index: Sequence[int],
    sample: int | None = 0,
    what: str = "value",
    *,
    limit: int = 256,
) -> Cell:
    """Return one number of a trace with its formula, the terms it comes from, and where each of their factors stands.

    Every factor's link leads to another cell, so that one can walk from the loss to a pixel. No layer runs again: only
    the numbers that this cell reads are touched.

    Args:
        network: the network, with the parameters that the trace was made with.
        trace: from :meth:`Network.trace`.
        name: a node, ``"input"``, a parameter's full name, …; see the table in :mod:`pellucid.explain.cell`.
        index: place in that array, without the batch.
        sample: which sample of the batch; of no account for what all samples share.
        what: ``"value"``, ``"delta"``, or another of that table.
        limit: terms to return at most.

    Raises:
        ConfigError: there is no such number, or the trace is of another network or of before its last training step.
        ShapeError: the index or the sample lies outside the array.

    Example:
        >>> import numpy as np
        >>> from pellucid.layers import Linear
        >>> net = Network([Linear(2, weight_init="ones")], (3,), loss="squared_error")
        >>> cell = inspect(net, net.trace(np.array([[1.0, 2.0, 4.0]]), np.zeros((1, 2))), "0", (1,))
        >>> cell.numbers
        '0 + 1 \\\\cdot 1 + 1 \\\\cdot 2 + 1 \\\\cdot 4 = 7'
    """
    if [step.name for step in trace] != [node.name for node in network.graph.nodes]:
        raise ConfigError("the trace is of another network: its layers have other names")
    if trace.step != network.step:
        raise ConfigError(
            f"the trace was made at step {trace.step}, the network has gone on to step {network.step}; trace it again"
        )
    if what not in _KINDS:
        raise ConfigError(f"no kind of number called {what!r}; there are {', '.join(_KINDS)}")
    if limit < 1:
        raise ConfigError(f"limit must be at least 1; got {limit}")
    found = _Inspection(View(network, trace), name, tuple(map(as_index, index)), sample, what)
    with np.errstate(all="ignore"):  # a number that is not finite shows itself in the cell
        value, draft, symbol = found.open()
        terms, omitted, omitted_sum = draft.cut(limit)
        total = draft.total
    outer = draft.outer[0] if draft.outer else None
    if draft.written is None:
        numbers = written_out(terms, omitted, outer, total)
    else:
        numbers = f"{draft.written} = {number(total)}"
    return Cell(
        node=name, what=what, index=found.index, sample=found.sample, value=value, symbol=symbol, by=draft.by,
        formula=draft.formula, source=draft.source, numbers=numbers,
        terms=terms, omitted=omitted, omitted_sum=omitted_sum, outer=outer, total=total, reads=draft.regions(),
        notes=draft.notes,
    )  # fmt: skip


class _Inspection:
    """One question, and the way to those who can answer it."""

    def __init__(self, view: View, name: str, index: Index, sample: int | None, what: str) -> None:
        self.view = view
        self.name = name
        self.index = index
        self.what = what
        self.sample = None if what in (*_OF_TENSORS, "loss") else (sample or 0)

    def open(self) -> tuple[float, Draft, str]:
        """Return the number, how it comes about, and its symbol."""
        if self.what in _OF_LOSS:
            return self._of_loss()
        if self.what in _OF_TENSORS:
            return self._of_tensor()
        if self.what == "inner":
            return self._inner()
        if self.what == "share":
            return self._share()
        return self._of_node()

    def _of_node(self) -> tuple[float, Draft, str]:
        view = self.view
        if self.name != INPUT:
            self._node(self.name)
        values = view.values(self.name) if self.what == "value" else view.deltas(self.name)
        sample = self._check(values.shape[1:])
        value = float(values[(sample, *self.index)])
        if self.what == "delta":
            return value, self._delta(sample), self._symbol(r"\delta")
        if self.name == INPUT:
            return value, self._input(value), self._symbol("x")
        at = Place(view, view.nodes[self.name], sample, self.index)
        return value, explainer(at.node.layer).value(at.node.layer, at), self._symbol("y")

    def _input(self, value: float) -> Draft:
        mean = self.view.network.input_mean
        if mean is None:
            return Draft("", "", INPUT, given=value, notes=("A number of the input, as the network takes it.",))
        own = float(mean[tuple(i % n for i, n in zip(self.index, mean.shape, strict=True))])
        sums = [sum_of(constant(r"\text{pixel}", value + own)), sum_of(constant(r"-\mu", -own))]
        return Draft(r"x = \text{pixel} - \mu", 'Epelbaum, "Input layer"', INPUT, sums)

    def _delta(self, sample: int) -> Draft:
        """Explain δ: the loss's difference at the top, what the only reader sends back, or the sum of all readers."""
        view = self.view
        if self.name == view.last.name:
            return LossCells(view, sample).delta(self.index)
        readers = view.readers(self.name)
        if not readers:
            return Draft(
                "", "", self.name, given=0.0, notes=("No layer reads this value, so J does not depend on it.",)
            )
        if len(readers) == 1:
            return self._share_of(*readers[0], sample)
        shares = [(node, slot, self._share_of(node, slot, sample)) for node, slot in readers]
        sums = [sum_of(self._share_column(node, slot, sample, draft.total)) for node, slot, draft in shares]
        names = ", ".join(node.name for node, _ in readers)
        return Draft(
            r"\frac{\partial J}{\partial x} = \sum_{r} \frac{\partial J}{\partial x}\Big|_{r}",
            'Epelbaum, "Batchpropagation through a ResNet module"',
            self.name,
            sums,
            reads=tuple(region for _, _, draft in shares for region in draft.regions()),
            notes=(f"{len(readers)} layers read this value, and each sends back its share: {names}.",),
        )

    def _share_column(self, node: Node, slot: int, sample: int, total: float) -> Column:
        # The label's indices are those of the number that is read; the link's begin with which input it is.
        places = Places(node.name, "share", one((slot, *self.index)), sample)
        symbol = rf"\delta^{{{text(node.name)}}}_{{{place(self.index, sample)}}}"
        return constant(symbol, total).at(places)

    def _share_of(self, node: Node, slot: int, sample: int, index: Index | None = None) -> Draft:
        at = Place(self.view, node, sample, self.index if index is None else index)
        return explainer(node.layer).share(node.layer, at, slot)

    def _share(self) -> tuple[float, Draft, str]:
        node = self._node(self.name)
        slots = len(node.inputs)
        if not self.index or not 0 <= self.index[0] < slots:
            raise ShapeError(f"the share of {self.name!r} needs an index that begins with its input, below {slots}")
        slot, *rest = self.index
        sample = self._check(node.input_shapes[slot], tuple(rest))
        draft = self._share_of(node, slot, sample, tuple(rest))
        return draft.total, draft, rf"\delta^{{{text(self.name)}}}_{{{place(rest, sample)}}}"

    def _of_tensor(self) -> tuple[float, Draft, str]:
        network = self.view.network
        table = network.state if self.what == "state" else network.parameters
        if self.name not in table:
            kind = "running statistic" if self.what == "state" else "parameter"
            raise ConfigError(f"no {kind} called {self.name!r}{did_you_mean(self.name, table)}")
        self._check(table[self.name].shape)
        path, _, key = self.name.rpartition(".")
        if self.what != "gradient":
            value = float(table[self.name][self.index])
            note = "What training has remembered." if self.what == "state" else "What training changes."
            return value, Draft("", "", path, given=value, notes=(note,)), self._symbol(key)
        node = self.view.nodes[path]
        draft = explainer(node.layer).gradient(node.layer, Place(self.view, node, 0, self.index), key)
        symbol = rf"\frac{{\partial J}}{{\partial\,{self._symbol(key)}}}"
        return float(self.view.gradient(self.name)[self.index]), self._with_penalties(draft), symbol

    def _with_penalties(self, draft: Draft) -> Draft:
        network = self.view.network
        if self.name not in network.regularized:
            return draft
        draft = draft.plus(*penalties.slopes_of(network, self.name, self.index))
        return replace(draft, formula=draft.formula and draft.formula + penalties.slope_formula(network.regularization))

    def _inner(self) -> tuple[float, Draft, str]:
        path, _, key = self.name.rpartition(".")
        node = self._node(path)
        who = explainer(node.layer)
        if who.inner_is_shared(key):
            self.sample = None
        shape = who.inner_shape(node.layer, node.shape, key)
        sample = self._check(shape)
        draft = who.inner(node.layer, Place(self.view, node, sample, self.index), key)
        return draft.total, draft, rf"{text(key)}_{{{place(self.index, self.sample)}}}"

    def _of_loss(self) -> tuple[float, Draft, str]:
        if self.name != LOSS:
            raise ConfigError(f"{self.what!r} is a number of {LOSS!r}, not of {self.name!r}")
        trace = self.view.trace
        classes = self.what in ("prediction", "target")
        sample = self._check(trace.target.shape[1:] if classes else ())
        cells = LossCells(self.view, sample)
        draft = cells.number(self.what, self.index)
        value = {
            "prediction": lambda: float(trace.prediction[(sample, *self.index)]),
            "loss": lambda: trace.loss,
            "sample_loss": lambda: cells.sample_loss(sample),
        }.get(self.what, lambda: draft.total)()
        letter = {"prediction": "p", "target": "y", "weight": "w", "partition": "Z", "sample_loss": r"\ell"}
        return value, draft, "J" if self.what == "loss" else self._symbol(letter[self.what])

    def _node(self, name: str) -> Node:
        nodes = self.view.nodes
        if name not in nodes:
            raise ConfigError(f"no layer called {name!r}{did_you_mean(name, nodes)}; there are {', '.join(nodes)}")
        return nodes[name]

    def _symbol(self, letter: str) -> str:
        below = place(self.index, self.sample)
        symbol = letter if letter.startswith("\\") or len(letter) == 1 else text(letter)
        return f"{symbol}_{{{below}}}" if below else symbol

    def _check(self, shape: Shape, index: Index | None = None) -> int:
        """Return the sample; raise unless it and the index lie inside the array."""
        index = self.index if index is None else index
        good = len(index) == len(shape) and all(0 <= i < n for i, n in zip(index, shape, strict=True))
        if not good:
            raise ShapeError(f"{self.what} of {self.name!r} has shape {shape}; there is no number at {index}")
        samples = len(self.view.trace.input)
        sample = self.sample or 0
        if not 0 <= sample < samples:
            raise ShapeError(f"the trace holds {samples} samples; there is no sample {sample}")
        return sample
