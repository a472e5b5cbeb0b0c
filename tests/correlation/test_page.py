"""What docs/correlation.md and the docstrings show is what comes out."""

import doctest
from pathlib import Path

import pytest

from pellucid.correlation import derivatives, methods

PAGE = Path(__file__).parents[2] / "docs/correlation.md"


def test_the_examples_of_the_page():
    failed, tried = doctest.testfile(str(PAGE), module_relative=False, encoding="utf-8")
    assert (failed, tried) == (0, 10)


@pytest.mark.parametrize(("module", "examples"), [(methods, 3), (derivatives, 1)])
def test_the_examples_of_the_docstrings(module, examples):
    failed, tried = doctest.testmod(module)
    assert (failed, tried) == (0, examples)
