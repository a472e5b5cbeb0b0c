"""Lowering: a graph becomes a list of native steps over numbered slots, with every size fixed.

Each layer says through ``emit`` which step it becomes; this file only keeps the books: slots, where parameters begin,
which activation rides along with the step before it, how wide the zero borders must be, and where everything lies in
the memory of one block of 16 samples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from pellucid.arrays import Shape
from pellucid.engine import winograd as tiles
from pellucid.engine.inheritance import speaks_for
from pellucid.engine.memory import Layout, go_back_in_place, normalize_under_way, of_whole_batch, plan
from pellucid.engine.steps import Slot, Step, is_pointwise
from pellucid.errors import EngineError
from pellucid.graph import INPUT, Graph
from pellucid.layers.base import Layer, Window

#: a tile of neighbouring pixels may read so many pixels less one beyond an edge; see kernels/conv.hpp
TILE_PIXELS = 4
#: the most of anything that the kernels count in an int: vectors of a slot, weights of a layer, a window's numbers
MOST_NUMBERS = 2**30
#: samples of a block, and the size of one vector of them
LANES, LANE_BYTES = 16, 64
#: from so many parameters on, all blocks add to one set of gradients, and all threads work on one block
WIDE = 2**21
#: the largest kernel that the native convolution takes, along one axis
MOST_TAPS = 64

#: steps that an activation may ride along with: their own way back does not need their y, which it overwrites
_TAKE_ALONG = ("conv", "max_pool", "avg_pool", "activation", "dropout", "batch_norm", "add")
#: steps that can add their dx to what another reader of their input has sent back
_ADDING = ("conv", "max_pool", "avg_pool", "activation", "batch_norm", "add")
_LOSSES = {"CrossEntropy": 0, "LogLoss": 1, "SquaredError": 2}


class Program:
    """The steps of one network; a layer's ``emit`` calls the methods named after what it is.

    Args:
        graph: the network's graph.
        offsets: where each parameter begins in the flat array of all of them, and each running statistic in its own.

    Attributes:
        training, prediction: where everything lies in a block's memory.
        statistics: how many batch norms keep, all together.
        values_of_a_statistic: the fewest values that one of them is taken over, for each sample; 0 if there are none.

    Raises:
        EngineError: a layer has no native step, or not with these settings.
    """

    def __init__(self, graph: Graph, offsets: dict[str, int]) -> None:
        self.slots: list[Slot] = []
        self.steps: list[Step] = []
        self._may_be_tiled: list[Step] = []
        self.statistics = self.values_of_a_statistic = 0
        self._offsets = offsets
        self._node = ""
        self._position = 0
        readers = Counter(source for node in graph.nodes for source in node.inputs)
        slots = {INPUT: self._new(graph.input_shape)}
        self.slots[0].readers = readers[INPUT]
        for position, node in enumerate(graph.nodes):
            self._node, self._position = node.name, position
            if not _emits_itself(type(node.layer)):
                raise EngineError(f"layer {node.name!r} {node.layer!r} changes what its native step computes")
            try:
                slot = node.layer.emit(self, *(slots[source] for source in node.inputs))
            except EngineError as error:
                raise EngineError(f"layer {node.name!r}: {error}") from None
            slots[node.name] = slot
            self.slots[slot].readers = readers[node.name]
            if node is not graph.nodes[-1] and not readers[node.name]:
                raise EngineError(f"nothing reads the output of layer {node.name!r}")
        self.output = slots[graph.nodes[-1].name]
        if not self.slots[self.output].is_vector:
            raise EngineError("the native engine needs a network that ends in a vector; put Flatten() at its end")
        self._connect_deltas()
        self._fix_sizes()
        self.training = plan(self.slots, self.steps, self.output, training=True)
        # In the same memory, borders that stay zero must lie in the same places.
        self.prediction = self.training
        if self.training.reused:
            self.prediction = plan(self.slots, self.steps, self.output, training=False)

    def conv(
        self,
        slot: int,
        shape: Shape,
        rows: Window,
        columns: Window,
        *,
        groups: int = 1,
        flip: bool = False,
        winograd: bool = True,
    ) -> int:
        """Add a convolution with the layer's weight and bias; a linear layer is one of maps of one pixel."""
        if max(rows[0], columns[0]) > MOST_TAPS:
            raise EngineError(f"its kernel is larger than the native engine's {MOST_TAPS} pixels")
        weight, bias = self._offsets[f"{self._node}.weight"], self._offsets.get(f"{self._node}.bias", -1)
        output = self._add(
            "conv", slot, shape, rows=rows, columns=columns, groups=groups, flip=flip, weight=weight, bias=bias
        )
        if groups == 1 and winograd:
            self._may_be_tiled.append(self.steps[-1])
        return output

    def _set_tiles(self, step: Step) -> None:
        source, output = self.slots[step.input], self.slots[step.output]
        kernel = tiles.kernel(step.rows, step.columns, output.height, output.width)
        pays = tiles.pays_for_maps(source.channels)
        if not step.needs_dx and self._is_activated_smoothly(step):
            pays |= tiles.pays_for_image(kernel, source.channels)
        step.tile = kernel if pays else 0
        weighs = tiles.pays_for_weights(step.rows[0], source.channels, output.channels)
        step.weights_tile = kernel if weighs else 0

    def _is_activated_smoothly(self, step: Step) -> bool:
        """Tell whether the activation that comes next has no kink.

        Where a picture is black, the direct way gives 0 and the bias, which rounding would move off a ReLU's kink.
        """
        while step.activation == "none":
            readers = [other for other in self.steps if step.output in other.slots[:-1]]
            if len(readers) != 1 or readers[0].op not in ("batch_norm", "max_pool", "avg_pool"):
                return False
            step = readers[0]
        return step.activation in ("sigmoid", "tanh") or (step.activation == "elu" and step.alpha == 1.0)

    def max_pool(self, slot: int, shape: Shape, rows: Window, columns: Window) -> int:
        """Add a max pooling.

        An activation before it that never falls moves behind it: max f(x) = f(max x), over fewer pixels.
        """
        output = self._add("max_pool", slot, shape, rows=rows, columns=columns)
        before, pool = self._producer(slot), self.steps[-1]
        if before is not None and before.rises and self.slots[slot].readers == 1:
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
        if maps.is_vector:
            return slot
        return self._add("flatten", slot, (maps.channels * maps.pixels,), column_major=column_major)

    def activation(self, slot: int, kind: str, alpha: float = 0.0) -> int:
        """Apply an activation; it rides along with the step before it, if that step has none and no other reader."""
        before = self._producer(slot)
        alone = self.slots[slot].readers == 1
        if before is not None and alone and before.activation == "none" and before.op in _TAKE_ALONG:
            before.activation, before.alpha = kind, alpha
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

    def batch_norm(self, slot: int, *, per_pixel: bool, eps: float, momentum: float) -> int:
        """Add a batch normalization with one statistic a map, or one a pixel; a negative momentum is cumulative."""
        source = self.slots[slot]
        output = self._add(
            "batch_norm",
            slot,
            self._full_shape(slot),
            weight=self._offsets[f"{self._node}.weight"],
            bias=self._offsets[f"{self._node}.bias"],
            state=self._offsets[f"{self._node}.running_mean"],
            norm=self.statistics,
            per_pixel=per_pixel,
            eps=eps,
            momentum=momentum,
        )
        self.statistics += source.channels * (source.pixels if per_pixel else 1)
        values = 1 if per_pixel else source.pixels
        self.values_of_a_statistic = min(self.values_of_a_statistic or values, values)
        return output

    def add(self, slots: Sequence[int]) -> int:
        """Add the sum of some slots; a batch norm that has just been computed adds the other one itself."""
        first, *others = slots
        last = self.steps[-1] if self.steps else None
        if last is not None and last.op == "batch_norm" and last.activation == "none" and last.addend < 0:
            there, other = (first, others[0]) if last.output == first else (others[0], first)
            if len(slots) == 2 and last.output == there != other and self.slots[there].readers == 1:
                last.addend = other
                self.slots[there].learns = True
                return there
        for other in others:
            total = self._add("add", first, self._full_shape(first), addend=other)
            self.slots[total].learns |= self.slots[other].learns
            first = total
        return first

    def concat(self, slots: Sequence[int]) -> int:
        """Put channels behind each other: each slot becomes a part of the whole, so that nothing is copied."""
        shapes = [self.shape(slot) for slot in slots]
        whole = self._new(
            (sum(shape[0] for shape in shapes), *(() if self.slots[slots[0]].is_vector else shapes[0][1:]))
        )
        first = 0
        for slot in slots:
            first += self.slots[self._lay_into(whole, slot, first)].channels
        return whole

    def pad_channels(self, slot: int, channels: int) -> int:
        """Append channels of zeros: the slot becomes the first ones of the whole."""
        whole = self._new((channels, *self.shape(slot)[1:]))
        slot = self._lay_into(whole, slot, 0)
        self.steps.append(Step("pad_channels", slot, whole, needs_dx=False))
        return whole

    def shape(self, slot: int) -> tuple[int, int, int]:
        """Return (C, H, W) of a slot; a vector is maps of one pixel."""
        maps = self.slots[slot]
        return maps.channels, maps.height, maps.width

    def bytes_of(self, samples: int, workers: int, parameters: int, *, training: bool) -> int:
        """Return the memory that a batch takes.

        That is blocks in progress, packed weights, every block's gradients, and what linear layers keep of all samples.
        """
        blocks = -(-samples // LANES)
        wide = parameters >= WIDE
        layout = self.training if training else self.prediction
        keeps_blocks = training and self.statistics > 0
        at_once = blocks if keeps_blocks else 1 if wide else min(blocks, workers)
        step_by_step = keeps_blocks or blocks == 1
        sets = 1 if wide else blocks
        in_place = step_by_step and sets == 1
        packed = self._in_turn if wide and step_by_step else self._packed
        learned, kept = of_whole_batch(self.slots, self.steps)
        gradients = (parameters - learned) * sets if training and not in_place else 0
        vectors = at_once * layout.size + (blocks * kept if training else 0)
        return vectors * LANE_BYTES + 4 * (packed + gradients)

    def runner(self, native: Any, loss: str, parameters: int, state: int, isa: str) -> Any:
        """Return the compiled program, ready to run."""
        return native.Runner(
            steps=[step.to_native() for step in self.steps],
            training=self._places(self.training),
            prediction=self._places(self.prediction),
            input=0,
            output=self.output,
            loss=_LOSSES[loss],
            parameters=parameters,
            packed=self._packed,
            scratch=self._scratch,
            isa=isa,
            norms=self.statistics,
            state=state,
            wide=parameters >= WIDE,
            by_points=self._by_points,
            in_turn=self._in_turn,
        )

    def _places(self, layout: Layout) -> tuple[list[tuple[int, ...]], list[int], int]:
        places = zip(self.slots, layout.values, layout.deltas, strict=True)
        slots = [(s.channels, s.height, s.width, s.border, value, delta, layout.reused) for s, value, delta in places]
        return slots, layout.scratch, layout.size

    def _new(self, shape: Shape) -> int:
        self.slots.append(Slot(*(shape if len(shape) == 3 else (shape[0], 1, 1)), is_vector=len(shape) == 1))
        return len(self.slots) - 1

    def _full_shape(self, slot: int) -> Shape:
        return self.shape(slot)[:1] if self.slots[slot].is_vector else self.shape(slot)

    def _producer(self, slot: int) -> Step | None:
        return next((step for step in reversed(self.steps) if step.output == slot), None)

    def _lay_into(self, whole: int, slot: int, first: int) -> int:
        """Make a slot the channels of another from ``first`` on; a copy of it if others need it where it is."""
        if self._producer(slot) is None or self.slots[slot].readers > 1 or self.slots[slot].parent is not None:
            slot = self._copy(slot)
        self.slots[slot].parent, self.slots[slot].first = whole, first
        self.slots[whole].learns |= self.slots[slot].learns
        return slot

    def _copy(self, slot: int) -> int:
        return self._add("activation", slot, self._full_shape(slot))

    def _add(self, op: str, slot: int, shape: Shape, **settings: Any) -> int:
        if self.slots[slot].readers > 1 and op not in _ADDING:
            slot = self._copy(slot)
        output = self._new(shape)
        learns = self.slots[slot].learns
        self.steps.append(Step(op, slot, output, needs_dx=learns, **settings))
        self.slots[output].learns = learns or self.steps[-1].weight >= 0
        return output

    def _connect_deltas(self) -> None:
        """Settle who writes a δ first, going back, and who adds to it."""
        written = {self.output}
        for step in reversed(self.steps):
            if step.addend >= 0 and self.slots[step.addend].learns:
                step.addend_back = "add" if step.addend in written else "same"
                if step.addend_back == "same":
                    self.slots[step.addend].same_delta = step.output
                written.add(step.addend)
            step.adds = step.needs_dx and step.input in written
            written.add(step.input)

    def _fix_sizes(self) -> None:
        """Set tiles, borders and the places of packed weights."""
        for step in self._may_be_tiled:
            self._set_tiles(step)
        for step in self.steps:
            if step.op == "conv":
                self._widen(step)
        normalize_under_way(self.slots, self.steps)
        self._share_borders()
        go_back_in_place(self.slots, self.steps)
        self._scratch = 0
        self._place_packed_weights()
        for step in self.steps:
            source, output = self.slots[step.input], self.slots[step.output]
            if step.winograd:
                self._scratch = max(self._scratch, tiles.scratch_lanes(step.winograd, source.channels, output.channels))
            self._require_countable(step, source.lanes, output.lanes, *step.rows, *step.columns)

    def _place_packed_weights(self) -> None:
        """Give every convolution's packed weights a place; those by points come last, or take one place in turn."""
        convolutions = [step for step in self.steps if step.op == "conv"]
        by_points = [step for step in convolutions if step.tile == tiles.BY_POINT]
        self._packed, longest = 0, 0
        for step in [step for step in convolutions if step.tile != tiles.BY_POINT]:
            step.packed = self._packed
            self._packed += sum(self._packed_weights(step))
        if by_points:
            self._packed = -(-self._packed // LANES) * LANES  # they are read and written in vectors
        self._by_points = self._packed
        for step in by_points:
            step.packed = self._packed
            ways = self._packed_weights(step)
            self._packed, longest = self._packed + sum(ways), max(longest, *ways)
        self._in_turn = self._by_points + longest

    def _packed_weights(self, step: Step) -> list[int]:
        """Return the numbers of a convolution's packed weights, forward and where it is wanted for dx."""
        source, output = self.slots[step.input], self.slots[step.output]
        found: list[int] = []
        ways = [(source.channels, output.channels), (output.channels, source.channels)]
        for channels, filters in ways[: 2 if step.needs_dx else 1]:
            weights = channels // step.groups * filters * step.rows[0] * step.columns[0]
            if step.tile:
                weights = tiles.packed_floats(step.tile, channels, filters)
            self._require_countable(step, weights)
            found.append(0 if self._packs_nothing(step) else weights)
        return found

    def _packs_nothing(self, step: Step) -> bool:
        """Tell whether a convolution reads its weights as they are, and packs nothing."""
        source, output = self.slots[step.input], self.slots[step.output]
        if step.tile == tiles.BY_POINT:
            maps = [(slot.height, slot.width) for slot in (source, output)]
            return tiles.packs_nothing(source.channels, output.channels, *maps)
        return is_pointwise(step, source, output)

    def _share_borders(self) -> None:
        """Give slots that lie in one another, or are made of one another, the same borders."""
        pairs = [(i, other) for i, slot in enumerate(self.slots) for other in slot.alike]
        tied = [(self.slots[i], self.slots[other]) for i, other in pairs]
        while any(a.border != b.border for a, b in tied):
            for a, b in tied:
                a.border = b.border = max(a.border, b.border)

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
        if step.winograd and step.winograd != tiles.BY_POINT:
            beyond = -output.width % tiles.SIDE  # pixels of the last tile that lie outside
            source.border = max(source.border, after + beyond)
            output.border = max(output.border, beyond)
        if step.needs_dx and step.tile == tiles.BY_POINT:
            before = kernel - 1 - before
            output.border = max(output.border, before, source.width + kernel - 1 - before - output.width)
            return
        by_pixels = step.needs_dx and not step.tile and not is_pointwise(step, source, output)
        if by_pixels and (kernel, stride, before) != (1, 1, 0):
            output.border = max(output.border, TILE_PIXELS - 1)


def _emits_itself(layer: type[Layer]) -> bool:
    return layer.emit is Layer.emit or speaks_for(layer, "emit", "forward", "backward")
