from __future__ import annotations

from benchmarks.deep_works import DeepWork


def test_memory_is_never_that_of_a_compiler() -> None:
    eager = ["NCHW, eager", "channels_last, eager"]
    assert DeepWork("memory", "vgg16", 16).variants(compiled=True) == eager
    assert DeepWork("train", "vgg16", 16).variants(compiled=True) == [
        *eager,
        "NCHW, compiled",
        "channels_last, compiled",
    ]


def test_mixed_precision_is_told() -> None:
    work = DeepWork("train", "resnet20_cifar", 128, bfloat16=True)
    assert work.variants(compiled=False) == ["NCHW, eager, bfloat16", "channels_last, eager, bfloat16"]
