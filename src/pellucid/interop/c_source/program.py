"""From a network's graph to C functions in their order, and to the places of their values in one scratch array."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from pellucid import layers
from pellucid.arrays import Array, Shape, Tensors
from pellucid.engine import reference
from pellucid.engine.memory import Piece, place
from pellucid.errors import DataError, ExportError
from pellucid.graph import INPUT, Node
from pellucid.interop.c_source import routines, sliding
from pellucid.interop.c_source.code import Names
from pellucid.interop.c_source.routines import Place, Routine
from pellucid.losses import CrossEntropy, LogLoss, SquaredError

if TYPE_CHECKING:
    from pellucid.network import Network

#: by exact type: a class of the user's that derives from one of these computes something else
_ROUTINES: Mapping[type[layers.Layer], Callable[[Place], Routine]] = {
    layers.Add: routines.add,
    layers.AvgPool2d: sliding.avg_pool,
    layers.BatchNorm: routines.batch_norm,
    layers.BatchNorm2d: routines.batch_norm,
    layers.Concat: routines.concat,
    layers.Conv2d: sliding.conv,
    layers.ELU: routines.elu,
    layers.Flatten: routines.flatten_columns,
    layers.GlobalAvgPool2d: sliding.global_avg_pool,
    layers.LPPool2d: sliding.lp_pool,
    layers.LeakyReLU: routines.leaky_relu,
    layers.Linear: routines.linear,
    layers.LocalResponseNorm: routines.response_norm,
    layers.MaxPool2d: sliding.max_pool,
    layers.Pad2d: routines.pad_2d,
    layers.PadChannels: routines.pad_channels,
    layers.ReLU: routines.relu,
    layers.Sigmoid: routines.sigmoid,
    layers.Softmax: routines.softmax,
    layers.Tanh: routines.tanh,
}
#: batch norms that have a line for each filter of the layer before
_FOLDED: Mapping[type[layers.Layer], type[layers.Layer]] = {
    layers.Conv2d: layers.BatchNorm2d,
    layers.Linear: layers.BatchNorm,
}
_ACTIVATIONS: dict[type, Callable[[Place], Routine] | None] = {
    CrossEntropy: routines.softmax,
    LogLoss: routines.sigmoid,
    SquaredError: None,
}


@dataclass(frozen=True)
class Step:
    """A call of a function.

    Attributes:
        name: of the function.
        title: the layer, or layers, that it stands for.
        routine: its body.
        inputs, output: numbers of values.
    """

    name: str
    title: str
    routine: Routine
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True)
class Program:
    """What a C file computes.

    Attributes:
        steps: in their order.
        places: where each value begins in the scratch array; value 0 is the input, scaled and centred. None for
            the last one, which is the output itself.
        scratch: length of that array.
    """

    steps: list[Step]
    places: list[int | None]
    scratch: int

    @property
    def weight_bytes(self) -> int:
        """Bytes of all constants but tables of a window's reach."""
        return sum(4 * a.size for step in self.steps for a in step.routine.arrays.values())


def lower(network: Network) -> Program:
    """Return the program of a network.

    Raises:
        ExportError: a layer or the loss has no C form.
        DataError: a weight is NaN, or does not fit into float32.
    """
    return _Lowering(network).program()


class _Lowering:
    def __init__(self, network: Network) -> None:
        self._network = network
        self._names = Names()
        self._steps: list[Step] = []
        self._sizes = [prod(network.input_shape)]
        self._values = {INPUT: 0}
        nodes = network.graph.nodes
        self._readers = {name: [n for n in nodes if name in n.inputs] for name in (INPUT, *(n.name for n in nodes))}

    def program(self) -> Program:
        merged: set[str] = set()
        for node in self._network.graph.nodes:
            if node.name in merged:
                self._values[node.name] = self._values[node.inputs[0]]
            else:
                norm = self._norm_behind(node)
                merged |= {norm.name} if norm else set()
                self._lower(node, norm)
        last = self._values[self._network.graph.nodes[-1].name]
        output = self._activate(last)
        places, scratch = self._plan(output)
        return Program(self._steps, places, scratch)

    def _lower(self, node: Node, norm: Node | None) -> None:
        """Add a step for a layer, with the batch norm behind it in its weights; none for what changes no number."""
        kind, layer = type(node.layer), node.layer
        inputs = tuple(self._values[name] for name in node.inputs)
        if routines.keeps_order(layer, node.input_shapes[0]):
            self._values[node.name] = inputs[0]
            return
        if kind not in _ROUTINES:
            raise ExportError(f"layer {node.name!r}, {layer!r}, has no C form; there is one for the layers of Pellucid")
        title, own = f"{node.name}: {layer!r}, {_sizes(*node.input_shapes)} -> {_sizes(node.shape)}", self._own(node)
        if norm is not None:
            own = _folded(own, norm, self._own(norm))
            title += f", then {norm.name}: {norm.layer!r}, which is in its weights"
        name = self._names.unique(node.name)
        routine = _ROUTINES[kind](Place(name, layer, own, node.input_shapes, node.shape))
        self._values[node.name] = self._step(f"{name}_forward", title, routine, inputs, prod(node.shape))

    def _activate(self, last: int) -> int:
        """Add the loss's own activation; return the value that is the network's prediction."""
        loss = self._network.loss
        if type(loss) not in _ACTIVATIONS:
            raise ExportError(f"the loss {loss!r} has no C form; there is one for the losses of Pellucid")
        activation, shape = _ACTIVATIONS[type(loss)], self._network.output_shape
        if activation is not None:
            routine = activation(Place("", None, {}, (shape,), shape))
            return self._step("prediction", f"activation of {type(loss).__name__}", routine, (last,), prod(shape))
        if last == 0:
            return self._step("prediction", "the input as it is", routines.copy(prod(shape)), (0,), prod(shape))
        return last

    def _step(self, name: str, title: str, routine: Routine, inputs: tuple[int, ...], size: int) -> int:
        for key, values in routine.arrays.items():
            with np.errstate(over="ignore"):
                finite = np.isfinite(values.astype(np.float32)).all()
            if not finite:
                raise DataError(f"{title}: its {key} holds NaN, infinity, or numbers too large for float32")
        self._sizes.append(size)
        self._steps.append(Step(name, title, routine, inputs, len(self._sizes) - 1))
        return len(self._sizes) - 1

    def _norm_behind(self, node: Node) -> Node | None:
        """Return the batch norm that alone reads a convolution or linear layer, with a line for each of its filters."""
        readers = self._readers[node.name]
        alone = len(readers) == 1 and type(readers[0].layer) is _FOLDED.get(type(node.layer))
        return readers[0] if alone else None

    def _own(self, node: Node) -> Tensors:
        return reference.own({**self._network.parameters, **self._network.state}, node)

    def _plan(self, output: int) -> tuple[list[int | None], int]:
        """Give every value its place: the output's own, its input's if that is read no more, or one in the scratch."""
        last_read = {value: at for at, step in enumerate(self._steps) for value in step.inputs}
        pieces = [Piece(self._sizes[0], -1, last_read[0])]
        of_value = {0: pieces[0]}
        for at, step in enumerate(self._steps):
            dying = [i for i in step.inputs if last_read[i] == at and i > 0 and step.routine.in_place]
            if dying:
                piece = of_value[dying[0]]
            else:
                piece = Piece(self._sizes[step.output], at, at)
                pieces.append(piece)
            piece.touch(last_read.get(step.output, len(self._steps)))
            of_value[step.output] = piece
        direct = of_value[output]
        size = place([piece for piece in pieces if piece is not direct])
        places = [of_value[value] for value in range(len(self._sizes))]
        return [None if piece is direct else piece.place for piece in places], size


def _sizes(*shapes: Shape) -> str:
    return " and ".join("x".join(map(str, shape)) for shape in shapes)


def _folded(own: Tensors, norm: Node, statistics: Tensors) -> Tensors:
    """Return weight and bias of a layer and the batch norm behind it, which is a line for each filter."""
    scale, shift = routines.scale_and_shift(norm.layer, statistics)
    weight: Array = own["weight"] * scale.reshape(-1, *[1] * (own["weight"].ndim - 1))
    return {"weight": weight, "bias": own.get("bias", np.zeros(len(scale))) * scale + shift}
