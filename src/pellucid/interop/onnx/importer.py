"""ONNX models as networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

from pellucid.arrays import Array, Shape, Tensors
from pellucid.engine.room import require_room
from pellucid.errors import ConfigError, EngineError, MissingExtraError, ModelFileError, PellucidError
from pellucid.interop.onnx.importer_draft import Draft, Value
from pellucid.interop.onnx.importer_graph import Entry, OnnxGraph
from pellucid.interop.onnx.importer_input import take_in
from pellucid.interop.onnx.importer_layers import apply
from pellucid.interop.onnx.importer_read import contents, parse, read
from pellucid.interop.onnx.numpy_operators import evaluate
from pellucid.layers import Flatten, Sigmoid, Softmax
from pellucid.layers.base import Input, Symbol
from pellucid.losses import CrossEntropy, LogLoss, Loss, SquaredError, resolve_loss
from pellucid.network import Network


@dataclass(frozen=True)
class Imported:
    """A network made from an ONNX graph.

    Attributes:
        network: whose ``predict`` gives the graph's output if ``activated``, else its ``forward`` does.
        activated: the graph ends in the loss's own activation.
        shape: of a sample of the output in ONNX; the network's may have fewer axes.
    """

    network: Network
    activated: bool
    shape: Shape


def import_model(
    source: str | Path | bytes,
    *,
    engine: str = "auto",
    input_shape: Shape | None = None,
    loss: str | Loss | None = None,
    external_data: bool = False,
) -> Network:
    """Return the network that an ONNX model describes, with its weights, ready to predict and to train on.

    The model takes one image or vector a sample and gives one output, is of opset 6 to 28, and made of the operators
    that ``docs/onnx.md`` lists. A last Softmax, Sigmoid or Identity is the activation of the loss (cross-entropy, log
    loss, squared error), so that :meth:`Network.predict` gives what the model gives; of a model without one,
    :meth:`Network.forward` does. What our own exports begin with comes back too: a Sub of a constant as the network's
    ``input_mean``, a Cast of ``uint8`` and a Div by 255 as what it does with bytes. Parameters are called after the
    model's initializers (``"conv1.weight"``), or after its nodes where those have no such names.

    Args:
        source: the path of the file, or its bytes.
        engine: ``"auto"``, ``"reference"`` or ``"native"``, as for any network.
        input_shape: (C, H, W) or (K,), where the model leaves it open; sequences (C, L) are (C, 1, L).
        loss: for further training; instead of the one that the model's end suggests, which is cross-entropy if it
            suggests none. A last activation that is not this loss's stays a layer.
        external_data: read weights that lie in other files, in the model's own folder only.

    Raises:
        ModelFileError: the file cannot be read, is damaged, cyclic, of an unknown opset, claims what it does not hold,
            or has operators, or forms of them, that no layer has; the message names the file and the node.
        ConfigError: there is no such engine or loss.
        EngineError: ``"native"`` was asked for, and cannot run the network.
        MissingExtraError: the package onnx is not installed.
    """
    where = "the ONNX model" if isinstance(source, bytes) else str(source)
    try:
        model = parse(source if isinstance(source, bytes) else contents(Path(source)))
        folder = Path(source).parent if external_data and not isinstance(source, bytes) else None
        return assemble(read(model, folder), {}, engine=engine, input_shape=input_shape, loss=loss).network
    except (ConfigError, EngineError, MissingExtraError):  # what the caller asks for, or lacks
        raise
    except (PellucidError, ArithmeticError, LookupError, MemoryError, TypeError, ValueError) as error:
        reason = error if isinstance(error, PellucidError) else f"{type(error).__name__}: {error}"
        raise ModelFileError(f"{where}: {reason}") from error


def assemble(
    graph: OnnxGraph,
    bound: Mapping[str, Array],
    *,
    engine: str = "auto",
    input_shape: Shape | None = None,
    loss: str | Loss | None = None,
) -> Imported:
    """Return the network of a checked graph.

    Args:
        graph: the graph.
        bound: inputs that are constants here.
        engine, input_shape, loss: as in :func:`import_model`.

    Raises:
        ModelFileError: something in it has no layer.
        TooLargeError: no memory could hold one sample on its way through.
    """
    entries = [entry for entry in graph.entries if entry.name not in bound]
    if len(entries) != 1 or len(graph.outputs) != 1:
        raise ModelFileError(
            f"takes {', '.join(entry.name for entry in entries) or 'nothing'} and gives {', '.join(graph.outputs)}; a "
            "network takes one input and gives one output"
        )
    entry, (output,) = entries[0], graph.outputs
    start, batch = _start(entry, input_shape)
    constants = _folded(graph, {**graph.constants, **bound})
    draft = Draft(graph, batch, constants)
    dtype, mean = take_in(draft, entry, start)
    for operation in graph.operations:
        if operation.outputs[0] not in constants:
            apply(draft, operation)
    if output not in draft.values or draft.values[output].symbol.layer is None:
        raise ModelFileError(f"its output {output!r} is not computed from its input, so there is nothing to make")
    last = next(operation.kind for operation in graph.operations if output in operation.outputs)
    symbol, own_loss, activated = _end(draft, draft.values[output], last, mean is not None, loss)
    network = Network(symbol, loss=own_loss, dtype=dtype, engine=engine, input_mean=mean)
    for name, array in draft.parameters.items():
        table = network.parameters if name in network.parameters else network.state
        table[name] = array
    return Imported(network, activated, draft.values[output].onnx_shape)


def _start(entry: Entry, given: Shape | None) -> tuple[Value, int | None]:
    """Return the network's input, and the length of the batch if it is fixed."""
    if entry.dtype not in ("float32", "float64", "uint8"):
        raise ModelFileError(
            f"its input {entry.name!r} is of type {entry.dtype}; a network takes float32, float64, or uint8 as pixels"
        )
    shape = [None] * (len(given) + 1 if given else 0) if entry.shape is None else list(entry.shape)
    told = f"its input {entry.name!r} has the shape {shape}"
    if not 2 <= len(shape) <= 4:
        raise ModelFileError(f"{told}; a network takes (N, C, H, W), (N, C, L) or (N, K)")
    sample = [shape[1], 1, shape[2]] if len(shape) == 3 else shape[1:]
    wanted = sample if given is None else list(given)
    if len(wanted) != len(sample) or any(own not in (None, n) for own, n in zip(sample, wanted, strict=True)):
        raise ModelFileError(f"{told}, which is not input_shape {given}")
    if any(n is None or n < 1 for n in wanted):
        raise ModelFileError(
            f"{told}, which leaves the sizes open; give input_shape, such as input_shape=(3, 224, 224)"
        )
    known = tuple(n or 0 for n in wanted)
    require_room(4 * prod(known), f"one sample of shape {known}", "the model asks for too much")
    return Value(Input(known), known, len(shape)), shape[0] or None


def _folded(graph: OnnxGraph, constants: Tensors) -> Tensors:
    """Return the constants, and all values that follow from them alone."""
    for operation in graph.operations:
        if all(name in constants for name in operation.inputs if name):
            results = evaluate(operation, [constants[name] if name else None for name in operation.inputs])
            constants |= {name: value for name, value in zip(operation.outputs, results, strict=False) if name}
    return constants


def _end(draft: Draft, value: Value, last: str, centred: bool, loss: str | Loss | None) -> tuple[Symbol, Loss, bool]:
    """Return what gives the network's output, the loss, and whether its activation stands for the model's last node.

    Maps of one pixel become a vector, which is what losses take. What is centred is no regression, however it ends.
    """
    symbol = before = value.symbol
    own: Loss | None = None
    if isinstance(symbol.layer, (Softmax, Sigmoid)):
        own, before = CrossEntropy() if isinstance(symbol.layer, Softmax) else LogLoss(), symbol.inputs[0]
    elif last == "Identity" and not centred:
        own = SquaredError()
    wanted = resolve_loss(loss or own or "cross_entropy")
    gives_vector = prod(value.shape[1:]) == 1
    activated = type(wanted) is type(own) and gives_vector and before.layer is not None
    output = before if activated else symbol
    if gives_vector and len(value.shape) == 3:
        output = Flatten(name=draft.free_name("to_vector"))(output)
    return output, wanted, activated
