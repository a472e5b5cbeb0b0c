"""With small whole numbers every sum is exact in float32, so the native engine must give the reference's very numbers.

A 1×1 convolution in front makes dx of the layer under test visible, as the gradient of that convolution's weights.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from harness import random_window
from native_nets import SETS

from pellucid import Network
from pellucid.engine import instruction_set, reference
from pellucid.layers import AvgPool2d, Conv2d, Dropout, Flatten, Layer, LeakyReLU, Linear, MaxPool2d, ReLU
from pellucid.losses import SquaredError
from pellucid.philox import Stream

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")

Rng = np.random.Generator
Case = tuple[list[Layer], tuple[int, ...]]

SIZES = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33)
#: float32 holds every multiple of 1/16 up to here; averages of 2, 4, 8 or 16 whole numbers are such
EXACT = 2**24 / 16


def conv(rng: Rng) -> Case:
    """Return a convolution with every option drawn at random; large kernels meet small maps."""
    kernel = rng.integers(1, rng.choice([4, 8, 12]), 2)
    dilation = rng.integers(1, rng.choice([2, 4]), 2)
    stride = rng.integers(1, rng.choice([2, 5]), 2)
    span = dilation * (kernel - 1) + 1
    outputs = rng.integers(1, 12 if kernel.max() < 4 else 5, 2)
    padding = rng.choice(["numbers", "numbers", "valid", "same", "full"])
    amount = rng.integers(0, span) if padding == "numbers" else 0 * span
    size = stride * (outputs - 1) + span - 2 * amount + rng.integers(0, stride)
    if padding in ("same", "full"):
        size = rng.integers(1, 9, 2)
    groups = int(rng.choice([1, 1, 2, 3]))
    most = 14 if kernel.max() < 4 else 7
    inputs, filters = groups * int(rng.integers(1, most)), groups * int(rng.integers(1, most))
    layer = Conv2d(
        filters,
        pair(kernel),
        pair(stride),
        pair(amount) if padding == "numbers" else str(padding),
        pair(dilation),
        groups,
        bias=bool(rng.integers(2)),
        flip=bool(rng.integers(2)),
    )
    return [Conv2d(inputs, 1), layer, Flatten()], (int(rng.integers(1, 3)), *pair(np.maximum(size, 1)))


def max_pool(rng: Rng) -> Case:
    """Return a max pooling, after nothing or after a rectifier; small whole numbers are equal often."""
    settings, size = random_window(rng, pooling=True)
    if rng.integers(3) == 0:
        settings = {"kernel_size": 2, "ceil_mode": bool(rng.integers(2))}
        size = pair(rng.integers(2, 9, 2))
    between: list[Layer] = [[], [ReLU()], [LeakyReLU(0.5)], [LeakyReLU(2.0)]][rng.integers(4)]
    layers = [Conv2d(int(rng.integers(1, 8)), 1), *between, MaxPool2d(**settings), Flatten()]
    return layers, (int(rng.integers(1, 3)), *size)


def avg_pool(rng: Rng) -> Case:
    """Return an average pooling over 1, 2, 4, 8 or 16 pixels."""
    kernel = rng.choice([1, 2, 4], 2)
    padding = rng.integers(0, kernel // 2 + 1)
    size = np.maximum(kernel - 2 * padding, 1) + rng.integers(0, 8, 2)
    layer = AvgPool2d(pair(kernel), pair(rng.integers(1, 5, 2)), pair(padding))
    return [Conv2d(int(rng.integers(1, 8)), 1), layer, Flatten()], (int(rng.integers(1, 3)), *pair(size))


def linear(rng: Rng) -> Case:
    """Return two linear layers, of widths that fill tiles and that do not."""
    inputs, hidden, outputs = (int(n) for n in rng.integers(1, rng.choice([5, 40, 100], 3)))
    return [Linear(hidden, bias=bool(rng.integers(2))), Linear(outputs, bias=bool(rng.integers(2)))], (inputs,)


def product(rng: Rng) -> Case:
    """Return a convolution of one tap, or a linear layer, with more channels than one panel or row block holds."""
    inputs, filters = (int(n) for n in rng.choice([3, 65, 130, 259, 300], 2))
    if rng.integers(3) == 0:
        hidden, outputs = ((9, 300), (1030, 259), (4100, 67))[rng.integers(3)]
        return [Linear(hidden), Linear(outputs)], (2,)
    layer = Conv2d(filters, 1, pair(rng.integers(1, 4, 2)), bias=bool(rng.integers(2)))
    return [Conv2d(inputs, 1), layer, Flatten()], (1, *pair(rng.choice([1, 4, 7, 18], 2)))


def dropout(rng: Rng) -> Case:
    """Return dropouts of maps and of a vector; what they keep is doubled or taken four times."""
    size = pair(rng.integers(1, 9, 2))
    first, second = (Dropout(float(p)) for p in rng.choice([0.5, 0.75], 2))
    layers = [Conv2d(int(rng.integers(1, 8)), 1), first, Conv2d(2, 3, padding="same"), Flatten(), second, Linear(3)]
    return layers, (int(rng.integers(1, 3)), *size)


def chain(rng: Rng) -> Case:
    """Return a small net of several layers."""
    first, second = (int(n) for n in rng.integers(1, 9, 2))
    layers = [
        Conv2d(first, pair(rng.integers(1, 4, 2)), padding="same", flip=bool(rng.integers(2))),
        *([ReLU()] * int(rng.integers(2))),
        *([MaxPool2d(2, int(rng.integers(1, 3)))] * int(rng.integers(2))),
        Conv2d(second, pair(rng.integers(1, 4, 2)), padding=str(rng.choice(["same", "full"]))),
        *([LeakyReLU(2.0)] * int(rng.integers(2))),
        *([AvgPool2d(2, int(rng.integers(1, 3)))] * int(rng.integers(2))),
        Flatten(column_major=bool(rng.integers(2))),
        Linear(int(rng.integers(1, 5))),
    ]
    return layers, (int(rng.integers(1, 4)), *pair(rng.integers(4, 9, 2)))


def pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])


def assert_exact(layers: list[Layer], shape: tuple[int, ...], n: int, rng: Rng, n_jobs: int) -> bool:
    """Hold outputs, loss and all gradients of a net against its layers' NumPy in float64, number for number.

    Returns:
        False if a sum might not be exact, so that nothing was compared.
    """
    network = Network(layers, shape, loss=SquaredError("sum"), engine="native", n_jobs=n_jobs)
    network.flat_parameters[...] = rng.integers(-2, 3, network.flat_parameters.size)
    x = rng.integers(-2, 3, (n, *shape)).astype(np.float64)
    wide = {name: value.astype(np.float64) for name, value in network.parameters.items()}
    nodes = [(node.name, node.layer, reference.own(wide, node)) for node in network.graph.nodes]
    values, saved = [x], []
    for position, (_, layer, params) in enumerate(nodes):
        y, kept = layer.forward(params, values[-1], training=True, stream=Stream(network.seed, 0, position))
        values.append(y)
        saved.append(kept)
    # The target is chosen so that δ is small.
    delta = dy = rng.integers(-2, 3, values[-1].shape).astype(np.float64)
    expected = {}
    for (name, layer, params), reached, kept in zip(nodes[::-1], values[-2::-1], saved[::-1], strict=True):
        if params and not sums_are_exact(params["weight"], reached, dy):
            return False
        dy, grads = layer.backward(params, kept, dy)
        expected |= {f"{name}.{key}": value for key, value in grads.items()}
    loss, gradient, outputs = network.batch_gradient(x, np.float32(values[-1] - delta))
    message = f"{layers} on {n} of {shape}, {network._native.isa}"
    assert (outputs == values[-1]).all(), message
    assert loss == 0.5 * (delta**2).sum(), message
    for name, value in network.named(gradient).items():
        assert (value == expected[name]).all(), f"{name}: {message}"
    return True


def sums_are_exact(weight: np.ndarray, x: np.ndarray, dy: np.ndarray) -> bool:
    """Tell whether no sum of these products, in whatever order, leaves the whole numbers, or sixteenths, of float32."""
    y = weight[0].size * abs(x).max() * 2 + 2
    dx = weight.size / weight.shape[1] * abs(dy).max() * 2
    dweight = abs(dy).sum((0, *range(2, dy.ndim))).max() * abs(x).max()
    return max(y, dx, dweight) < EXACT


@pytest.mark.parametrize(
    ("case", "count", "seed"),
    [
        (conv, 1_500, 0),
        (max_pool, 600, 0),
        (avg_pool, 400, 0),
        (linear, 300, 0),
        (product, 60, 0),
        (dropout, 200, 0),
        (chain, 300, 0),
        # With these, more than 10,000.
        *(pytest.param(conv, 800, seed, marks=pytest.mark.slow) for seed in range(1, 8)),
        pytest.param(max_pool, 1_500, 1, marks=pytest.mark.slow),
    ],
)
def test_random_settings(case: Callable[[Rng], Case], count: int, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    # Every instruction set in turn, and now and then a few threads.
    widest = instruction_set()
    sets = SETS[: SETS.index(widest) + 1] if widest in SETS else (widest,)
    # Winograd's transforms divide by 6 and 24.
    monkeypatch.setenv("PELLUCID_WINOGRAD", "0")
    rng = np.random.default_rng(seed)
    compared = 0
    for trial in range(count):
        monkeypatch.setenv("PELLUCID_ISA", str(sets[trial % len(sets)]))
        n_jobs = 1 + trial // 20 % 4 if trial % 20 == 0 else 1
        compared += assert_exact(*case(rng), int(rng.choice(SIZES)), rng, n_jobs)
    assert compared >= 0.95 * count
