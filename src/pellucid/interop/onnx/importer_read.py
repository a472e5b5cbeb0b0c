"""An ONNX file as a checked graph of plain data: nothing of the package onnx goes further than here."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from pellucid.arrays import Array
from pellucid.errors import ModelFileError
from pellucid.extra import need
from pellucid.interop.onnx.importer_graph import Entry, OnnxGraph, Operation, in_order
from pellucid.interop.onnx.importer_input import AT_THE_INPUT
from pellucid.interop.onnx.importer_tensor import dtype_name, to_array
from pellucid.interop.onnx.numpy_operators import OPERATORS

#: the opsets whose meanings of the operators are known
OLDEST, NEWEST = 6, 28

_OWN_DOMAINS = ("", "ai.onnx")
#: AttributeProto.AttributeType to the field that holds such a value
_FIELDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
_TENSOR = 4


def contents(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        ModelFileError: it is missing, empty, or cannot be read.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise ModelFileError("there is no such file") from None
    except OSError as error:
        raise ModelFileError(f"cannot be read: {error.strerror or error}") from error
    if not data:
        raise ModelFileError("is empty; copy or download it again")
    return data


def parse(data: bytes) -> Any:
    """Return the ModelProto that bytes spell.

    Raises:
        ModelFileError: they spell none.
        MissingExtraError: the package onnx is not installed.
    """
    need("onnx", "ONNX models need the package onnx", "pellucid[onnx]")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        return onnx.load_model_from_string(data)
    except DecodeError as error:
        raise ModelFileError(f"is cut off, damaged, or not an ONNX model: {error}") from error


def read(model: Any, folder: Path | None) -> OnnxGraph:
    """Return the graph of a ModelProto.

    Args:
        model: the message.
        folder: where files with external data may lie; None to refuse such.

    Raises:
        ModelFileError: an unknown opset or operator, external data, a name that is given twice or not at all, a cycle,
            or tensors that do not hold what they claim.
    """
    if not model.HasField("graph"):
        raise ModelFileError("holds no graph: it is cut off, or not an ONNX model")
    opset = _opset(model)
    graph = model.graph
    _require_text(graph)
    _require_known(graph)
    if len(graph.sparse_initializer):
        raise ModelFileError("has sparse initializers; only dense ones are taken")
    weights = [tensor.name for tensor in graph.initializer]
    entries = [_entry(value) for value in graph.input if value.name not in set(weights)]
    operations = [_operation(node, opset, folder) for node in graph.node]
    given = [name for operation in operations for name in operation.outputs if name]
    known = [entry.name for entry in entries] + weights
    _require_unique([*known, *given])
    outputs = tuple(value.name for value in graph.output)
    if not outputs:
        raise ModelFileError("its graph has no output: it is cut off, or damaged")
    order = in_order(operations, known, outputs)
    needed = {name for operation in order for name in operation.inputs} | set(outputs)
    constants = {tensor.name: to_array(tensor, folder) for tensor in graph.initializer if tensor.name in needed}
    return OnnxGraph(tuple(entries), outputs, constants, order)


def _opset(model: Any) -> int:
    versions = {entry.version for entry in model.opset_import if entry.domain in _OWN_DOMAINS}
    if len(versions) != 1:
        listed = ", ".join(map(str, sorted(versions))) or "none"
        raise ModelFileError(f"should name one version of ONNX's operators (opset), and names {listed}")
    (opset,) = versions
    if not OLDEST <= opset <= NEWEST:
        raise ModelFileError(
            f"is of opset {opset}; opsets {OLDEST} to {NEWEST} are known. Export it again, or convert it with "
            "onnx.version_converter"
        )
    return opset


def _require_text(graph: Any) -> None:
    """Raise unless all names are text: where one is not, protobuf hands out its bytes."""
    names = [value.name for value in (*graph.input, *graph.output, *graph.initializer)]
    for node in graph.node:
        names += [node.name, node.op_type, node.domain, *node.input, *node.output]
        names += [attribute.name for attribute in node.attribute]
    if not all(isinstance(name, str) for name in names):
        raise ModelFileError("has names that are no text: it is damaged")


def _require_known(graph: Any) -> None:
    known = (*OPERATORS, *AT_THE_INPUT)
    unknown = [node for node in graph.node if node.domain not in _OWN_DOMAINS or node.op_type not in known]
    if not unknown:
        return
    listed: dict[str, list[str]] = {}
    for node in unknown:
        domain = "" if node.domain in _OWN_DOMAINS else f"{node.domain}."
        named = node.name or f"the one that gives {', '.join(node.output)}"
        listed.setdefault(f"{domain}{node.op_type}", []).append(named)
    told = "; ".join(f"{kind} ({', '.join(names)})" for kind, names in listed.items())
    raise ModelFileError(
        f"has operators that cannot be imported: {told}. Those that can are {', '.join(OPERATORS)}, and at the input "
        f"{', '.join(AT_THE_INPUT)}"
    )


def _require_unique(names: list[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ModelFileError(f"gives {', '.join(map(repr, twice))} more than once; every value has a name of its own")


def _entry(value: Any) -> Entry:
    if value.type.WhichOneof("value") != "tensor_type":
        return Entry(value.name, None, None)
    tensor = value.type.tensor_type
    shape = tuple(int(dim.dim_value) if dim.HasField("dim_value") else None for dim in tensor.shape.dim)
    return Entry(value.name, dtype_name(tensor.elem_type), shape if tensor.HasField("shape") else None)


def _operation(node: Any, opset: int, folder: Path | None) -> Operation:
    from onnx import defs

    schema = defs.get_schema(node.op_type, max_inclusive_version=opset, domain="")
    given: dict[str, Any] = {}
    outputs = tuple(node.output)
    operation = Operation(node.op_type, node.name, schema.since_version, tuple(node.input), outputs, given)
    if not outputs or not outputs[0]:
        raise ModelFileError(f"{node.op_type} {node.name!r} gives nothing")
    if not schema.min_input <= len(node.input) <= schema.max_input or len(outputs) > schema.max_output:
        raise operation.error(f"has {len(node.input)} inputs and {len(outputs)} outputs, which it cannot have")
    required = max(schema.min_input, 1) if node.op_type != "Constant" else 0
    if not all(node.input[:required]) or (node.op_type == "Concat" and not all(node.input)):
        raise operation.error("leaves out an input that it needs")
    _require_unique([*filter(None, outputs)])
    for attribute in node.attribute:
        known = schema.attributes.get(attribute.name)
        if known is None or attribute.name in given or attribute.type != _code(known.type):
            raise operation.error(
                f"its attribute {attribute.name!r} is unknown, given twice, or of the wrong type; opset {opset} has "
                f"{', '.join(sorted(schema.attributes)) or 'none'}"
            )
        given[attribute.name] = _attribute(operation, attribute, folder)
    for name, known in schema.attributes.items():
        if name not in given:
            if known.required:
                raise operation.error(f"lacks its attribute {name!r}")
            default = known.default_value
            given[name] = _attribute(operation, default, None) if default.type else None
    return operation


def _code(kind: Any) -> int:
    """Return the number of an attribute's type, as messages have it."""
    return int(kind)


def _attribute(operation: Operation, attribute: Any, folder: Path | None) -> Any:
    """Return a number, a text, an array, or a list of numbers or texts."""
    field = _FIELDS.get(attribute.type)
    if field is None:
        raise operation.error(f"its attribute {attribute.name!r} is neither a number, a text, nor a plain tensor")
    value: Any = getattr(attribute, field)
    if attribute.type == _TENSOR:
        array: Array = to_array(value, folder)
        return array
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, (int, float)):
        return value
    return [item.decode() if isinstance(item, bytes) else item for item in value]
