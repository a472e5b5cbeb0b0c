from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from native_nets import JOINED, NETS

from pellucid.engine import program as lowering
from pellucid.engine import steps
from pellucid.engine.program import Program
from pellucid.engine.steps import Step
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
    ReLU,
    Residual,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.tensor_table import offsets
from pellucid.zoo import nguyen

NATIVE = Path(__file__).parents[2] / "native"

ALL = NETS | JOINED


def lower(layers: list[Layer], shape: tuple[int, ...]) -> Program:
    graph = Graph(layers, shape)
    parameters, state = graph.init_tensors(np.random.default_rng(0), np.float32)
    return Program(graph, offsets(parameters) | offsets(state))


def names(program: Program) -> list[str]:
    """Return each step as its operation, and the activation that rides along."""
    return [step.op + (f"+{step.activation}" if step.activation != "none" else "") for step in program.steps]


def sent(program: Program, parameters: int = 1000) -> Any:
    """Return what the compiled part would get."""
    native = SimpleNamespace(Runner=lambda **arguments: SimpleNamespace(**arguments))
    return program.runner(native, "SquaredError", parameters, 0, "baseline")


def test_nguyens_net() -> None:
    network = nguyen(engine="reference")
    program = Program(network.graph, offsets(dict(network.parameters)))
    assert names(program) == ["conv", "max_pool+relu", "conv", "max_pool+relu", "flatten", "conv"]
    shapes = [(s.channels, s.height, s.width) for s in program.slots]
    assert shapes == [(1, 28, 28), (6, 24, 24), (6, 12, 12), (12, 8, 8), (12, 4, 4), (192, 1, 1), (10, 1, 1)]
    assert [(step.input, step.output) for step in program.steps] == [(i, i + 1) for i in range(6)]
    convolutions = [step for step in program.steps if step.op == "conv"]
    # 6·25 weights, 6 biases, 12·6·25 weights, 12 biases, 10·192 weights, 10 biases
    assert [(step.weight, step.bias) for step in convolutions] == [(0, 150), (156, 1956), (1968, 3888)]
    assert [step.rows for step in program.steps[:3]] == [(5, 1, 1, 0), (2, 2, 1, 0), (5, 1, 1, 0)]
    assert convolutions[2].rows == convolutions[2].columns == (1, 1, 1, 0)


def test_settings_reach_their_steps() -> None:
    layers = [
        Conv2d(4, (3, 2), (2, 1), (1, 0), (1, 3), groups=2, bias=False, flip=True),
        LeakyReLU(0.25),
        AvgPool2d(2),
        MaxPool2d((2, 3), 1, (1, 0), (1, 2)),
        ELU(1.5),
        Flatten(column_major=True),
    ]
    conv, average, pool, flatten = lower(layers, (2, 9, 14)).steps
    assert (conv.rows, conv.columns) == ((3, 2, 1, 1), (2, 1, 3, 0))
    assert (conv.groups, conv.flip, conv.weight, conv.bias) == (2, True, 0, -1)
    assert (conv.activation, conv.alpha) == ("leaky_relu", 0.25)
    assert (average.rows, average.columns) == ((2, 2, 1, 0), (2, 2, 1, 0))
    assert average.scale == [0.25] * 10
    assert (pool.rows, pool.columns, pool.activation, pool.alpha) == ((2, 1, 1, 1), (3, 1, 2, 0), "elu", 1.5)
    assert (flatten.op, flatten.column_major) == ("flatten", True)


def test_settings_of_norms_and_dropouts_reach_their_steps() -> None:
    layers = [LPPool2d((2, 3), 1, (1, 0), (1, 2), norm_type=3.5), LocalResponseNorm(4, 2.0, 0.6, 1.5), Softmax()]
    norm, response, softmax, drop, _, last = lower([*layers, Dropout(0.3), Flatten(), Dropout(0.4)], (2, 5, 7)).steps
    assert (norm.op, norm.rows, norm.columns, norm.p) == ("lp_pool", (2, 1, 1, 1), (3, 1, 2, 0), 3.5)
    assert (response.op, response.size, response.k, response.beta) == ("response_norm", 4, 1.5, 0.6)
    assert response.share == 0.5
    assert softmax.op == "softmax"
    assert [(step.op, step.p, step.position) for step in (drop, last)] == [("dropout", 0.3, 3), ("dropout", 0.4, 5)]


def test_an_average_counts_the_pixels_of_every_window() -> None:
    program = lower([AvgPool2d(2, 1, 1, count_include_pad=False), Flatten()], (1, 2, 3))
    quarter, half = 1 / 4, 1 / 2
    assert program.steps[0].scale == [1, half, half, 1, half, quarter, quarter, half, 1, half, half, 1]
    assert lower([GlobalAvgPool2d()], (2, 3, 5)).steps[0].scale == [1 / 15]


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ([Linear(3), ReLU(), Tanh(), Sigmoid()], (4,), ["conv+relu", "activation+tanh", "activation+sigmoid"]),
        ([ReLU(), Linear(3)], (4,), ["activation+relu", "conv"]),
        ([Conv2d(2, 2), Flatten(), ReLU()], (1, 3, 3), ["conv", "flatten", "activation+relu"]),
        ([Conv2d(2, 3), Flatten(), ReLU(), Linear(2)], (1, 3, 3), ["conv", "flatten", "activation+relu", "conv"]),
        ([AvgPool2d(2), Tanh(), Flatten()], (1, 4, 4), ["avg_pool+tanh", "flatten"]),
        ([GlobalAvgPool2d(), Sigmoid()], (2, 4, 4), ["avg_pool+sigmoid"]),
        ([Flatten()], (3, 1, 1), ["flatten"]),
        ([Linear(3), Dropout(), ReLU()], (4,), ["conv", "dropout+relu"]),
        # These need their own y on the way back.
        ([Linear(3), Softmax(), Tanh()], (4,), ["conv", "softmax", "activation+tanh"]),
        ([LPPool2d(2), ReLU(), Flatten()], (1, 4, 4), ["lp_pool", "activation+relu", "flatten"]),
        ([LocalResponseNorm(3), ReLU(), Flatten()], (1, 4, 4), ["response_norm", "activation+relu", "flatten"]),
    ],
)
def test_activations_ride_along(layers: list[Layer], shape: tuple[int, ...], expected: list[str]) -> None:
    assert names(lower(layers, shape)) == expected


@pytest.mark.parametrize("activation", [ReLU(), Tanh(), Sigmoid(), LeakyReLU(0.0), LeakyReLU(0.1), ELU()], ids=str)
def test_what_never_falls_moves_behind_a_max_pool(activation: Layer) -> None:
    conv, pool, _ = lower([Conv2d(2, 1), activation, MaxPool2d(2), Flatten()], (1, 4, 4)).steps
    assert conv.activation == "none"
    alone = lower([AvgPool2d(1), activation, Flatten()], (1, 4, 4)).steps[0]
    assert (pool.activation, pool.alpha) == (alone.activation, alone.alpha)
    # What follows the pool then needs a step of its own; before an average nothing moves.
    after = lower([Conv2d(2, 1), activation, MaxPool2d(2), Tanh(), Flatten()], (1, 4, 4))
    assert names(after)[2] == "activation+tanh"
    assert lower([Conv2d(2, 1), activation, AvgPool2d(2), Flatten()], (1, 4, 4)).steps[1].activation == "none"


def test_delta_stops_where_nothing_before_learns() -> None:
    layers = [MaxPool2d(2), ReLU(), Conv2d(2, 1), Tanh(), AvgPool2d(2), Conv2d(2, 1), Flatten(), Linear(2)]
    program = lower(layers, (1, 8, 8))
    assert [(step.op, step.needs_dx) for step in program.steps] == [
        ("max_pool", False), ("conv", False), ("avg_pool", True), ("conv", True), ("flatten", True), ("conv", True),
    ]  # fmt: skip


def read_columns(step: Step, outputs: int) -> np.ndarray:
    kernel, stride, dilation, before = step.columns
    return stride * np.arange(outputs)[:, None] + dilation * np.arange(kernel) - before


@pytest.mark.parametrize("name", ALL)
def test_whatever_a_convolution_reads_beyond_the_edges_is_border(name: str) -> None:
    program = lower(*ALL[name])
    for step in program.steps:
        source, output = program.slots[step.input], program.slots[step.output]
        if step.op != "conv":
            continue
        columns = read_columns(step, output.width)
        assert columns.min() >= -source.border
        assert columns.max() <= source.width - 1 + source.border
        if step.winograd == 5:
            # Tiles begin at every fourth output; the last one ends beyond the edge.
            tiles = -(-output.width // 4)
            assert 4 * (tiles - 1) - step.columns[3] + 7 <= source.width - 1 + source.border
            assert 4 * tiles <= output.width + output.border
        if step.needs_dx and step.tile == 3:
            # dx reads δ as forward reads the inputs, with the kernel turned.
            before = 2 - step.columns[3]
            assert output.border >= before
            assert source.width - 1 + 2 - before <= output.width - 1 + output.border
        if step.needs_dx and not step.tile and (step.columns[0], step.columns[3], step.groups) != (1, 0, 1):
            # A tile of dx starts at any column and is that many long.
            assert output.border >= lowering.TILE_PIXELS - 1


@pytest.mark.parametrize("name", ALL)
def test_packed_weights_have_room(name: str) -> None:
    layers, shape = ALL[name]
    program = lower(layers, shape)
    given = sent(program)
    convolutions = [step for step in program.steps if step.op == "conv"]
    convolutions.sort(key=lambda step: step.tile == 3)  # those by points come last
    starts = [step.packed for step in convolutions] + [given.packed]
    by_points = [(start, step) for step, start in zip(convolutions, starts, strict=False) if step.tile == 3]
    assert given.by_points == (by_points[0][0] if by_points else given.packed)
    assert not by_points or given.by_points % lowering.LANES == 0
    longest = 0
    parameters = Graph(layers, shape).init_tensors(np.random.default_rng(0), np.float32)[0]
    sizes = {start: parameters[name].size for name, start in offsets(parameters).items()}
    for step, start, end in zip(convolutions, starts, starts[1:], strict=False):
        count = sizes[step.weight]
        # Once as forward reads them, and once as dx does; single weights of one group are read as they are.
        as_they_are = step.rows[0] * step.columns[0] * step.groups == 1 and not step.rows[3] + step.columns[3]
        both = 0 if as_they_are else count * (1 + step.needs_dx)
        if step.tile:
            channels, filters = program.slots[step.input].channels, program.slots[step.output].channels
            # 64 points; 36 in panels of 16 of the maps that come out by 64 of those that go in, and one more.
            ways = [(channels, filters), (filters, channels)][: 1 + step.needs_dx]
            both = sum(36 * 65 * 16 * -(-a // 64) * -(-b // 16) if step.tile == 3 else 64 * a * b for a, b in ways)
        first_by_points = bool(by_points) and step.tile != 3 and end == given.by_points
        before = -(start + both) % lowering.LANES if first_by_points else 0  # those by points begin with a vector
        assert end - start == both + before
        if step.tile == 3:  # where they take one place in turn, the longest of them must fit
            longest = max(longest, *(36 * 65 * 16 * -(-a // 64) * -(-b // 16) for a, b in ways))
    assert given.in_turn == given.by_points + longest


def test_a_layer_may_keep_to_the_direct_way() -> None:
    def tiles(**settings: Any) -> tuple[int, int]:
        step = lower([Conv2d(16, 3, padding=1, **settings), Flatten()], (8, 9, 9)).steps[0]
        return step.tile, step.weights_tile

    assert tiles() == (3, 3)
    assert tiles(winograd=False) == (0, 0)


# What both sides of the border must agree on.


def source(pattern: str) -> str:
    """Return what a pattern finds in the headers."""
    if not NATIVE.is_dir():
        pytest.skip("needs the C++ sources")
    found = [re.search(pattern, path.read_text()) for path in sorted(NATIVE.rglob("*.hpp"))]
    (match,) = [m for m in found if m]
    return match.group(1)


@pytest.mark.parametrize(
    ("enum", "table"),
    [
        ("Op", steps._OPS),
        ("Activation", steps._ACTIVATIONS),
        ("Addend", steps._ADDENDS),
        ("Loss", lowering._LOSSES),
    ],
)
def test_numbers_are_those_of_the_header(enum: str, table: dict[str, int]) -> None:
    members = re.findall(r"k(\w+)", source(rf"enum class {enum} : int \{{([^}}]*)\}}"))
    assert [name.lower() for name in members] == [name.replace("_", "").lower() for name in table]
    assert list(table.values()) == list(range(len(table)))


def test_limits_are_those_of_the_kernels() -> None:
    assert int(source(r"kMostKernel = (\d+)")) == lowering.MOST_TAPS
    pixels = re.findall(r"kTilePixels = (\d+)", (NATIVE / "kernels/conv.hpp").read_text())
    assert pixels
    assert max(map(int, pixels)) <= lowering.TILE_PIXELS


def test_every_field_of_a_step_is_sent() -> None:
    body = source(r"struct Step \{([^}]*)\}")
    declared = re.findall(r"(\w+)(?: = -?\d)?(?=[,;])", re.sub(r"//[^\n]*", "", body))
    # where notes lie is the layout's; who keeps samples for a gradient, native/gradients.cpp settles
    assert {*Step("conv", 0, 1).to_native(), "scratch", "kept", "skipped"} == set(declared)


@pytest.mark.parametrize(
    ("between", "kept"),
    [
        ([BatchNorm2d(), ReLU(), Conv2d(16, 3)], False),
        ([BatchNorm2d(), Conv2d(16, 3, padding=2)], False),
        ([BatchNorm2d(), LeakyReLU(0.1), Conv2d(16, 3)], False),
        ([BatchNorm2d(), Tanh(), Conv2d(16, 3)], True),  # e^x again and again
        ([BatchNorm2d(), Sigmoid(), Conv2d(16, 3)], True),
        ([BatchNorm2d(), ReLU(), Conv2d(16, 3, stride=2)], True),
        ([BatchNorm2d(), ReLU(), Conv2d(16, 5)], True),
        ([BatchNorm2d(), ReLU(), Conv2d(8, 3)], True),  # too few filters for tiles in the weight gradient
        ([BatchNorm2d(), ReLU(), Conv2d(16, 3, winograd=False)], True),
        ([BatchNorm2d(), ReLU(), MaxPool2d(1), Conv2d(16, 3)], True),
        ([BatchNorm2d(), Residual([Conv2d(16, 3, padding=1), Conv2d(8, 1)])], True),
        ([BatchNorm2d(), Concat([[Conv2d(16, 3)], [Conv2d(16, 3)]])], True),
        ([Residual([BatchNorm2d()]), Conv2d(16, 3)], True),
        ([Concat([[BatchNorm2d()], [Conv2d(8, 1)]]), Conv2d(16, 3)], True),
        ([BatchNorm2d()], True),
    ],
    ids=str,
)
def test_a_batch_norm_goes_into_the_convolution_by_points_behind_it(between: list[Layer], kept: bool) -> None:
    program = lower([Conv2d(8, 3), *between, Flatten()], (1, 9, 9))
    (norm,) = (step for step in program.steps if step.op == "batch_norm")
    assert (program.training.values[norm.output] >= 0) is kept
    assert (program.prediction.values[norm.output] >= 0) is kept
    source, output = program.slots[norm.input], program.slots[norm.output]
    assert kept or source.border == output.border


def test_a_batch_norm_of_pixels_keeps_its_output() -> None:
    program = lower([Conv2d(8, 3), BatchNorm(), ReLU(), Conv2d(16, 3), Flatten()], (1, 9, 9))
    assert min(program.training.values) >= 0
