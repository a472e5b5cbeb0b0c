from __future__ import annotations

import json
import math
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from pellucid import Network, zoo
from pellucid.explain import Factor, Term, inspect
from pellucid.explain.cells.latex import applied, listed, number, text, written_out


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (-1234567.0, "-1234567"),
        (0.12345, "0.1235"),
        (-0.5, "-0.5"),
        (0.001, "0.001"),
        (0.00099999, r"0.001"),
        (0.0009, r"9.000 \cdot 10^{-4}"),
        (1234.56, "1235"),
        (9999.96, r"1.000 \cdot 10^{4}"),
        (12345.6, r"1.235 \cdot 10^{4}"),
        (-4.2e-9, r"-4.200 \cdot 10^{-9}"),
        (1e30, r"1.000 \cdot 10^{30}"),
        (math.inf, r"\infty"),
        (-math.inf, r"-\infty"),
        (math.nan, r"\text{NaN}"),
    ],
)
def test_numbers_have_four_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_names_stand_as_they_are() -> None:
    assert text("bn_1.running_var") == r"\text{bn\_1.running\_var}"
    assert text("50% #1 {a}$b&c") == r"\text{50\% ♯1 \{a\}\$b\&c}"


def test_a_function_is_written_with_its_argument() -> None:
    assert applied(r"\frac{1}{1 + e^{-x_#}}", 0.5) == r"\frac{1}{1 + e^{-0.5}}"
    assert applied("(1 - y_#^2)", -0.25) == r"(1 - \left(-0.25\right)^2)"
    assert applied(r"\frac{1}{\sqrt{\sigma^2_# + \epsilon}}", 2e-5) == (
        r"\frac{1}{\sqrt{\left(2.000 \cdot 10^{-5}\right) + \epsilon}}"
    )
    assert listed(r"\max", [0.5, -1.0]) == r"\max\left(0.5,\; -1\right)"
    assert listed(r"\max", list(map(float, range(17)))).endswith(r"14,\; 15,\; \dots\right)")


def term(*factors: float) -> Term:
    return Term(math.prod(factors), tuple(Factor("x", value, number(value)) for value in factors))


def test_a_sum_is_written_with_its_signs() -> None:
    terms = [term(0.5, -2.0), term(-1.0, 3.0), term(2.0)]
    assert written_out(terms, 0, None, -2.0) == r"0.5 \cdot \left(-2\right) - 1 \cdot 3 + 2 = -2"
    assert written_out(terms[2:], 0, r"\Big(#\Big)^{1/2}", 2**0.5) == r"\Big(2\Big)^{1/2} = 1.414"
    assert written_out([], 0, None, 3.0) == ""


def test_a_long_sum_shows_its_largest_terms_in_their_order() -> None:
    terms = [term(value) for value in (1.0, -9.0, 2.0, 8.0, 3.0, 7.0, 4.0, math.nan)]
    assert written_out(terms, 10, None, 5.0) == (
        r"-9 + 8 + 3 + 7 + 4 + \text{NaN} + \underbrace{\dots}_{12\ \text{more}} = 5"
    )


EXPLORER = Path(__file__).parents[2] / "explorer"
RENDER = """
const katex = require("katex");
for (const line of JSON.parse(require("fs").readFileSync(0, "utf8")))
  katex.renderToString(line, { throwOnError: true, strict: "error", displayMode: true });
"""


def latex_of(net: Network) -> set[str]:
    """Return what cells of every node and parameter of a network show."""
    rng = np.random.default_rng(1)
    trace = net.trace(rng.normal(size=(2, *net.input_shape)), [0, 1])
    asked = [(step.name, what, step.output.shape[1:]) for step in trace for what in ("value", "delta")]
    asked += [(name, "gradient", parameter.shape) for name, parameter in net.parameters.items()]
    asked += [("loss", what, ()) for what in ("loss", "sample_loss", "weight")] + [("loss", "prediction", (2,))]
    found: set[str] = set()
    for name, what, shape in asked:
        cell = inspect(net, trace, name, tuple(n // 2 for n in shape), what=what)
        found |= {cell.symbol, cell.formula, cell.numbers}
        found |= {text for term in cell.terms for factor in term.factors for text in (factor.label, factor.shown)}
    return found


@pytest.mark.skipif(not (EXPLORER / "node_modules/katex").exists() or not shutil.which("node"),
                    reason="needs Node, and KaTeX in explorer/node_modules")  # fmt: skip
@pytest.mark.parametrize("name", ["nguyen", "grishin"])
def test_the_explorer_can_set_all_of_it(name: str) -> None:
    settings = {"batch_norm": True} if name == "grishin" else {}
    latex = json.dumps(sorted(latex_of(zoo.build(name, **settings))))
    done = subprocess.run(["node", "-e", RENDER], input=latex, cwd=EXPLORER, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
