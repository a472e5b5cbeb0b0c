from __future__ import annotations

import pytest

from benchmarks.kernels import KERNELS
from benchmarks.works import WORKS, chosen


def test_all_are_chosen_without_a_name() -> None:
    assert chosen(None) == [*WORKS, *KERNELS]


def test_a_name_or_how_names_begin() -> None:
    assert [one.name for one in chosen(["predict-1", "epoch"])] == ["epoch-nguyen-32", "predict-1"]
    assert chosen(["kernels", "winograd"]) == list(KERNELS)
    assert [one.name for one in chosen(["kernels-5x5-2", "memory"])] == ["memory", "kernels-5x5-256"]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no work called 'kernel-3x3'; there are train-nguyen-16, train-nguyen-32"):
        chosen(["memory", "kernel-3x3"])
