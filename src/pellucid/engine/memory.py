"""Where everything that one block of 16 samples needs lies in its memory.

A value lives from the step that computes it to the last one that reads it, on the way forward or back; its δ from the
first step that sends one back to the step that takes it up. What never lives at once may have the same place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from pellucid.engine import winograd
from pellucid.engine.steps import is_pointwise
from pellucid.machine import readable

if TYPE_CHECKING:
    from pellucid.engine.steps import Slot, Step

#: vectors; a network that takes less keeps everything in a place of its own, whose borders are zero once and for all
SMALL = 2**16
#: channels of a tile, in which linear layers keep their inputs
_KEPT_CHANNELS = 64
#: steps whose way back reads what went in, and those that read what came out, besides the activations
_READ_INPUT = ("conv", "batch_norm", "lp_pool", "response_norm", "softmax")
_READ_OUTPUT = ("lp_pool", "response_norm", "softmax")
#: steps that note something forward for the way back
_NOTE_FORWARD = ("max_pool", "response_norm")


@dataclass(frozen=True)
class Layout:
    """Places in a block's memory, in vectors of 16 samples.

    Attributes:
        values, deltas: where each slot's value and δ begin; −1 for none.
        scratch: where each step's notes begin.
        size: of the whole.
        reused: whether a place may be taken more than once.
    """

    values: list[int]
    deltas: list[int]
    scratch: list[int]
    size: int
    reused: bool


@dataclass(frozen=True)
class PlannedMemory:
    """What the native engine takes for the values and δ of 16 samples, and for the notes its steps make.

    Attributes:
        training_bytes: of 16 samples.
        prediction_bytes: of 16 samples.
        whole_batch: whether training keeps all samples of a batch, as batch norm needs; else 16 a thread.
    """

    training_bytes: int
    prediction_bytes: int
    whole_batch: bool

    def notes(self) -> tuple[str, str]:
        """Return the lines below the table."""
        which = "for every 16 samples of a batch" if self.whole_batch else "a thread, which takes 16 samples at a time"
        return (
            f"native engine, training: {readable(self.training_bytes)} {which}",
            f"native engine, prediction: {readable(self.prediction_bytes)} a thread, which takes 16 samples at a time",
        )


@dataclass
class Piece:
    """A piece of memory that is needed from one moment to another.

    Attributes:
        size: its length.
        start, end: the moments.
        place: where it begins, as :func:`place` finds.
    """

    size: int
    start: int
    end: int
    place: int = -1

    def touch(self, moment: int) -> None:
        """Need it at that moment too."""
        self.start, self.end = min(self.start, moment), max(self.end, moment)

    def meets(self, other: Piece) -> bool:
        """Tell whether both are needed at some moment."""
        return self.start <= other.end and other.start <= self.end


def plan(slots: Sequence[Slot], steps: Sequence[Step], output: int, *, training: bool) -> Layout:
    """Return the places for training, or for prediction, which has no way back.

    Args:
        slots, steps: of the program, with borders and tiles; slot 0 is the input.
        output: the slot that the loss reads.
        training: whether there is a way back.
    """
    never = 2 * len(steps) + 1
    values = [Piece(slot.lanes, never, -2) for slot in slots]
    deltas = [Piece(slot.lanes, never, -2) for slot in slots]
    value_roots, delta_roots = ([_root(slots, i, kind) for i in range(len(slots))] for kind in (False, True))
    value = [values[root] for root, _ in value_roots]
    delta = [deltas[root] for root, _ in delta_roots]
    value[0].touch(-1)
    value[output].touch(len(steps))
    if training:
        delta[output].touch(len(steps))
    notes: list[Piece] = []
    for now, step in enumerate(steps):
        for number in step.slots:
            value[number].touch(now)
        back = 2 * len(steps) - now
        notes.append(_notes(slots, step, now, back if training else now))
        if not (training and step.goes_back):
            continue
        for number in step.slots_with_delta:
            delta[number].touch(back)
        if step.op in _READ_INPUT:
            value[step.input].touch(back)
        if step.op in _READ_OUTPUT or step.activation != "none":
            value[step.output].touch(back)
    used = [piece for piece in (*values, *deltas, *notes) if piece.start <= piece.end]
    reused = not training or sum(piece.size for piece in used) > SMALL
    size = place(used, apart=not reused)
    return Layout(
        [
            values[root].place + offset if slot.made_of is None else -1
            for slot, (root, offset) in zip(slots, value_roots, strict=True)
        ],
        [deltas[root].place + offset if deltas[root].place >= 0 else -1 for root, offset in delta_roots],
        [max(note.place, 0) for note in notes],
        size,
        reused,
    )


def normalize_under_way(slots: Sequence[Slot], steps: Sequence[Step]) -> None:
    """Let convolutions by points make what they read of what a batch norm reads, which nobody then keeps.

    They do so for every tile, and again on the way back: e^x in an activation would cost more than it saves.
    """
    by_points = {step.input for step in steps if step.tile == step.weights_tile == winograd.BY_POINT}
    for step in steps:
        output = slots[step.output]
        alone = output.readers == 1 and step.output in by_points
        plain = step.addend < 0 and not step.per_pixel and step.activation in ("none", "relu", "leaky_relu")
        if step.op == "batch_norm" and plain and alone:
            output.made_of = step.input


def go_back_in_place(slots: Sequence[Slot], steps: Sequence[Step]) -> None:
    """Let a batch norm's δ, made pixel by pixel, lie where its output's δ lies, if nobody else needs that one."""
    for step in steps:
        source, output = slots[step.input], slots[step.output]
        alone = step.needs_dx and not step.adds and step.addend_back != "same"
        if step.op == "batch_norm" and alone and source.border == output.border:
            source.same_delta = step.output


def of_whole_batch(slots: Sequence[Slot], steps: Sequence[Step]) -> tuple[int, int]:
    """Return how many parameters get their gradient from all samples at once, and the vectors a block keeps for it.

    The numbers are those of native/gradients.cpp.
    """
    parameters = kept = 0
    for step in steps:
        source, output = slots[step.input], slots[step.output]
        if step.op == "batch_norm":
            parameters += 2 * source.channels * (source.pixels if step.per_pixel else 1)
        elif step.op == "conv" and is_pointwise(step, source, output) and source.pixels == output.pixels == 1:
            parameters += source.channels * output.channels
            kept += -(-source.channels // _KEPT_CHANNELS) * _KEPT_CHANNELS + output.channels
    return parameters, kept


def _root(slots: Sequence[Slot], number: int, of_delta: bool) -> tuple[int, int]:
    """Return the slot in whose value, or δ, this one's lies, and where in it; or of whose value it is made."""
    slot, offset = slots[number], 0
    while True:
        if slot.parent is not None:
            number, offset = slot.parent, offset + slot.first * slot.height * slot.pitch
        elif of_delta and slot.same_delta is not None:
            number = slot.same_delta
        elif not of_delta and slot.made_of is not None:
            number = slot.made_of
        else:
            return number, offset
        slot = slots[number]


def _notes(slots: Sequence[Slot], step: Step, now: int, back: int) -> Piece:
    source, output = slots[step.input], slots[step.output]
    if step.op in _NOTE_FORWARD:
        return Piece(prod((output.channels, output.height, output.width)), now, back)
    if step.winograd and back > now:
        sizes = (source.channels, output.channels, output.height, output.width)
        lanes = winograd.arena_lanes(step.winograd, *sizes, tiled_dx=bool(step.tile) and step.needs_dx)
        return Piece(lanes, back, back)
    return Piece(0, 0, -1)


def place(pieces: list[Piece], *, apart: bool = False) -> int:
    """Give every piece a place, each in the lowest gap that is free while it is needed.

    The largest come first, or those that are needed longest, whichever takes less.

    Returns:
        how much memory they need together; with ``apart``, none shares its place.
    """
    largest = sorted(pieces, key=lambda piece: -piece.size)
    longest = sorted(largest, key=lambda piece: piece.start - piece.end)
    most = _place_in(largest, apart)
    size = _place_in(longest, apart)
    return size if size <= most else _place_in(largest, apart)


def _place_in(order: list[Piece], apart: bool) -> int:
    size = 0
    placed: list[Piece] = []
    for piece in order:
        piece.place = 0
        for other in placed:  # by place
            if apart or piece.meets(other):
                if piece.place + piece.size <= other.place:
                    break
                piece.place = max(piece.place, other.place + other.size)
        placed.append(piece)
        placed.sort(key=lambda piece: piece.place)
        size = max(size, piece.place + piece.size)
    return size
