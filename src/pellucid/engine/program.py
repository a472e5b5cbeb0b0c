"""Lowering: a graph becomes a list of native steps over numbered slots, with every size fixed.

Each layer says through ``emit`` which step it becomes; this file only keeps the books: slots, where parameters begin,
which activation rides along with the step before it, how wide the zero borders must be, and where everything lies in
the memory of one block of 16 samples.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from pellucid.arrays import Shape
from pellucid.engine import winograd
from pellucid.engine.inheritance import speaks_for
from pellucid.errors import EngineError
from pellucid.graph import INPUT, Graph
from pellucid.layers.base import Layer, Window

#: a tile of neighbouring pixels may read so many pixels less one beyond an edge; see kernels/conv.hpp
TILE_PIXELS = 4
#: the most of anything that the kernels count in an int: vectors of a slot, weights of a layer, a window's numbers
MOST_NUMBERS = 2**30
#: size of one vector of 16 samples
LANE_BYTES = 64
#: the largest kernel that the native convolution takes, along one axis
MOST_TAPS = 64

_OPS = {
    "conv": 0,
    "max_pool": 1,
    "avg_pool": 2,
    "activation": 3,
    "flatten": 4,
    "dropout": 5,
    "lp_pool": 6,
    "softmax": 7,
    "response_norm": 8,
}
#: steps that an activation may ride along with: their own way back does not need their y, which it overwrites
_TAKE_ALONG = ("conv", "max_pool", "avg_pool", "activation", "dropout")
_ACTIVATIONS = {"none": 0, "relu": 1, "leaky_relu": 2, "elu": 3, "sigmoid": 4, "tanh": 5}
_LOSSES = {"CrossEntropy": 0, "LogLoss": 1, "SquaredError": 2}

_PIXEL: Window = (1, 1, 1, 0)


@dataclass
class Slot:
    """A value of one block: maps (C, H, W), vectors being maps of one pixel."""

    channels: int
    height: int
    width: int
    border: int = 0

    @property
    def lanes(self) -> int:
        """Vectors of 16 samples that it takes."""
        return self.channels * self.height * (self.width + 2 * self.border)


@dataclass
class Step:
    """One native step; the fields are those of ``Step`` in native/program.hpp."""

    op: str
    input: int
    output: int
    rows: Window = _PIXEL
    columns: Window = _PIXEL
    groups: int = 1
    flip: bool = False
    weight: int = -1
    bias: int = -1
    activation: str = "none"
    alpha: float = 0.0
    column_major: bool = False
    needs_dx: bool = True
    adds: bool = False
    scratch: int = 0
    packed: int = 0
    tile: int = 0
    weights_tile: int = 0
    p: float = 0.0
    position: int = 0
    size: int = 0
    k: float = 0.0
    share: float = 0.0
    beta: float = 0.0
    scale: list[float] = field(default_factory=list[float])

    @property
    def side(self) -> int:
        """Side of the tiles, whatever they are for; 0 if there are none."""
        return max(self.tile, self.weights_tile)

    @property
    def rises(self) -> bool:
        """Whether the step has an activation that never falls: f(a) ≤ f(b) for a ≤ b."""
        return self.activation not in ("none", "leaky_relu", "elu") or (self.activation != "none" and self.alpha >= 0)

    def to_native(self) -> dict[str, Any]:
        """Return the fields as the compiled part reads them."""
        return {**vars(self), "op": _OPS[self.op], "activation": _ACTIVATIONS[self.activation]}


class Program:
    """The steps of one network; a layer's ``emit`` calls the methods named after what it is.

    Args:
        graph: the network's graph; a chain of layers.
        offsets: where each parameter begins in the flat array of all of them.

    Raises:
        EngineError: a layer has no native step, or not with these settings.
    """

    def __init__(self, graph: Graph, offsets: dict[str, int]) -> None:
        self.slots: list[Slot] = []
        self.steps: list[Step] = []
        # Maps of one pixel are no vector: a convolution may have put a border around that pixel.
        self._is_vector: list[bool] = []
        self._offsets = offsets
        self._node = ""
        self._position = 0
        slot = self._new(graph.input_shape)
        source = INPUT
        for position, node in enumerate(graph.nodes):
            if node.inputs != (source,):
                raise EngineError(f"layer {node.name!r} joins branches, which the native engine does not do yet")
            self._node, self._position = node.name, position
            if not _emits_itself(type(node.layer)):
                raise EngineError(f"layer {node.name!r} {node.layer!r} changes what its native step computes")
            try:
                slot = node.layer.emit(self, slot)
            except EngineError as error:
                raise EngineError(f"layer {node.name!r}: {error}") from None
            source = node.name
        self.output = slot
        if not self._is_vector[slot]:
            raise EngineError("the native engine needs a network that ends in a vector; put Flatten() at its end")
        self._plan()

    def conv(
        self, slot: int, shape: Shape, rows: Window, columns: Window, *, groups: int = 1, flip: bool = False
    ) -> int:
        """Add a convolution with the layer's weight and bias; a linear layer is one of maps of one pixel."""
        if max(rows[0], columns[0]) > MOST_TAPS:
            raise EngineError(f"its kernel is larger than the native engine's {MOST_TAPS} pixels")
        weight, bias = self._offsets[f"{self._node}.weight"], self._offsets.get(f"{self._node}.bias", -1)
        return self._add(
            "conv", slot, shape, rows=rows, columns=columns, groups=groups, flip=flip, weight=weight, bias=bias
        )

    def max_pool(self, slot: int, shape: Shape, rows: Window, columns: Window) -> int:
        """Add a max pooling.

        An activation before it that never falls moves behind it: max f(x) = f(max x), over fewer pixels.
        """
        output = self._add("max_pool", slot, shape, rows=rows, columns=columns)
        if len(self.steps) > 1 and self.steps[-2].rises:
            before, pool = self.steps[-2:]
            pool.activation, pool.alpha, before.activation = before.activation, before.alpha, "none"
        return output

    def avg_pool(self, slot: int, shape: Shape, rows: Window, columns: Window, scale: list[float]) -> int:
        """Add an average pooling; ``scale`` is 1/divisor of every output pixel, row by row."""
        return self._add("avg_pool", slot, shape, rows=rows, columns=columns, scale=scale)

    def lp_pool(self, slot: int, shape: Shape, rows: Window, columns: Window, p: float) -> int:
        """Add a pooling by the p-norm."""
        return self._add("lp_pool", slot, shape, rows=rows, columns=columns, p=p)

    def flatten(self, slot: int, *, column_major: bool = False) -> int:
        """Add the change from maps to a vector; what is one already stays."""
        maps = self.slots[slot]
        if self._is_vector[slot]:
            return slot
        return self._add("flatten", slot, (maps.channels * maps.height * maps.width,), column_major=column_major)

    def activation(self, slot: int, kind: str, alpha: float = 0.0) -> int:
        """Apply an activation; it rides along with the step before it, if that step has none yet."""
        if self.steps and self.steps[-1].activation == "none" and self.steps[-1].op in _TAKE_ALONG:
            self.steps[-1].activation, self.steps[-1].alpha = kind, alpha
            return slot
        return self._add("activation", slot, self._full_shape(slot), activation=kind, alpha=alpha)

    def softmax(self, slot: int) -> int:
        """Add a softmax over the channels, at every pixel."""
        return self._add("softmax", slot, self._full_shape(slot))

    def response_norm(self, slot: int, size: int, k: float, share: float, beta: float) -> int:
        """Add y = x·s^(−beta), s = k + share·Σ x² over ``size`` neighbouring channels."""
        return self._add("response_norm", slot, self._full_shape(slot), size=size, k=k, share=share, beta=beta)

    def dropout(self, slot: int, p: float) -> int:
        """Add a dropout; what it draws depends on where the layer stands in the graph."""
        return self._add("dropout", slot, self._full_shape(slot), p=p, position=self._position)

    def shape(self, slot: int) -> tuple[int, int, int]:
        """Return (C, H, W) of a slot; a vector is maps of one pixel."""
        maps = self.slots[slot]
        return maps.channels, maps.height, maps.width

    @property
    def arena_bytes(self) -> int:
        """Memory that a block of 16 samples takes."""
        return self._arena * LANE_BYTES

    def runner(self, native: Any, loss: str, parameters: int, isa: str) -> Any:
        """Return the compiled program, ready to run."""
        return native.Runner(
            slots=[
                (s.channels, s.height, s.width, s.border, value, delta)
                for s, (value, delta) in zip(self.slots, self._places, strict=True)
            ],
            steps=[step.to_native() for step in self.steps],
            input=0,
            output=self.output,
            loss=_LOSSES[loss],
            arena=self._arena,
            parameters=parameters,
            packed=self._packed,
            scratch=self._scratch,
            isa=isa,
        )

    def _new(self, shape: Shape) -> int:
        self._is_vector.append(len(shape) == 1)
        self.slots.append(Slot(*(shape if len(shape) == 3 else (shape[0], 1, 1))))
        return len(self.slots) - 1

    def _full_shape(self, slot: int) -> Shape:
        return self.shape(slot)[:1] if self._is_vector[slot] else self.shape(slot)

    def _add(self, op: str, slot: int, shape: Shape, **settings: Any) -> int:
        output = self._new(shape)
        learns_before = any(step.weight >= 0 for step in self.steps)
        self.steps.append(Step(op, slot, output, needs_dx=learns_before, **settings))
        return output

    def _plan(self) -> None:
        """Set borders, and give every slot and every step's notes their places."""
        for step in self.steps:
            if step.op == "conv":
                if step.groups == 1:
                    source, output = self.slots[step.input], self.slots[step.output]
                    side = winograd.side(step.rows, step.columns, output.height, output.width)
                    step.tile = side if winograd.pays_for_maps(source.channels) else 0
                    weighs = winograd.pays_for_weights(step.rows[0], source.channels, output.channels)
                    step.weights_tile = side if weighs else 0
                self._widen(step)
        self._places: list[tuple[int, int]] = []
        self._arena = self._packed = self._scratch = 0
        for slot in self.slots:
            self._places.append((self._arena, self._arena + slot.lanes))
            self._arena += 2 * slot.lanes
        for step in self.steps:
            source, output = self.slots[step.input], self.slots[step.output]
            if step.op in ("max_pool", "response_norm"):
                step.scratch = self._arena
                self._arena += prod((output.channels, output.height, output.width))
            if step.op == "conv":
                step.packed = self._packed
                ways = [(source.channels, output.channels), (output.channels, source.channels)]
                for channels, filters in ways[: 2 if step.needs_dx else 1]:
                    weights = channels // step.groups * filters * step.rows[0] * step.columns[0]
                    if step.tile:
                        weights = winograd.packed_floats(step.tile, channels, filters)
                    self._packed += weights
                    self._require_countable(step, weights)
            if step.side:
                step.scratch = self._arena
                self._arena += winograd.arena_lanes(
                    step.side, source.channels, output.channels, output.height, output.width
                )
                self._scratch = max(self._scratch, winograd.scratch_lanes(step.side, source.channels, output.channels))
            self._require_countable(step, source.lanes, output.lanes, *step.rows, *step.columns)

    def _require_countable(self, step: Step, *numbers: int) -> None:
        if max(numbers) > MOST_NUMBERS:
            raise EngineError(
                f"a {step.op} step has {max(numbers):,} numbers in one of its arrays or settings; the native engine "
                f"counts to {MOST_NUMBERS:,}"
            )

    def _widen(self, step: Step) -> None:
        """Give input and output the zero borders that a convolution reads beyond their edges."""
        source, output = self.slots[step.input], self.slots[step.output]
        kernel, stride, dilation, before = step.columns
        after = stride * (output.width - 1) + dilation * (kernel - 1) - before - (source.width - 1)
        source.border = max(source.border, before, after)
        if step.side and step.side != winograd.SIDE_BY_POINT:
            beyond = -output.width % step.side  # pixels of the last tile that lie outside
            source.border = max(source.border, after + beyond)
            output.border = max(output.border, beyond)
        if step.needs_dx and step.tile == winograd.SIDE_BY_POINT:
            before = kernel - 1 - before
            output.border = max(output.border, before, source.width + kernel - 1 - before - output.width)
        if step.needs_dx and not step.tile and (kernel, stride, before) != (1, 1, 0):
            output.border = max(output.border, TILE_PIXELS - 1)


def _emits_itself(layer: type[Layer]) -> bool:
    return layer.emit is Layer.emit or speaks_for(layer, "emit", "forward", "backward")
