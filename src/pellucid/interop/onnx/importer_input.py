"""What stands before the first layer of a model: bytes become numbers, and a mean is taken off; a network has both."""

from __future__ import annotations

from math import prod

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ModelFileError
from pellucid.interop.onnx.importer_draft import Draft, Value
from pellucid.interop.onnx.importer_graph import Entry, Operation
from pellucid.interop.onnx.importer_tensor import dtype_name
from pellucid.interop.onnx.numpy_operators import aligned

#: the operators that are known here, and nowhere else in a model
AT_THE_INPUT = ("Cast", "Div", "Sub")


def take_in(draft: Draft, entry: Entry, start: Value) -> tuple[str, Array | None]:
    """Put the values between a model's input and its first layer into the draft: the network's input stands for them.

    Args:
        draft: of the network.
        entry: the model's input.
        start: the network's.

    Returns:
        The dtype of the network, and its input mean.

    Raises:
        ModelFileError: bytes that are not divided by 255, as a network divides them, or a mean that it cannot have.
    """
    draft.values[entry.name] = start
    name, dtype = entry.name, str(entry.dtype)
    if dtype == "uint8":
        cast, division = _scaling(draft, entry)
        draft.values |= {cast.outputs[0]: start, division.outputs[0]: start}
        name, dtype = division.outputs[0], str(dtype_name(cast.attributes["to"]))
    reader = draft.only_reader(name)
    if reader is None or reader.kind != "Sub" or reader.inputs[0] != name:
        return dtype, None
    draft.values[reader.outputs[0]] = start
    return dtype, _mean(reader, start, draft.weight(reader, 1))


def _scaling(draft: Draft, entry: Entry) -> tuple[Operation, Operation]:
    """Return what makes bytes into numbers, and what divides these by 255."""
    cast = draft.only_reader(entry.name)
    if cast is not None and cast.kind == "Cast" and dtype_name(cast.attributes["to"]) in ("float32", "float64"):
        division = draft.only_reader(cast.outputs[0])
        if division is not None and division.kind == "Div" and division.inputs[0] == cast.outputs[0]:
            divisor = draft.weight(division, 1)
            if divisor.size == 1 and divisor.ndim <= 1 and divisor.reshape(()) == 255:
                return cast, division
    raise ModelFileError(
        f"its input {entry.name!r} is of type uint8, which a network divides by 255: the model must begin with a Cast "
        "to float32 or float64 and a Div by 255"
    )


def _mean(operation: Operation, x: Value, given: Array) -> Array:
    """Return what is taken off, (C,) or the shape of a sample."""
    given = aligned(operation, x.ndim, given)
    shape = (1,) * (x.ndim - given.ndim) + given.shape
    fits = len(shape) == x.ndim and shape[0] == 1
    if not fits or any(n not in (1, whole) for n, whole in zip(shape[1:], x.onnx_shape, strict=True)):
        raise operation.error(
            f"takes an array of shape {given.shape} off samples of shape {x.onnx_shape}; a network has one number a "
            "channel, or one a pixel"
        )
    sample = given.reshape(shape[1:])
    if sample.ndim > 1 and prod(sample.shape[1:]) == 1:
        return np.broadcast_to(sample.ravel(), x.shape[:1])
    return np.broadcast_to(sample, x.onnx_shape).reshape(x.shape)
