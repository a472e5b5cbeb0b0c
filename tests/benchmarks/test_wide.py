from __future__ import annotations

import re

import numpy as np
import pytest

from benchmarks.kernels import Kernel

pytest.importorskip("torch", reason="needs PyTorch")
pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

from benchmarks import wide

SMALL = Kernel(3, 16, 7, "winograd")


@pytest.mark.peers
def test_a_line_for_every_pass() -> None:
    lines = wide.measure(SMALL, threads=1, seconds=0.01)
    assert [line.split(" | ")[1] for line in lines] == ["forward", "dx", "dweight"]
    for line in lines:
        figures = re.fullmatch(
            r"\| 16 of 7×7 \| \w+ \| ([\d.]+) \| ([\d.]+), .+ \| ([\d.]+) \| .+ \| ([\d.]+) \|", line
        )
        assert figures
        assert all(float(figure) > 0 for figure in figures.groups())


@pytest.mark.peers
@pytest.mark.parametrize("name", ["y", "dweight", "dx"])
def test_what_does_not_agree_is_refused(name: str) -> None:
    ours = wide.Ours(SMALL, threads=1)
    peer = wide.Theirs(ours, "channels last")
    outputs, gradients = ours.answer()
    peer.require_agreement(outputs, gradients)
    wrong = {"y": outputs, "dweight": gradients["1.weight"], "dx": gradients["0.weight"]}[name]
    wrong += 2e-4 * np.abs(wrong).max()
    with pytest.raises(RuntimeError, match=f"{name} differs by 2.0e-04 of its largest number"):
        peer.require_agreement(outputs, gradients)
