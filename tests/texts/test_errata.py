"""The page and the tests name the same errata."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parents[1] / "docs/errata.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("text", ["epelbaum", "binding", "grishin", "nguyen"])
def test_every_entry_has_its_test(text):
    letter = text[0]
    entries = re.findall(rf"^\| {letter.upper()}(\d+) ", PAGE, flags=re.MULTILINE)
    tests = re.findall(rf"^def test_{letter}(\d+)_", (HERE / f"test_errata_{text}.py").read_text("utf-8"), re.MULTILINE)
    assert entries == tests == [str(number) for number in range(1, len(entries) + 1)]
    assert len(entries) >= 7


def test_the_page_names_tests_that_exist():
    named = set(re.findall(r"test_\w+\.py", PAGE))
    assert len(named) == 8
    assert named <= {path.name for path in HERE.parent.rglob("test_*.py")}
