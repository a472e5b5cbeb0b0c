"""Networks as ONNX models: the graph from the input stage to the loss's activation, and the file around it."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.arrays import Array, Shape
from pellucid.engine.reference import own
from pellucid.errors import ConfigError, ExportError
from pellucid.extra import need
from pellucid.graph import INPUT
from pellucid.interop.atomic import write_atomically
from pellucid.interop.onnx.exporter_graph import Draft, Operation, Place
from pellucid.interop.onnx.exporter_layers import form_of
from pellucid.losses import CrossEntropy, LogLoss, Loss, SquaredError

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

    from pellucid.network import Network

#: ONNX 1.13 of 2022, which onnxruntime reads from 1.14 on: the first opset whose LpPool has dilations
OPSET, IR_VERSION = 18, 8
#: bytes of weights that leave room for the graph in a protobuf message, which ends at 2 GiB
LARGEST = 2**31 - 2**24

OUTPUT = "output"
_ACTIVATIONS: dict[type[Loss], tuple[str, dict[str, int]]] = {
    CrossEntropy: ("Softmax", {"axis": 1}),
    LogLoss: ("Sigmoid", {}),
    SquaredError: ("Identity", {}),
}


def export_model(
    network: Network,
    path: str | Path,
    *,
    activation: bool = True,
    pixels: bool = False,
    dtype: str = "float32",
) -> None:
    """Write a network as an ONNX model, whole or not at all; what it computes is :meth:`Network.predict`.

    The graph takes ``"input"``, (N, C, H, W) or (N, K), and gives ``"output"``, (N, K), for any N. An ``input_mean`` is
    taken off inside. The file has opset 18 and has passed ONNX's own checker.

    Args:
        network: any network of layers and a loss that have an ONNX form; see :func:`onnx_form`.
        path: the file; replaced if it is there.
        activation: end with the loss's activation (softmax, sigmoid or identity), as ``predict`` does; False for the
            output before it, as :meth:`Network.forward` gives.
        pixels: take ``uint8`` and divide it by 255 inside, as the network does with bytes; False for numbers of
            ``dtype``, which are taken as they are.
        dtype: of all other numbers: ``"float32"``, or ``"float64"`` for programs that compute in it. onnxruntime has
            no convolution in float64.

    Raises:
        ExportError: a layer or the loss has no ONNX form, or the weights are more than ONNX's 2 GiB.
        FileWriteError: the file cannot be written; one that was there stays as it was.
        MissingExtraError: the package onnx is not installed.
        ConfigError: ``dtype`` is neither.
    """
    write_atomically(Path(path), export_bytes(network, activation=activation, pixels=pixels, dtype=dtype))


def export_bytes(network: Network, *, activation: bool = True, pixels: bool = False, dtype: str = "float32") -> bytes:
    """Return the bytes of the file that :func:`export_model` writes; the same network gives the same bytes.

    Raises:
        ExportError, MissingExtraError, ConfigError: as :func:`export_model`.
    """
    if dtype not in ("float32", "float64"):
        raise ConfigError(f"dtype must be 'float32' or 'float64', got {dtype!r}")
    need("onnx", "ONNX export needs the package onnx", "pellucid[onnx]")
    import onnx.checker
    import onnx.shape_inference

    draft = _draft(network, activation, pixels, np.dtype(dtype))
    size = sum(array.nbytes for array in draft.constants.values())
    if size > LARGEST:
        raise ExportError(
            f"the network's weights take {size / 2**30:.2f} GiB as {dtype}; an ONNX file holds at most 2 GiB. Export a "
            "smaller network, or save it as a model file"
        )
    data = _model(draft, network, pixels).SerializeToString(deterministic=True)
    try:
        onnx.checker.check_model(data, full_check=True)  # pyright: ignore[reportUnknownMemberType]
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ExportError(f"the ONNX form of one of the layers is not right: {error}") from error
    return data


def _draft(network: Network, activation: bool, pixels: bool, dtype: np.dtype[Any]) -> Draft:
    """Return the graph: input stage, layers, activation."""
    draft = Draft(dtype, shapes={INPUT: network.input_shape})
    tensors = {**network.parameters, **network.state}
    start = Place(draft, INPUT, (INPUT,), (network.input_shape,), {})
    values = {INPUT: _input_stage(start, dtype if pixels else None, network.input_mean)}
    for node in network.graph.nodes:
        inputs = tuple(values[source] for source in node.inputs)
        place = Place(draft, node.name, inputs, node.input_shapes, own(tensors, node))
        values[node.name] = form_of(node.layer, node.name)(node.layer, place)
        draft.shapes.setdefault(values[node.name], node.shape)
    kind, attributes = _activation(network.loss) if activation else ("Identity", {})
    draft.operations.append(Operation(kind, (values[network.graph.nodes[-1].name],), OUTPUT, attributes))
    return draft


def _input_stage(place: Place, from_pixels_to: np.dtype[Any] | None, mean: Array | None) -> str:
    """Add the input's way to the first layer; return the value that it reads."""
    (x,) = place.inputs
    if from_pixels_to is not None:
        numbers = place.add("Cast", x, to=_element_type(from_pixels_to))
        x = place.add("Div", numbers, place.constant("white", 255.0))
    return x if mean is None else place.add("Sub", x, place.constant("mean", mean))


def _activation(loss: Loss) -> tuple[str, dict[str, int]]:
    """Return the operator that a loss ends a network with, and its attributes."""
    ancestors: tuple[type[Any], ...] = type(loss).__mro__
    for kind in ancestors:
        if kind in _ACTIVATIONS and type(loss).activation is kind.activation:
            return _ACTIVATIONS[kind]
    raise ExportError(
        f"the loss {loss!r} has an activation of its own, which has no ONNX form; export with activation=False, and "
        "apply it to the outputs yourself"
    )


def _model(draft: Draft, network: Network, pixels: bool) -> ModelProto:
    """Return the draft as a protobuf message."""
    from onnx import TensorProto, helper, numpy_helper

    number = _element_type(draft.dtype)

    def value_info(name: str, element: int, shape: Shape) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, element, ["N", *shape])

    inner = {name: shape for name, shape in draft.shapes.items() if name != INPUT}
    graph = helper.make_graph(
        [helper.make_node(op.kind, op.inputs, [op.output], name=op.output, **op.attributes) for op in draft.operations],
        "network",
        [value_info(INPUT, TensorProto.UINT8 if pixels else number, network.input_shape)],
        [value_info(OUTPUT, number, network.output_shape)],
        [numpy_helper.from_array(array, name) for name, array in draft.constants.items()],
        # The checker holds what ONNX makes of each layer against these.
        value_info=[value_info(name, number, shape) for name, shape in inner.items()],
    )
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="pellucid",
        producer_version=version("pellucid"),
    )


def _element_type(dtype: np.dtype[Any]) -> int:
    """Return ONNX's number for a dtype."""
    from onnx import helper

    return helper.np_dtype_to_tensor_dtype(dtype)
