"""The memory plan against a block that is played through, step by step: nobody reads what another has written over."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from native_nets import JOINED, NETS

from pellucid.engine import memory
from pellucid.engine.memory import Layout
from pellucid.engine.program import Program
from pellucid.engine.steps import Slot, Step
from pellucid.graph import Graph
from pellucid.layers import BatchNorm2d, Conv2d, GlobalAvgPool2d, Layer, Linear, ReLU, Residual
from pellucid.tensor_table import offsets

ALL = NETS | JOINED


def lower(layers: list[Layer], shape: tuple[int, ...]) -> Program:
    graph = Graph(layers, shape)
    parameters, state = graph.init_tensors(np.random.default_rng(0), np.float32)
    return Program(graph, offsets(parameters) | offsets(state))


class Arena:
    """Who has written every vector last."""

    def __init__(self, program: Program, layout: Layout) -> None:
        self.slots, self.layout = program.slots, layout
        self.owner = np.full(layout.size, "", object)

    def region(self, kind: str, number: int) -> slice:
        start = (self.layout.values if kind == "value" else self.layout.deltas)[number]
        assert 0 <= start <= start + self.slots[number].lanes <= self.layout.size
        return slice(start, start + self.slots[number].lanes)

    def write(self, kind: str, number: int) -> None:
        if kind == "value" and self.slots[number].made_of is not None:
            assert self.layout.values[number] == -1
            return
        self.owner[self.region(kind, number)] = f"{kind} {number}"

    def read(self, kind: str, number: int) -> None:
        made_of = self.slots[number].made_of
        if kind == "value" and made_of is not None:
            number = made_of
        # A part of a concatenation is the whole's, and the whole is its parts'.
        names = {f"{kind} {other}" for other in self.family(number)}
        assert set(self.owner[self.region(kind, number)]) <= names, (kind, number)

    def family(self, number: int) -> set[int]:
        found = {number}
        while True:
            more = {i for i, slot in enumerate(self.slots) if slot.parent in found}
            more |= {self.slots[i].parent for i in found if self.slots[i].parent is not None}
            if more <= found:
                return found
            found |= more


def notes(step: Step, slots: list[Slot]) -> int:
    out = slots[step.output]
    if step.op in ("max_pool", "response_norm"):
        return out.channels * out.height * out.width
    if step.winograd == 5:
        tiles = -(-out.height // 4) * -(-out.width // 4)
        return 8 * (out.channels * tiles + 1) * 4 + slots[step.input].channels * 64 * -(-out.channels // 16)
    return 0


def play_forward(program: Program, arena: Arena) -> None:
    arena.write("value", 0)
    for number, step in enumerate(program.steps):
        for source in {step.input, step.addend} - {-1}:
            arena.read("value", source)
        arena.write("value", step.output)
        if step.op in ("max_pool", "response_norm"):
            start = arena.layout.scratch[number]
            arena.owner[start : start + notes(step, program.slots)] = f"notes {number}"
    arena.read("value", program.output)


def play_backward(program: Program, arena: Arena) -> None:
    arena.write("delta", program.output)
    for number, step in reversed(list(enumerate(program.steps))):
        if not (step.weight >= 0 or step.needs_dx or step.addend_back != "none"):
            continue
        arena.read("delta", step.output)
        if step.activation != "none" or step.op in ("softmax", "lp_pool", "response_norm"):
            arena.read("value", step.output)
        if step.op in ("conv", "batch_norm", "lp_pool", "response_norm"):
            arena.read("value", step.input)
        start, count = arena.layout.scratch[number], notes(step, program.slots)
        assert start + count <= arena.layout.size
        if step.op == "conv":
            arena.owner[start : start + count] = f"notes {number}"
        assert set(arena.owner[start : start + count]) <= {f"notes {number}"}
        if step.addend_back == "same":
            assert arena.region("delta", step.addend) == arena.region("delta", step.output)
            arena.write("delta", step.addend)
        elif step.addend_back == "add":
            arena.read("delta", step.addend)
        if step.adds:
            arena.read("delta", step.input)
        elif step.needs_dx:
            arena.write("delta", step.input)
        if step.op == "conv":  # the weight gradient comes after dx
            arena.read("delta", step.output)
            arena.read("value", step.input)


def play(program: Program) -> None:
    arena = Arena(program, program.training)
    play_forward(program, arena)
    play_backward(program, arena)
    play_forward(program, Arena(program, program.prediction))


@pytest.mark.parametrize("small", [0, 2**16])
@pytest.mark.parametrize("name", ALL)
def test_nobody_reads_what_another_has_written_over(name: str, small: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "SMALL", small)
    play(lower(*ALL[name]))


def deep(blocks: int, channels: int = 8) -> tuple[list[Layer], tuple[int, ...]]:
    convolutions = [Conv2d(channels, 3, padding=1) for _ in range(2)]
    body: list[Layer] = [convolutions[0], BatchNorm2d(), ReLU(), convolutions[1], BatchNorm2d()]
    layers: list[Any] = [Conv2d(channels, 3, padding=1)]
    for _ in range(blocks):
        layers += [Residual(body), ReLU()]
    return [*layers, GlobalAvgPool2d(), Linear(3)], (3, 20, 20)


def test_a_deep_network_takes_one_place_for_many_values() -> None:
    program = lower(*deep(6))
    play(program)
    # What goes into and comes out of two batch norms a block is kept, and some δ are alive at the same time.
    maps = 8 * 20 * (20 + 2 * program.slots[1].border)
    kept = program.slots[0].lanes + (1 + 6 * 4) * maps
    assert program.training.reused
    assert kept < program.training.size < kept + 4 * maps
    assert program.prediction.size == 3 * maps
    apart = sum((1 + slot.learns) * slot.lanes for slot in program.slots)
    assert program.training.size < 0.7 * apart


def test_what_a_batch_norm_gives_to_a_convolution_by_points_is_never_kept() -> None:
    program = lower(*deep(6, channels=16))
    play(program)
    # What goes into and comes out of two batch norms a block, but for what comes out of the first.
    maps = 16 * 20 * (20 + 2 * program.slots[1].border)
    kept = program.slots[0].lanes + (1 + 6 * 3) * maps
    assert kept < program.training.size < kept + 4 * maps
    assert program.prediction.size == 3 * maps


def test_a_small_network_keeps_everything_in_a_place_of_its_own() -> None:
    program = lower(*ALL["residual"])
    assert program.prediction is program.training
    assert not program.training.reused
    owned = {(start, slot.lanes) for slot, start in zip(program.slots, program.training.values, strict=True)}
    places = sorted(owned)
    assert all(start + size <= following for (start, size), (following, _) in pairwise(places))


def test_a_batch_norm_goes_back_in_place_unless_a_shortcut_needs_its_delta() -> None:
    body = [Conv2d(4, 3, 1, 1), BatchNorm2d(), ReLU(), Conv2d(4, 3, 1, 1), BatchNorm2d()]
    program = lower([Conv2d(4, 3, 1, 1), Residual(body), ReLU(), Conv2d(2, 3, 1, 1), GlobalAvgPool2d()], (2, 8, 8))
    deltas = program.training.deltas
    norms = [step for step in program.steps if step.op == "batch_norm"]
    assert [(step.addend >= 0, deltas[step.input] == deltas[step.output]) for step in norms] == [
        (False, True),
        (True, False),
    ]


@pytest.mark.parametrize(
    ("needed", "size"),
    [
        ([(4, 0, 0), (3, 1, 2), (3, 0, 3), (3, 2, 2)], 9),  # 10 with the largest first
        ([(3, 0, 0), (3, 0, 1), (2, 1, 3)], 6),  # 8 with that first which is needed longest
    ],
)
def test_the_better_of_two_orders_is_taken(needed: list[tuple[int, int, int]], size: int) -> None:
    pieces = [memory.Piece(*one) for one in needed]
    assert memory.place(pieces) == size == max(piece.place + piece.size for piece in pieces)
    for i, a in enumerate(pieces):
        for b in pieces[:i]:
            assert not a.meets(b) or a.place + a.size <= b.place or b.place + b.size <= a.place
