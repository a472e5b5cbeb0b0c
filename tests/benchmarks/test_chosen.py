from __future__ import annotations

import pytest

from benchmarks.chosen import chosen
from benchmarks.deep_works import DEEP_WORKS
from benchmarks.kernels import KERNELS
from benchmarks.works import WORKS


def test_all_are_chosen_without_a_name() -> None:
    assert chosen(None) == [*WORKS, *DEEP_WORKS, *KERNELS]


def test_a_name_or_how_names_begin() -> None:
    assert [one.name for one in chosen(["predict-1", "epoch"])] == ["epoch-nguyen-32", "predict-1"]
    assert chosen(["kernels", "winograd"]) == list(KERNELS)
    assert [one.name for one in chosen(["kernels-5x5-2", "memory"])] == ["memory", "kernels-5x5-256"]


def test_deep_stands_for_all_deep_networks() -> None:
    assert [one.name for one in chosen(["deep"])] == [
        "deep-resnet20-128",
        "deep-alexnet-16",
        "deep-vgg16-16",
        "deep-googlenet-16",
        "deep-resnet18-16",
        "deep-resnet50-16",
        "deep-resnet20-128-bf16",
        "deep-memory-resnet20-128",
        "deep-memory-alexnet-16",
        "deep-memory-vgg16-16",
        "deep-memory-googlenet-16",
        "deep-memory-resnet18-16",
        "deep-memory-resnet50-16",
    ]


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ValueError, match="no work called 'kernel-3x3'; there are train-nguyen-16, train-nguyen-32"):
        chosen(["memory", "kernel-3x3"])
