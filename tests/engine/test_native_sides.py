"""Borders that differ from side to side: the native engine gives the reference's numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pellucid import Network
from pellucid.layers import AvgPool2d, Conv2d, Flatten, Layer, LPPool2d, MaxPool2d, Pad2d

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

Rng = np.random.Generator


def sides(rng: Rng, most: int) -> Any:
    return tuple(tuple(int(n) for n in rng.integers(0, most + 1, 2)) for _ in range(2))


def conv(rng: Rng) -> Layer:
    kernel = int(rng.choice([1, 2, 3, 3, 5]))
    stride, dilation = (1, 1) if kernel in (3, 5) else (int(n) for n in rng.integers(1, 3, 2))
    return Conv2d(int(rng.choice([2, 16])), kernel, stride, sides(rng, 4), dilation)


def pool(rng: Rng) -> Layer:
    kind = (MaxPool2d, AvgPool2d, LPPool2d)[rng.integers(3)]
    return kind(3, int(rng.integers(1, 4)), sides(rng, 2), ceil_mode=bool(rng.integers(2)))


def border(rng: Rng) -> Layer:
    return Pad2d(sides(rng, 4))


@pytest.mark.parametrize("draw", [conv, pool, border])
@pytest.mark.parametrize("samples", [3, 17])  # the few and the many have ways of their own
def test_outputs_and_gradients(draw: Any, samples: int) -> None:
    rng = np.random.default_rng(samples)
    for _ in range(40):
        layers = [Conv2d(int(rng.choice([3, 8])), 1), draw(rng), Conv2d(2, 3, padding=1), Flatten()]
        native, reference = (
            Network(layers, (2, *shape), loss="squared_error", engine=engine)
            for shape in [tuple(int(n) for n in rng.integers(6, 11, 2))]
            for engine in ("native", "reference")
        )
        x = rng.normal(size=(samples, *native.input_shape)).astype(np.float32)
        y = rng.normal(size=(samples, *native.output_shape)).astype(np.float32)
        np.testing.assert_allclose(native.forward(x), reference.forward(x), rtol=1e-4, atol=1e-4, err_msg=repr(layers))
        (_, found), (_, expected) = (network.loss_and_gradients(x, y) for network in (native, reference))
        for name, gradient in found.items():
            slack = 1e-4 * float(abs(expected[name]).max())
            np.testing.assert_allclose(gradient, expected[name], rtol=1e-4, atol=slack, err_msg=f"{name}: {layers}")
