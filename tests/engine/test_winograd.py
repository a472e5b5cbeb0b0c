"""Winograd's convolution: which layers take it, what it computes, and how to do without."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from native_nets import RNG, SETS, build, samples, set_isa
from rounding import assert_within_rounding
from rounding_winograd import matrices

from pellucid.engine import program as lowering
from pellucid.engine import winograd
from pellucid.engine.program import Program
from pellucid.layers import (
    ELU,
    AvgPool2d,
    BatchNorm,
    Conv2d,
    Flatten,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool2d,
    ReLU,
    Sigmoid,
    Tanh,
)
from pellucid.layers.base import Window
from pellucid.losses import SquaredError
from pellucid.network import Network
from pellucid.tensor_table import offsets

pytest.importorskip("pellucid._native", reason="installed without a C++ compiler")


def window(kernel: int, stride: int = 1, dilation: int = 1, before: int = 0) -> Window:
    return (kernel, stride, dilation, before)


@pytest.mark.parametrize(
    ("rows", "columns", "size", "expected"),
    [
        (window(3), window(3), (4, 4), 3),
        (window(3, before=1), window(3, before=2), (9, 5), 3),
        (window(5), window(5), (4, 4), 5),
        (window(5, before=2), window(5), (7, 24), 5),
        # Maps smaller than one tile, other kernels, strides, dilations.
        (window(3), window(3), (3, 9), 0),
        (window(3), window(3), (9, 3), 0),
        (window(5), window(5), (3, 9), 0),
        (window(3), window(5), (9, 9), 0),
        (window(1), window(1), (9, 9), 0),
        (window(4), window(4), (9, 9), 0),
        (window(7), window(7), (9, 9), 0),
        (window(3, stride=2), window(3), (9, 9), 0),
        (window(3), window(3, stride=2), (9, 9), 0),
        (window(3, dilation=2), window(3), (9, 9), 0),
        (window(5), window(5, dilation=2), (9, 9), 0),
    ],
)
def test_the_rule(rows: Window, columns: Window, size: tuple[int, int], expected: int) -> None:
    assert winograd.kernel(rows, columns, *size) == expected


@pytest.mark.parametrize(
    ("channels", "layer", "tiles"),
    [
        (3, Conv2d(6, 3), (0, 0)),
        (4, Conv2d(6, 3), (3, 0)),
        (8, Conv2d(15, 3), (3, 0)),
        (7, Conv2d(16, 3), (3, 0)),
        (8, Conv2d(16, 3), (3, 3)),
        (3, Conv2d(6, 5), (0, 5)),
        (4, Conv2d(1, 5), (5, 5)),
        (4, Conv2d(4, 5, groups=2), (0, 0)),
        (4, Conv2d(4, 3, groups=4), (0, 0)),
    ],
)
def test_few_channels_and_small_kernels_take_it_for_some_passes_alone(
    channels: int, layer: Conv2d, tiles: tuple[int, int]
) -> None:
    network = Network([layer, Flatten()], (channels, 8, 9), engine="reference")
    step = Program(network.graph, offsets(dict(network.parameters))).steps[0]
    assert (step.tile, step.weights_tile) == tiles


@pytest.mark.parametrize(
    ("layers", "tile"),
    [
        ([Conv2d(6, 5), Tanh()], 5),
        ([Conv2d(6, 5), AvgPool2d(2), Sigmoid()], 5),
        ([Conv2d(6, 5), BatchNorm(), ELU(), MaxPool2d(2)], 5),
        # A kink comes next, or nobody knows what.
        ([Conv2d(6, 5), ReLU()], 0),
        ([Conv2d(6, 5), ELU(0.5)], 0),
        ([Conv2d(6, 5), MaxPool2d(2), LeakyReLU()], 0),
        ([Conv2d(6, 5), Conv2d(6, 5), Tanh()], 0),
        ([Conv2d(6, 5)], 0),
        # Other kernels, more channels, no image, no wish.
        ([Conv2d(6, 3), Tanh()], 0),
        ([Conv2d(6, 5, winograd=False), Tanh()], 0),
    ],
    ids=str,
)
def test_grey_images_take_it_forward_in_front_of_a_smooth_activation(layers: list[Layer], tile: int) -> None:
    assert Network([*layers, Flatten()], (1, 16, 16), engine="native")._native.program.steps[0].tile == tile


def test_what_is_no_grey_image_does_not() -> None:
    for shape, layers in (((2, 16, 16), []), ((1, 16, 16), [Conv2d(1, 3)])):
        network = Network([*layers, Conv2d(6, 5), Tanh(), Flatten()], shape, engine="native")
        assert network._native.program.steps[len(layers)].tile == 0


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize("size", [(9, 11), (40, 6)], ids=str)
def test_grey_images_row_by_row(size: tuple[int, int], isa: str, monkeypatch: pytest.MonkeyPatch) -> None:
    set_isa(monkeypatch, isa)
    network = build([Conv2d(7, 5, padding=2, flip=True), Tanh(), AvgPool2d(2), Flatten(), Linear(3)], (1, *size))
    assert network._native.program.steps[0].tile == 5
    for n in (1, 16, 33):
        assert_within_rounding(network, *samples(network, n))


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_matrices_of_the_bounds_make_a_correlation(kernel: int) -> None:
    output, filters, inputs = matrices(kernel)
    x, w = RNG(0).normal(size=kernel + 3), RNG(1).normal(size=kernel)
    np.testing.assert_allclose(
        output.T @ ((filters @ w) * (inputs @ x)), np.correlate(x, w, "valid"), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize(("size", "flip"), [((9, 11), False), ((8, 7), True)], ids=str)
@pytest.mark.parametrize("kernel", [3, 5])
def test_outputs_and_gradients_are_those_of_float64(
    kernel: int, size: tuple[int, int], flip: bool, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_isa(monkeypatch, isa)
    layers = [Conv2d(5, kernel, padding=1), Tanh(), Conv2d(17, kernel, padding="same", flip=flip), MaxPool2d(2)]
    network = build([*layers, ReLU(), Flatten(), Linear(3)], (2, *size))
    for n in (1, 15, 16, 17, 33):
        assert_within_rounding(network, *samples(network, n))


@pytest.mark.parametrize("isa", SETS)
@pytest.mark.parametrize(("channels", "filters"), [(260, 132), (131, 258)])
def test_wide_layers_are_those_of_float64(
    channels: int, filters: int, isa: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # More than 2¹⁵ kernels: packed past the caches, or not packed for no more than four tiles. Of two columns of tiles,
    # the right one is narrow.
    set_isa(monkeypatch, isa)
    layers = [Conv2d(channels, 1), Tanh(), Conv2d(filters, 3, padding="same"), Flatten(), Linear(2)]
    for size in ((7, 7), (9, 5)):
        network = build(layers, (1, *size), n_jobs=2)
        assert network._native.program.steps[1].tile == 3
        assert_within_rounding(network, *samples(network, 3))


def digest(layers: list[Layer], n: int, threads: int) -> str:
    network = build(layers, (4, 11, 10), n_jobs=threads)
    loss, gradients = network.loss_and_gradients(*samples(network, n))
    return hashlib.sha256(np.float64(loss).tobytes() + b"".join(map(bytes, gradients.values()))).hexdigest()


@pytest.mark.parametrize("n", [1, 17, 40, 100])
@pytest.mark.parametrize("kernel", [3, 5])
def test_gradients_have_the_same_bits_for_any_number_of_threads(kernel: int, n: int) -> None:
    layers = [Conv2d(7, kernel), ReLU(), Conv2d(18, kernel, padding=2), Tanh(), Flatten(), Linear(3)]
    first, *others = (digest(layers, n, threads) for threads in (1, 2, 3, 4))
    assert others == [first] * 3


def test_threads_share_the_filters_of_wide_layers() -> None:
    wide = [Conv2d(264, 1), ReLU(), Conv2d(130, 3, padding=1), Tanh()]
    for layers in ([*wide, Conv2d(8, 3)], [MaxPool2d(2), *wide]):  # of 5×5 pixels, weights are not packed
        first, *others = (digest([*layers, Flatten(), Linear(3)], 5, threads) for threads in (1, 2, 3, 4))
        assert others == [first] * 3


@pytest.mark.parametrize("n", [5, 16])
def test_wide_networks_pack_one_layer_at_a_time_or_none(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lowering, "WIDE", 0)
    narrow = [Conv2d(5, 1), Conv2d(19, 3, padding=1), Tanh(), MaxPool2d(2)]
    layers = [*narrow, Conv2d(171, 1), ReLU(), Conv2d(181, 3, padding=1), Tanh(), Flatten(), Linear(3)]
    first, *others = (digest(layers, n, threads) for threads in (1, 2, 3))
    assert others == [first] * 2
    network = build(layers, (4, 11, 10))
    program = network._native.program
    panel = winograd.packed_floats(3, 64, 16)
    ways = [winograd.packed_floats(3, 5, 19), winograd.packed_floats(3, 19, 5)]  # and none for 181 filters of 5×5
    assert ways == [2 * panel, panel]
    assert program._packed - program._by_points == sum(ways)
    assert program._in_turn - program._by_points == max(ways)
    assert_within_rounding(network, *samples(network, n))


@pytest.mark.parametrize("kernel", [3, 5])
def test_the_switch_gives_the_direct_way(kernel: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def exact() -> bool:
        rng = RNG(3)
        network = build([Conv2d(4, 1), Conv2d(6, kernel), Flatten()], (2, 9, 10), loss=SquaredError("sum"))
        network.flat_parameters[...] = rng.integers(-2, 3, network.flat_parameters.size)
        x, weight = rng.integers(-2, 3, (5, 2, 9, 10)), network.copy(dtype="float64")
        y = weight.forward(x)
        target = y + rng.integers(-2, 3, y.shape)
        loss, gradients = network.loss_and_gradients(x, np.float32(target))
        expected_loss, expected = weight.loss_and_gradients(x, target)
        return loss == expected_loss and all((gradients[key] == expected[key]).all() for key in expected)

    # A sixth, a 9th and a 24th are rounded, so that the results of the two ways differ, and show which one it was.
    assert not exact()
    monkeypatch.setenv("PELLUCID_WINOGRAD", "0")
    assert exact()
    assert winograd.kernel(window(3), window(3), 9, 9) == 0
    monkeypatch.setenv("PELLUCID_WINOGRAD", "1")
    assert winograd.kernel(window(3), window(3), 9, 9) == 3


def test_memory_is_counted() -> None:
    # 6·9 outputs are 2·3 tiles of 8 rows of 4, one tile more a row; 2·64 sums of 3 filters in one vector, of 17 in two
    assert winograd.arena_lanes(5, 2, 3, 6, 9, tiled_dx=True) == 8 * (3 * 6 + 1) * 4 + 2 * 64
    assert winograd.arena_lanes(5, 2, 17, 6, 9, tiled_dx=False) == 8 * (17 * 6 + 1) * 4 + 2 * 64 * 2
    assert winograd.arena_lanes(3, 2, 3, 6, 9, tiled_dx=True) == 0
    # One map goes row by row, without tiles of δ unless dx wants them.
    assert winograd.arena_lanes(5, 1, 17, 6, 9, tiled_dx=False) == 64 * 2
    assert winograd.arena_lanes(5, 1, 17, 6, 9, tiled_dx=True) == 8 * (17 * 6 + 1) * 4 + 64 * 2
    zeros = 4 * 16 + 8
    assert winograd.scratch_lanes(5, 2, 3) == zeros + zeros + 6 * 8 * (16 + 16)
    assert winograd.scratch_lanes(5, 64, 17) == zeros + 8 * 17 + 64 * 64
    # By points, four tiles and room for four more: X and M of dx, 100 filters and 2 channels, or X, V and the sums;
    # X of 64 channels at most, and a panel for as many
    assert winograd.scratch_lanes(3, 2, 100) == zeros + 36 * (4 * 5 + 4 * 113 + 4 * 7)
    assert winograd.scratch_lanes(3, 300, 128) == zeros + 36 * (4 * 129 + 4 * 129 + 128 * 8)
    assert winograd.scratch_lanes(3, 512, 512) == zeros + 36 * (4 * 65 + 65 + 4 * 513)
    assert winograd.scratch_lanes(3, 512, 600) == zeros + 36 * (4 * 65 + 65 + 4 * 513)
    assert winograd.scratch_lanes(3, 300, 600) == zeros + 36 * (4 * 65 + 65 + 4 * 513)
    assert winograd.scratch_lanes(3, 256, 256) == zeros + 36 * (4 * 129 + 4 * 129 + 128 * 8)
    assert winograd.packed_floats(5, 3, 17) == 64 * 3 * 17
    # Panels of 16 filters and up to 64 channels
    assert winograd.packed_floats(3, 3, 17) == 2 * 36 * 65 * 16
    assert winograd.packed_floats(3, 65, 16) == 2 * 36 * 65 * 16


def test_many_weights_of_few_tiles_are_not_packed() -> None:
    assert winograd.packs_nothing(512, 512, (7, 7), (7, 7))
    assert winograd.packs_nothing(171, 171, (8, 8), (6, 6))
    assert not winograd.packs_nothing(171, 170, (8, 8), (8, 8))
    assert not winograd.packs_nothing(512, 512, (9, 8), (7, 6))
    assert not winograd.packs_nothing(512, 512, (8, 7), (10, 9))
    # Forward 12 vectors of filters by 3 times 64 channels; 11 by 3 for dx
    for size, panels in ((8, 0), (9, 12 * 3 + 11 * 3)):
        program = build(
            [Conv2d(171, 1), Conv2d(181, 3, padding=1), Flatten(), Linear(2)], (1, size, size)
        )._native.program
        assert program._packed - program.steps[1].packed == panels * 36 * 65 * 16
