"""Numbers and sums as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, isnan

from pellucid.explain.cell import Term

#: terms that are written out; of a longer sum the largest, in its order
SHOWN = 6


def number(value: float) -> str:
    """Return a number with four significant digits."""
    if isnan(value):
        return r"\text{NaN}"
    if not isfinite(value):
        return r"\infty" if value > 0 else r"-\infty"
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        return f"{value:.7g}" if float(value).is_integer() else f"{value:.4g}"
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


def place(index: Sequence[int], sample: int | None) -> str:
    """Return the indices that stand below a symbol, the sample first."""
    return ",".join(map(str, index if sample is None else (sample, *index)))


def product(term: Term) -> str:
    """Return the factors of a term with dots between them, negative ones in brackets."""
    first, *others = (number(factor.value) for factor in term.factors)
    return r" \cdot ".join([first, *(rf"\left({text}\right)" if text[0] == "-" else text for text in others)])


def written_out(terms: Sequence[Term], omitted: int, outer: str | None, total: float) -> str:
    """Return a sum with its numbers, shortened when it is long, and what it comes to."""
    if not terms:
        return ""
    order = sorted(range(len(terms)), key=lambda i: -abs(terms[i].value))
    shown = [product(terms[i]) for i in sorted(order[:SHOWN])]
    left_out = len(terms) - len(shown) + omitted
    if left_out:
        shown.append(rf"\underbrace{{\dots}}_{{{left_out}\ \text{{more}}}}")
    text = shown[0]
    for part in shown[1:]:
        text += f" - {part[1:]}" if part[0] == "-" else f" + {part}"
    return f"{outer.replace('#', text) if outer else text} = {number(total)}"
