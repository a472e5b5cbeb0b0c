"""Layers in any order, in blocks within blocks, drawn at random, in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from onnx_run import assert_same, disturb

from pellucid import Network
from pellucid.errors import ShapeError
from pellucid.graph import Graph
from pellucid.layers import (
    ELU,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    GlobalAvgPool2d,
    Layer,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    PadChannels,
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)

Rng = np.random.Generator


def whole(rng: Rng, low: int, high: int) -> int:
    return int(rng.integers(low, high + 1))


def flag(rng: Rng) -> bool:
    return bool(rng.integers(2))


#: layers for maps of ``c`` channels, in blocks at most ``deep`` deep; not all fit every map
DRAWS: list[Callable[[Rng, int, int], Layer]] = [
    lambda rng, c, deep: Conv2d(whole(rng, 1, 4), whole(rng, 1, 3), whole(rng, 1, 2), "same", flip=flag(rng)),
    lambda rng, c, deep: Conv2d(c, (2, 3), padding="full", dilation=whole(rng, 1, 2), groups=c, bias=flag(rng)),
    lambda rng, c, deep: MaxPool2d(whole(rng, 2, 3), whole(rng, 1, 3), 1, dilation=2, ceil_mode=flag(rng)),
    lambda rng, c, deep: AvgPool2d(whole(rng, 2, 3), 2, 1, ceil_mode=flag(rng), count_include_pad=flag(rng)),
    lambda rng, c, deep: LPPool2d(2, whole(rng, 1, 2), ceil_mode=flag(rng), norm_type=whole(rng, 2, 6) / 2),
    lambda rng, c, deep: BatchNorm() if flag(rng) else BatchNorm2d(),
    lambda rng, c, deep: [ReLU(), LeakyReLU(0.3), ELU(), Tanh(), Sigmoid(), Softmax(), Dropout()][whole(rng, 0, 6)],
    lambda rng, c, deep: LocalResponseNorm(whole(rng, 1, 5), alpha=0.5),
    lambda rng, c, deep: PadChannels(c + whole(rng, 0, 2)),
    lambda rng, c, deep: Residual(branch(rng, c, deep), branch(rng, c, deep) if flag(rng) else None),
    lambda rng, c, deep: Concat([branch(rng, c, deep) for _ in range(whole(rng, 1, 3))]),
]


def branch(rng: Rng, channels: int, deep: int) -> list[Layer]:
    draws = DRAWS + 6 * DRAWS[-2:] if deep else DRAWS[:-2]
    return [draws[whole(rng, 0, len(draws) - 1)](rng, channels, deep - 1) for _ in range(whole(rng, 1, 2))]


def drawn(rng: Rng, shape: tuple[int, int, int]) -> Iterator[Layer]:
    """Yield four layers that fit after each other, and an end in a vector."""
    taken: list[Layer] = []
    channels, *_ = shape
    while len(taken) < 4:
        (layer, *_) = branch(rng, channels, deep=2)
        try:
            channels, *_ = Graph([*taken, layer], shape).output_shape
        except ShapeError:
            continue
        taken.append(layer)
        yield layer
    yield GlobalAvgPool2d() if flag(rng) else Flatten(column_major=flag(rng))
    yield Linear(3)


@pytest.mark.parametrize("seed", range(50))
def test_any_combination(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = (whole(rng, 1, 3), whole(rng, 5, 11), whole(rng, 5, 11))
    net = disturb(Network(list(drawn(rng, shape)), shape, engine="reference"), seed)
    assert_same(net, rng.normal(size=(3, *shape)).astype(np.float32))
