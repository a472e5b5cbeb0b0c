from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from benchmarks.winograd_error import PASSES, errors

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

DOCUMENT = Path(__file__).parents[2] / "docs/native-engine.md"


def published() -> dict[tuple[int, int, bool], list[float]]:
    """Return the table of the document."""
    rows = re.findall(r"\| (\d)×\d, (\d+) \| (direct|Winograd) \| (.*) \| (.*) \| (.*) \|", DOCUMENT.read_text())
    return {(int(k), int(c), way == "Winograd"): [1e-7 * float(n) for n in found] for k, c, way, *found in rows}


@pytest.mark.parametrize(("kernel", "channels"), [(3, 6), (3, 64), (3, 512), (5, 6), (5, 64)])
@pytest.mark.parametrize("winograd", [False, True], ids=["direct", "winograd"])
def test_the_published_errors_hold(kernel: int, channels: int, winograd: bool) -> None:
    found = errors(kernel, channels, winograd=winograd, seed=1)
    for name, expected in zip(PASSES, published()[kernel, channels, winograd], strict=True):
        # Other numbers, and another order of sums for another instruction set.
        assert found[name] == pytest.approx(expected, rel=0.5), name


def test_the_switch_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PELLUCID_WINOGRAD", "0")
    errors(3, 6, winograd=True)
    assert os.environ["PELLUCID_WINOGRAD"] == "0"
    monkeypatch.delenv("PELLUCID_WINOGRAD")
    errors(3, 6, winograd=False)
    assert "PELLUCID_WINOGRAD" not in os.environ
