"""What each ONNX operator becomes in a network: one function an operator, which adds the layer and returns its value.

Axis 0 is the batch, and a network's samples do not meet: what mixes or moves axis 0 has no layer. Nor have maps of
three axes; maps of one are maps of height 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.errors import ConfigError
from pellucid.interop.onnx.importer_draft import Draft, Value, pair
from pellucid.interop.onnx.importer_graph import Operation
from pellucid.interop.onnx.importer_input import AT_THE_INPUT
from pellucid.interop.onnx.importer_windows import pool_windows, windows
from pellucid.interop.onnx.numpy_operators import axis_of, gemm_operands, pads_of, reshaped, trains
from pellucid.layers import (
    ELU,
    Add,
    AvgPool2d,
    BatchNorm,
    BatchNorm2d,
    Concat,
    Conv2d,
    Dropout,
    Flatten,
    LeakyReLU,
    Linear,
    LocalResponseNorm,
    LPPool2d,
    MaxPool2d,
    Pad2d,
    PadChannels,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from pellucid.layers.base import Layer
from pellucid.layers.windows import Axis

#: an unknown batch may be any; one that no length in a model equals tells where it goes
_ANY_BATCH = 10**9 + 7


def apply(draft: Draft, operation: Operation) -> None:
    """Add an operation that depends on the network's input.

    Raises:
        ModelFileError: this form of it has no layer, or it does not fit its input.
    """
    for name in operation.outputs[1:]:
        if name and draft.is_read(name):
            raise operation.error(f"its output {name!r} is used; a layer gives the first one only")
    if operation.outputs[0] in draft.values:  # an Add that has become a bias, or what the input stands for
        return
    try:
        draft.values[operation.outputs[0]] = _FORMS[operation.kind](draft, operation)
    except ConfigError as error:
        raise operation.error(str(error)) from error


def _conv(draft: Draft, operation: Operation) -> Value:
    x, weight = draft.value(operation), draft.weight(operation, 1)
    groups, kernel = operation.attributes["group"], weight.shape[2:]
    fits = x.ndim > 2 and weight.ndim == x.ndim and groups >= 1 and x.shape[0] == weight.shape[1] * groups
    if not fits or tuple(operation.attributes["kernel_shape"] or kernel) != kernel or min(weight.shape) < 1:
        raise operation.error(
            f"its weights have shape {weight.shape}, its kernel_shape is {operation.attributes['kernel_shape']}, its "
            f"group is {groups}: this does not fit an input of shape (N, {', '.join(map(str, x.onnx_shape))})"
        )
    filters = len(weight)
    found = windows(operation, x.sizes, kernel, filters)
    # A network's maps have two axes.
    arrays = {"weight": weight.reshape(*weight.shape[:2], *[1] * (4 - weight.ndim), *kernel)}
    layer = Conv2d(filters, **_settings(found), groups=groups, bias=False)
    return _with_bias(draft, operation, layer, arrays, draft.constant(operation, 2), filters)


def _with_bias(
    draft: Draft,
    operation: Operation,
    layer: Conv2d | Linear,
    arrays: dict[str, Array],
    bias: Array | None,
    outputs: int,
) -> Value:
    """Add a layer with its bias, which may be an Add that follows."""
    following = None
    if bias is None:
        following = draft.following_bias(operation, outputs)
        bias = None if following is None else following[1]
    elif bias.size not in (1, outputs):
        raise operation.error(f"its bias has shape {bias.shape}; it gives {outputs} outputs")
    if bias is not None:
        layer = replace(layer, bias=True)
        arrays = {**arrays, "bias": np.broadcast_to(bias.reshape(-1), (outputs,))}
    value = draft.add(operation, layer, draft.value(operation), arrays=arrays)
    if following is not None:
        draft.values[following[0].outputs[0]] = value
    return value


def _gemm(draft: Draft, operation: Operation) -> Value:
    weight, addend = draft.weight(operation, 1), draft.constant(operation, 2)
    if operation.attributes["transA"]:
        raise operation.error("transA turns the batch, which a network cannot")
    if weight.ndim != 2:
        raise operation.error(f"its factor has shape {weight.shape}; it should have two axes")
    weight, addend = gemm_operands(operation, weight, addend)
    if addend is not None and addend.ndim > 1 and prod(addend.shape[:-1]) != 1:
        raise operation.error(f"adds an array of shape {addend.shape}: not the same to every sample")
    return _linear(draft, operation, weight, addend)


def _mat_mul(draft: Draft, operation: Operation) -> Value:
    return _linear(draft, operation, draft.weight(operation, 1), None)


def _linear(draft: Draft, operation: Operation, factor: Array, addend: Array | None) -> Value:
    x = draft.value(operation)
    if x.ndim != 2 or factor.ndim != 2 or len(factor) != x.shape[0] or not factor.size:
        raise operation.error(
            f"multiplies (N, {', '.join(map(str, x.onnx_shape))}) by {factor.shape}; a layer takes vectors (N, K) "
            "times a constant (K, outputs)"
        )
    outputs = factor.shape[1]
    return _with_bias(draft, operation, Linear(outputs, bias=False), {"weight": factor.T}, addend, outputs)


def _batch_norm(draft: Draft, operation: Operation) -> Value:
    x = draft.value(operation)
    names = ("weight", "bias", "running_mean", "running_var")
    arrays = {name: draft.weight(operation, i) for i, name in enumerate(names, 1)}
    attributes = operation.attributes
    if trains(operation):
        raise operation.error("is in training mode, with the statistics of each batch; export the model for inference")
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1 or shapes not in ({x.shape[:1]}, {x.onnx_shape}):
        raise operation.error(f"its statistics have shapes {sorted(shapes)}, its input (N, {x.onnx_shape})")
    # ONNX's momentum weights the old value.
    settings: dict[str, Any] = {"eps": attributes["epsilon"], "momentum": 1 - attributes["momentum"]}
    if x.ndim > 2 and shapes == {x.shape[:1]}:
        return draft.add(operation, BatchNorm2d(**settings), x, arrays=arrays)
    folded = _folded_back(draft, operation, x)
    shape = x.shape if folded is None else folded[1].shape
    arrays = {name: array.reshape(shape) for name, array in arrays.items()}
    value = draft.add(operation, BatchNorm(**settings), x if folded is None else folded[1], arrays=arrays)
    if folded is not None:
        draft.values[folded[0].outputs[0]] = value
    return value


def _folded_back(draft: Draft, operation: Operation, x: Value) -> tuple[Operation, Value] | None:
    """Return the Reshape that alone reads an operation on flattened maps and undoes the flattening, and the maps.

    ONNX has statistics of every activation of a map in this form only.
    """
    reader = draft.only_reader(operation.outputs[0])
    if x.maps is None or reader is None or reader.kind != "Reshape" or reader.inputs[1] not in draft.constants:
        return None
    batch = draft.batch or _ANY_BATCH
    shape = reshaped(reader, (batch, *x.shape), draft.constants[reader.inputs[1]])
    return (reader, x.maps) if shape == (batch, *x.maps.onnx_shape) else None


def _max_pool(draft: Draft, operation: Operation) -> Value:
    x, found = _pool(draft, operation)
    return draft.add(operation, MaxPool2d(**_settings(found), ceil_mode=_ceil(operation)), x)


def _average_pool(draft: Draft, operation: Operation) -> Value:
    x, found = _pool(draft, operation)
    include = bool(operation.attributes.get("count_include_pad"))
    return draft.add(operation, AvgPool2d(**_settings(found), ceil_mode=_ceil(operation), count_include_pad=include), x)


def _lp_pool(draft: Draft, operation: Operation) -> Value:
    x, found = _pool(draft, operation)
    p = float(operation.attributes["p"])
    return draft.add(operation, LPPool2d(**_settings(found), ceil_mode=_ceil(operation), norm_type=p), x)


def _pool(draft: Draft, operation: Operation) -> tuple[Value, tuple[Axis, ...]]:
    x = draft.value(operation)
    if x.ndim < 3:
        raise operation.error("pools vectors; it takes maps")
    found = pool_windows(operation, x.sizes, x.shape[0])
    padded = [window for window in found if window.before or window.after]
    if any(max(w.before, w.after) >= w.span or w.dilation > w.length for w in padded):
        raise operation.error(f"its windows may hold padding only: {padded}")
    return x, found


def _ceil(operation: Operation) -> bool:
    return bool(operation.attributes.get("ceil_mode")) and not operation.attributes["auto_pad"].startswith("SAME")


def _settings(found: tuple[Axis, ...]) -> dict[str, Any]:
    """Return kernel size, stride, padding and dilation as layers take them."""
    sides = [(window.before, window.after) for window in found]
    even = all(before == after for before, after in sides)
    return {
        "kernel_size": pair([window.kernel for window in found]),
        "stride": pair([window.stride for window in found]),
        "dilation": pair([window.dilation for window in found]),
        "padding": _padding([before for before, _ in sides]) if even else _sides(sides),
    }


def _padding(amounts: list[int]) -> Any:
    return pair([0, *amounts] if len(amounts) == 1 else amounts)


def _sides(sides: list[tuple[int, int]]) -> Any:
    return ((0, 0), *sides) if len(sides) == 1 else tuple(sides)


def _global(draft: Draft, operation: Operation) -> Value:
    x = draft.value(operation)
    if x.ndim < 3:
        raise operation.error("pools vectors; it takes maps")
    kind: Callable[..., Layer] = AvgPool2d if operation.kind == "GlobalAveragePool" else MaxPool2d
    return draft.add(operation, kind(pair(x.shape[1:])), x)


def _add(draft: Draft, operation: Operation) -> Value:
    if any(name in draft.constants for name in operation.inputs):
        raise operation.error(
            "adds a constant; that has a layer only as a bias, right behind a Conv, Gemm or MatMul that has none, with "
            "one number a channel"
        )
    a, b = (draft.value(operation, i) for i in (0, 1))
    if a.shape != b.shape or a.ndim != b.ndim:
        raise operation.error(f"adds samples of shapes {a.onnx_shape} and {b.onnx_shape}; a layer takes equal ones")
    return draft.add(operation, Add(), a, b)


def _concat(draft: Draft, operation: Operation) -> Value:
    xs = [draft.value(operation, i) for i in range(len(operation.inputs))]
    if len({x.ndim for x in xs}) > 1 or axis_of(operation, xs[0].ndim) != 1:
        raise operation.error("joins along another axis than the channels, axis 1")
    return xs[0] if len(xs) == 1 else draft.add(operation, Concat(), *xs)


def _flatten(draft: Draft, operation: Operation) -> Value:
    x = draft.value(operation)
    if axis_of(operation, x.ndim, end=True) != 1:
        raise operation.error("flattens at another axis than 1, and so into the batch")
    return _flat(draft, operation, x)


def _reshape(draft: Draft, operation: Operation) -> Value:
    x, wanted = draft.value(operation), draft.weight(operation, 1)
    batch = draft.batch or _ANY_BATCH
    shape = reshaped(operation, (batch, *x.onnx_shape), wanted)
    if shape == (batch, *x.onnx_shape):
        return x
    if shape != (batch, prod(x.shape)):
        raise operation.error(
            f"reshapes samples of shape {x.onnx_shape} to {np.asarray(wanted).tolist()}; only to one vector a sample, "
            "such as [0, -1], has a layer"
        )
    return _flat(draft, operation, x)


def _flat(draft: Draft, operation: Operation, x: Value) -> Value:
    return x if x.ndim == 2 else replace(draft.add(operation, Flatten(), x, ndim=2), maps=x)


def _dropout(draft: Draft, operation: Operation) -> Value:
    ratio, training = operation.attributes.get("ratio", 0.5), draft.constant(operation, 2)
    if trains(operation) or (training is not None and training.any()):
        raise operation.error("is in training mode, and draws; export the model for inference")
    given = draft.constant(operation, 1)
    if given is not None:
        ratio = float(given.reshape(()))
    return draft.add(operation, Dropout(ratio), draft.value(operation))


def _lrn(draft: Draft, operation: Operation) -> Value:
    x, attributes = draft.value(operation), operation.attributes
    size = attributes["size"]
    if size < 1 or size % 2 == 0:
        raise operation.error(
            f"size is {size}; it should be odd: an even one reaches further up than down, and a layer's further down"
        )
    reached = min(size, 2 * x.shape[0] - 1)  # beyond the first and the last channel there is nothing to sum
    alpha = attributes["alpha"] * reached / size
    return draft.add(operation, LocalResponseNorm(reached, alpha, attributes["beta"], attributes["bias"]), x)


def _pad(draft: Draft, operation: Operation) -> Value:
    x = draft.value(operation)
    inputs = [draft.constant(operation, i) for i in range(1, len(operation.inputs))]
    widths, value = pads_of(operation, x.ndim, inputs)
    mode = operation.attributes["mode"]
    if mode != "constant" or min(map(min, widths)) < 0:
        raise operation.error(f"mode is {mode!r} and widths {widths}; layers pad with a constant, and cut nothing off")
    channels, sides = widths[1], widths[2:]
    if any(widths[0]) or channels[0] or (channels[1] and (value or x.ndim == 2)):
        raise operation.error(f"pads the batch, or channels otherwise than with zeros behind the others: {widths}")
    if any(max(width) > 2**31 - 1 for width in widths):
        raise operation.error(f"widths {widths} are absurd")
    if channels[1]:
        x = draft.add(operation, PadChannels(x.shape[0] + channels[1]), x)
    return draft.add(operation, Pad2d(_sides(sides), value), x) if any(map(any, sides)) else x


def _identity(draft: Draft, operation: Operation) -> Value:
    return draft.value(operation)


def _softmax(draft: Draft, operation: Operation) -> Value:
    x = draft.value(operation)
    # Before opset 13 all axes from this one on count as one.
    joins = operation.version < 13 and prod(x.shape[1:]) != 1
    if axis_of(operation, x.ndim) != 1 or joins:
        raise operation.error(f"runs over other entries of {x.onnx_shape} than the channels; a layer's runs over those")
    return draft.add(operation, Softmax(), x)


def _misplaced(draft: Draft, operation: Operation) -> Value:
    raise operation.error(
        "has no layer; right behind its input a network divides bytes by 255 and takes a constant off, and that is all"
    )


def _activation(make: Callable[[Operation], Layer]) -> Callable[[Draft, Operation], Value]:
    return lambda draft, operation: draft.add(operation, make(operation), draft.value(operation))


_FORMS: dict[str, Callable[[Draft, Operation], Value]] = {
    "Add": _add,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "Dropout": _dropout,
    "Elu": _activation(lambda operation: ELU(operation.attributes["alpha"])),
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": _global,
    "GlobalMaxPool": _global,
    "Identity": _identity,
    "LRN": _lrn,
    "LeakyRelu": _activation(lambda operation: LeakyReLU(operation.attributes["alpha"])),
    "LpPool": _lp_pool,
    "MatMul": _mat_mul,
    "MaxPool": _max_pool,
    "Pad": _pad,
    "Relu": _activation(lambda _: ReLU()),
    "Reshape": _reshape,
    "Sigmoid": _activation(lambda _: Sigmoid()),
    "Softmax": _softmax,
    "Tanh": _activation(lambda _: Tanh()),
    **dict.fromkeys(AT_THE_INPUT, _misplaced),
}
