"""Numbers and sums as LaTeX."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import inf, isfinite, isnan

from pellucid.explain.cell import Term

#: terms that are written out; of a longer sum the largest, in its order
SHOWN = 6
#: numbers that an operator over a window lists
MOST = 16

#: a letter with indices below, as symbols have it
_LETTER = re.compile(r"(\\[a-zA-Z]+|[a-zA-Z])(\^2)?_#")

_ESCAPES = str.maketrans(
    {"#": "♯", "\\": r"\textbackslash ", "^": r"\textasciicircum ", "~": r"\textasciitilde "}
    | {character: "\\" + character for character in "_$%&{}"}
)


def number(value: float) -> str:
    """Return a number with four significant digits."""
    if isnan(value):
        return r"\text{NaN}"
    if not isfinite(value):
        return r"\infty" if value > 0 else r"-\infty"
    if value == 0:
        return "0"
    if float(value).is_integer() and abs(value) < 1e7:
        return str(int(value))
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    if -3 <= int(exponent) <= 3:
        return f"{value:.{3 - int(exponent)}f}".rstrip("0").rstrip(".")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"


def place(index: Sequence[int], sample: int | None) -> str:
    """Return the indices that stand below a symbol, the sample first."""
    return ",".join(map(str, index if sample is None else (sample, *index)))


def text(words: str) -> str:
    """Return words or names, such as ``bn1.running_var``, as they are; ``#``, which marks a place here, as ♯."""
    return rf"\text{{{words.translate(_ESCAPES)}}}"


def product(term: Term) -> str:
    """Return the factors of a term with dots between them, negative ones in brackets."""
    first, *others = (factor.shown for factor in term.factors)
    return r" \cdot ".join([first, *(rf"\left({other}\right)" if other[0] == "-" else other for other in others)])


def applied(symbol: str, argument: float, letters: Sequence[tuple[str, float]] = ()) -> str:
    """Return a function's symbol with numbers in place of the letter that ``#`` stands below, and of other letters."""
    for letter, value in letters:
        symbol = symbol.replace(letter, _bracketed(value))
    return _LETTER.sub(lambda _: _bracketed(argument), symbol)


def _bracketed(value: float) -> str:
    written = number(value)
    return rf"\left({written}\right)" if written[0] == "-" or "cdot" in written else written


def listed(operator: str, values: Sequence[float]) -> str:
    """Return an operator and the numbers it is applied to, the first ones if there are many."""
    shown = [number(value) for value in values[:MOST]] + [r"\dots"] * (len(values) > MOST)
    return operator + r"\left(" + r",\; ".join(shown) + r"\right)"


def written_out(terms: Sequence[Term], omitted: int, outer: str | None, total: float) -> str:
    """Return a sum with its numbers, shortened when it is long, and what it comes to."""
    if not terms:
        return ""
    order = sorted(range(len(terms)), key=lambda i: inf if isnan(terms[i].value) else abs(terms[i].value), reverse=True)
    shown = [product(terms[i]) for i in sorted(order[:SHOWN])]
    left_out = len(terms) - len(shown) + omitted
    if left_out:
        shown.append(rf"\underbrace{{\dots}}_{{{left_out}\ \text{{more}}}}")
    written = shown[0]
    for part in shown[1:]:
        written += f" - {part[1:]}" if part[0] == "-" else f" + {part}"
    return f"{outer.replace('#', written) if outer else written} = {number(total)}"
