"""The explanation of a number before it is cut to a size that can be shown: sums of products, kept as arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from math import gcd

import numpy as np

from pellucid.arrays import Array
from pellucid.explain.cell import Factor, Link, Region, Term
from pellucid.explain.cells.latex import applied, number, place

Index = tuple[int, ...]


@dataclass(frozen=True)
class Places:
    """The cells that a column's numbers stand in.

    Attributes:
        node, what: as in :class:`~pellucid.explain.cell.Link`.
        index: (n, axes).
        sample: one for all n, one for each, or None.
    """

    node: str
    what: str
    index: Array
    sample: int | Array | None

    def link(self, term: int) -> Link:
        """Return the cell of one term."""
        row = self.index[min(term, len(self.index) - 1)]
        return Link(self.node, self.what, tuple(int(i) for i in row), self._sample(term))

    def regions(self) -> tuple[Region, ...]:
        """Return the cells of all terms as ranges; nothing if there are no terms."""
        if not len(self.index):
            return ()
        spread = isinstance(self.sample, np.ndarray) and len(np.unique(self.sample)) > 1
        ranges: list[tuple[int, int, int]] = []
        for numbers in self.index.T:
            found = np.unique(numbers)
            step = reduce(gcd, (int(n) for n in np.unique(np.diff(found))), 0) or 1
            ranges.append((int(found[0]), int(found[-1]) + 1, step))
        return (Region(self.node, self.what, None if spread else self._sample(0), tuple(ranges)),)

    def _sample(self, term: int) -> int | None:
        if isinstance(self.sample, np.ndarray):
            return int(self.sample[min(term, len(self.sample) - 1)])
        return self.sample


@dataclass(frozen=True)
class Column:
    """One factor of every term of a sum.

    Attributes:
        symbol: LaTeX, with ``#`` where the indices go.
        values: (n,), or (1,) for a factor that all terms share; float64.
        places: the cells that the numbers stand in; None for constants.
        arguments: the numbers in those cells, if ``values`` are a function of them.
        letters: what else stands in that function's symbol, and its number.
    """

    symbol: str
    values: Array
    places: Places | None = None
    arguments: Array | None = None
    letters: tuple[tuple[str, float], ...] = ()

    def through(self, function: Callable[[Array], Array], symbol: str, *letters: tuple[str, float]) -> Column:
        """Return a function of the column, whose links stay what they are."""
        return self.becoming(function(self.values), symbol, *letters)

    def becoming(self, values: Array, symbol: str, *letters: tuple[str, float]) -> Column:
        """Return the values of a function of the column, worked out elsewhere."""
        return replace(self, symbol=symbol, values=values, arguments=self.values, letters=letters)

    def at(self, places: Places) -> Column:
        """Return the column with the cells that its numbers stand in."""
        return replace(self, places=places)

    def regions(self) -> tuple[Region, ...]:
        """Return the cells that the numbers stand in as ranges."""
        return self.places.regions() if self.places else ()

    def factor(self, term: int) -> Factor:
        """Return the factor of one term."""
        value = float(self.values[min(term, len(self.values) - 1)])
        if self.places is None:
            return Factor(self.symbol, value, number(value))
        link = self.places.link(term)
        label = self.symbol.replace("#", "{" + place(link.index, link.sample) + "}")
        if self.arguments is None:
            return Factor(label, value, number(value), link)
        argument = float(self.arguments[min(term, len(self.arguments) - 1)])
        return Factor(label, value, applied(self.symbol, argument, self.letters), link, argument)


def constant(symbol: str, value: float) -> Column:
    """Return a factor that comes from nowhere but the formula."""
    return Column(symbol, np.array([value], np.float64))


@dataclass(frozen=True)
class Sum:
    """Terms of one form: the product of the columns, row by row."""

    columns: tuple[Column, ...]

    @property
    def values(self) -> Array:
        """The terms, (n,)."""
        return reduce(np.multiply, (column.values for column in self.columns))

    def term(self, row: int, value: float) -> Term:
        """Return one term."""
        return Term(value, tuple(column.factor(row) for column in self.columns))


def sum_of(*columns: Column) -> Sum:
    """Return the sum over the rows of the product of some columns."""
    return Sum(columns)


@dataclass(frozen=True)
class Draft:
    """How a number comes about.

    Attributes:
        formula, source, by, notes: as in :class:`~pellucid.explain.cell.Cell`.
        sums: what is added; none for a number that is given.
        outer: LaTeX and the function that makes the number of the sum; None where it is the sum.
        written: LaTeX of the numbers on the formula's right side; the sum, written out, if None.
        reads: cells read beside those that the terms link to.
        given: the number, where there are no sums.
    """

    formula: str
    source: str
    by: str
    sums: Sequence[Sum] = ()
    outer: tuple[str, Callable[[float], float]] | None = None
    written: str | None = None
    reads: tuple[Region, ...] = ()
    notes: tuple[str, ...] = ()
    given: float | None = None
    _columns: tuple[Array, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        object.__setattr__(self, "_columns", tuple(part.values for part in self.sums))

    def plus(self, *sums: Sum) -> Draft:
        """Return the draft with more sums; of a number that is given, as it is, they join what it is."""
        if self.given is None:
            return replace(self, sums=(*self.sums, *sums))
        return replace(self, given=self.given + float(sum(part.values.sum() for part in sums)))

    @property
    def total(self) -> float:
        """What the terms come to."""
        if self.given is not None:
            return self.given
        total = float(sum(float(values.sum()) for values in self._columns))
        return self.outer[1](total) if self.outer else total

    def cut(self, limit: int) -> tuple[tuple[Term, ...], int, float]:
        """Return at most ``limit`` terms, the largest, in the sum's order; how many are left out, and their sum."""
        if not self.sums:
            return (), 0, 0.0
        values = np.concatenate(self._columns)
        keep = np.ones(len(values), bool)
        if len(values) > limit:
            sizes = np.nan_to_num(abs(values), nan=np.inf)
            keep[np.argsort(-sizes, kind="stable")[limit:]] = False
        terms: list[Term] = []
        start = 0
        for part, own in zip(self.sums, self._columns, strict=True):
            rows = np.flatnonzero(keep[start : start + len(own)])
            terms += [part.term(int(row), float(own[row])) for row in rows]
            start += len(own)
        return tuple(terms), int((~keep).sum()), float(values[~keep].sum())

    def regions(self) -> tuple[Region, ...]:
        """Return the values and δ that are read, each region once."""
        found = dict.fromkeys(self.reads)
        for part in self.sums:
            for column in part.columns:
                places = column.places
                if places is not None and places.what in ("value", "delta"):
                    found.update(dict.fromkeys(places.regions()))
        return tuple(found)


def one(index: Index) -> Array:
    """Return an index as the rows of :class:`Places`, (1, axes)."""
    return np.array([index], np.intp).reshape(1, len(index))


def grid(*axes: Sequence[int] | Array) -> Array:
    """Return every combination of some indices, the last axis fastest, (n, axes)."""
    mesh = np.meshgrid(*(np.asarray(axis, np.intp) for axis in axes), indexing="ij")
    return np.stack([part.ravel() for part in mesh], axis=1)
