"""A cell: one number of a network opened into the formula and the numbers it comes from.

A number is named by a :class:`Link`. ``what`` says which number of the node it is:

==============  ==================================================  ====================  ======  ================
what            the number                                          node                  sample  index
==============  ==================================================  ====================  ======  ================
value           y, what a layer gives; the network's input          ``"conv1"``, INPUT    yes     of y
delta           δ = ∂J/∂y of the same number                        ``"conv1"``, INPUT    yes     of y
share           what one reader sends back into δ of its input      the reader            yes     (input, *of x)
parameter       a weight, a bias                                    ``"conv1.weight"``    no      of the tensor
gradient        ∂J/∂parameter                                       ``"conv1.weight"``    no      of the tensor
state           a running statistic                                 ``"bn1.running_var"``  no     of the tensor
inner           what a layer works out on the way to y              ``"bn1.mean"``        varies  varies
prediction      p, the loss's activation of the last output         ``"loss"``            yes     (class,)
target          what p is compared with                             ``"loss"``            yes     (class,)
weight          the sample's weight in J                            ``"loss"``            yes     ()
partition       Σ_k e^a under a softmax                             ``"loss"``            yes     ()
sample_loss     ℓ of one sample                                     ``"loss"``            yes     ()
loss            J                                                   ``"loss"``            no      ()
==============  ==================================================  ====================  ======  ================
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any

#: the node of the numbers that belong to the loss
LOSS = "loss"


@dataclass(frozen=True)
class Link:
    """The name of one number; ``inspect(network, trace, link.node, link.index, link.sample, link.what)`` opens it.

    Attributes:
        node: name of a layer of the network, of a parameter, of an inner quantity; see the module's table.
        what: which number of it.
        index: place in the array, without the batch.
        sample: which sample of the batch; None for what all samples share.
    """

    node: str
    what: str
    index: tuple[int, ...]
    sample: int | None = None


@dataclass(frozen=True)
class Factor:
    """One factor of a term.

    Attributes:
        label: its symbol, in LaTeX.
        value: the number that is multiplied.
        shown: the same in LaTeX, or the function with its argument's number in it.
        link: where that number, or the one below, comes from; None for a constant.
        argument: the number at the link, if the factor is a function of it, such as e^x; None if it is that number.
    """

    label: str
    value: float
    shown: str
    link: Link | None = None
    argument: float | None = None


@dataclass(frozen=True)
class Term:
    """One term of the sum, the product of its factors."""

    value: float
    factors: tuple[Factor, ...]


@dataclass(frozen=True)
class Region:
    """Cells that a cell reads: what lights up.

    Attributes:
        node, what: as in a link, of values and δ only.
        sample: None if the cells of every sample are read.
        ranges: (start, stop, step) along each axis.
    """

    node: str
    what: str
    sample: int | None
    ranges: tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class Cell:
    """One number, the formula it comes from, and that formula with its numbers.

    Attributes:
        node, what, index, sample: the number's name, as in a :class:`Link`.
        value: the number, as the trace has it.
        symbol: its symbol, in LaTeX.
        by: the layer whose formula makes it: the node itself for a value, the one that reads it for a δ, ``"loss"``.
        formula: that formula in symbols, in LaTeX; empty for a number that is given (input, target, parameter).
        source: the text and equation that the formula comes from.
        numbers: the formula with this cell's numbers, in LaTeX, shortened when it is long.
        terms: the terms of its sum; the largest of them, in the sum's order, when there are more than the limit.
        omitted: how many terms are left out of ``terms``.
        omitted_sum: what those come to.
        outer: LaTeX with ``#`` where the sum stands, if the number is a function of the sum; else None.
        total: what the terms come to, by that function if there is one: ``value`` up to rounding.
        reads: the cells it reads.
        notes: what else is to be said, in plain sentences.
    """

    node: str
    what: str
    index: tuple[int, ...]
    sample: int | None
    value: float
    symbol: str
    by: str
    formula: str
    source: str
    numbers: str
    terms: tuple[Term, ...]
    omitted: int
    omitted_sum: float
    outer: str | None
    total: float
    reads: tuple[Region, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the cell as plain JSON types; of numbers that are not finite the names, "nan", "inf" and "-inf"."""
        return _plain(self)


def _plain(thing: Any) -> Any:
    if isinstance(thing, tuple):
        return [_plain(part) for part in thing]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(thing, float):
        return thing if isfinite(thing) else str(thing)
    if hasattr(thing, "__dataclass_fields__"):
        return {name: _plain(getattr(thing, name)) for name in thing.__dataclass_fields__}
    return thing
