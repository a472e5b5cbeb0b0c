"""Which ONNX operators each layer becomes: a function a layer, in a table that users may add to."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, TypeAlias, TypeVar

import numpy as np

from pellucid.errors import ExportError
from pellucid.interop.geometry import counted, window
from pellucid.interop.onnx.exporter_graph import Place
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
    GlobalAvgPool2d,
    Layer,
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
from pellucid.layers.windows import Axis

AnyLayer = TypeVar("AnyLayer", bound=Layer)
Form: TypeAlias = Callable[[AnyLayer, Place], str]

_FORMS: dict[type[Layer], Form[Any]] = {}


def onnx_form(kind: type[AnyLayer]) -> Callable[[Form[AnyLayer]], Form[AnyLayer]]:
    """Say by which ONNX operators a layer is written; your own layers too.

    The decorated function takes the layer and a :class:`Place`, adds operators there, and returns the value that the
    layer gives.

    Example::

        @onnx_form(Swish)
        def swish(layer: Swish, place: Place) -> str:
            (x,) = place.inputs
            return place.add("Mul", x, place.add("Sigmoid", x))
    """

    def register(form: Form[AnyLayer]) -> Form[AnyLayer]:
        _FORMS[kind] = form
        return form

    return register


def form_of(layer: Layer, path: str) -> Form[Any]:
    """Return the function that writes a layer.

    Raises:
        ExportError: there is none; a subclass that computes something else needs one of its own.
    """
    ancestors: tuple[type[Any], ...] = type(layer).__mro__
    for kind in ancestors:
        if kind in _FORMS and type(layer).forward is kind.forward:
            return _FORMS[kind]
    raise ExportError(
        f"layer {path!r}, {layer!r}, has no ONNX form; tell which operators it is made of with "
        f"@pellucid.interop.onnx.onnx_form({type(layer).__name__}), see docs/onnx.md"
    )


@onnx_form(Conv2d)
def _conv(layer: Conv2d, place: Place) -> str:
    weight = place.tensors["weight"]
    filters = place.constant("weight", weight[..., ::-1, ::-1] if layer.flip else weight)
    bias = [place.own("bias")] if layer.bias else []
    rows, columns = window(layer, place.input_shapes[0])
    attributes = _window(rows, columns)
    return place.add(
        "Conv", place.inputs[0], filters, *bias, **attributes, **_dilations(rows, columns), group=layer.groups
    )


@onnx_form(Linear)
def _linear(layer: Linear, place: Place) -> str:
    bias = [place.own("bias")] if layer.bias else []
    return place.add("Gemm", place.inputs[0], place.own("weight"), *bias, transB=1)


@onnx_form(MaxPool2d)
def _max_pool(layer: MaxPool2d, place: Place) -> str:
    rows, columns = window(layer, place.input_shapes[0])
    x, attributes = _dilated_window(place, rows, columns, border=-np.inf)
    return place.add("MaxPool", x, **attributes)


@onnx_form(AvgPool2d)
def _avg_pool(layer: AvgPool2d, place: Place) -> str:
    (x,) = place.inputs
    rows, columns = window(layer, place.input_shapes[0])
    if rows.dilation > 1 or columns.dilation > 1:
        return _dilated_average(layer, place, rows, columns)
    attributes = _window(rows, columns)
    overhang = [_end(rows) - rows.after, _end(columns) - columns.after]
    if layer.count_include_pad and any(overhang):
        # ONNX counts all of its pads or none; here padding counts, and what hangs over its edge does not.
        x = _padded(place, x, [rows.before, columns.before, rows.after, columns.after], 0.0)
        return place.add("AveragePool", x, **{**attributes, "pads": [0, 0, *overhang]})
    return place.add("AveragePool", x, **attributes, count_include_pad=int(layer.count_include_pad))


def _dilated_average(layer: AvgPool2d, place: Place, rows: Axis, columns: Axis) -> str:
    """Return the sums by a filter of ones a map, divided by what each window counts: this opset has nothing else."""
    channels = place.input_shapes[0][0]
    ones = place.constant("ones", np.ones((channels, 1, rows.kernel, columns.kernel)))
    attributes = _window(rows, columns) | _dilations(rows, columns)
    sums = place.add("Conv", place.inputs[0], ones, **attributes, group=channels)
    counts = np.outer(counted(layer, rows), counted(layer, columns))
    return place.add("Mul", sums, place.constant("share", 1 / counts))


@onnx_form(LPPool2d)
def _lp_pool(layer: LPPool2d, place: Place) -> str:
    rows, columns = window(layer, place.input_shapes[0])
    p = layer.norm_type
    if p == int(p):
        x, attributes = _dilated_window(place, rows, columns, border=0.0)
        return place.add("LpPool", x, **attributes, p=int(p))
    # LpPool's p is a whole number: sum |x|^p with a filter of ones a map.
    channels = place.input_shapes[0][0]
    powers = place.add("Pow", place.add("Abs", place.inputs[0]), place.constant("p", float(p)))
    ones = place.constant("ones", np.ones((channels, 1, rows.kernel, columns.kernel)))
    attributes = _window(rows, columns) | _dilations(rows, columns)
    sums = place.add("Conv", powers, ones, **attributes, group=channels)
    return place.add("Pow", sums, place.constant("root", 1 / p))


@onnx_form(GlobalAvgPool2d)
def _global_avg_pool(layer: GlobalAvgPool2d, place: Place) -> str:
    return place.add("Flatten", place.add("GlobalAveragePool", place.inputs[0]), axis=1)


@onnx_form(Flatten)
def _flatten(layer: Flatten, place: Place) -> str:
    (x,) = place.inputs
    if layer.column_major and len(place.input_shapes[0]) == 3:
        x = place.add("Transpose", x, perm=[0, 1, 3, 2])
    return place.add("Flatten", x, axis=1)


@onnx_form(BatchNorm2d)
def _batch_norm_2d(layer: BatchNorm2d, place: Place) -> str:
    return _normalized(layer, place, place.inputs[0])


@onnx_form(BatchNorm)
def _batch_norm(layer: BatchNorm, place: Place) -> str:
    (x,), (shape,) = place.inputs, place.input_shapes
    if len(shape) == 1:
        return _normalized(layer, place, x)
    # ONNX has statistics by channel only: every activation becomes a channel for the time being.
    y = _normalized(layer, place, place.add("Flatten", x, axis=1))
    return place.add("Reshape", y, place.constant("shape", [0, *shape]))


@onnx_form(ReLU)
def _relu(layer: ReLU, place: Place) -> str:
    return place.add("Relu", place.inputs[0])


@onnx_form(LeakyReLU)
def _leaky_relu(layer: LeakyReLU, place: Place) -> str:
    return place.add("LeakyRelu", place.inputs[0], alpha=float(layer.negative_slope))


@onnx_form(ELU)
def _elu(layer: ELU, place: Place) -> str:
    return place.add("Elu", place.inputs[0], alpha=float(layer.alpha))


@onnx_form(Sigmoid)
def _sigmoid(layer: Sigmoid, place: Place) -> str:
    return place.add("Sigmoid", place.inputs[0])


@onnx_form(Tanh)
def _tanh(layer: Tanh, place: Place) -> str:
    return place.add("Tanh", place.inputs[0])


@onnx_form(Softmax)
def _softmax(layer: Softmax, place: Place) -> str:
    return place.add("Softmax", place.inputs[0], axis=1)


@onnx_form(Dropout)
def _dropout(layer: Dropout, place: Place) -> str:
    # Nothing at inference; it is written so that the network can be trained on where the file is read.
    return place.add("Dropout", place.inputs[0], place.constant("p", float(layer.p)))


@onnx_form(LocalResponseNorm)
def _response_norm(layer: LocalResponseNorm, place: Place) -> str:
    (x,) = place.inputs
    if layer.size % 2 and layer.alpha > 0 and layer.beta > 0:
        numbers = {"alpha": float(layer.alpha), "beta": float(layer.beta), "bias": float(layer.k)}
        return place.add("LRN", x, size=layer.size, **numbers)
    # An even neighbourhood reaches further down here and further up in ONNX, and onnxruntime has none, nor other α, β.
    # So s is a convolution of x² with one pixel, whose filter c holds α/n for the channels in W(c).
    channels = np.arange(place.input_shapes[0][0])
    distance = channels - channels[:, None]
    share = layer.alpha / layer.size * ((distance >= -(layer.size // 2)) & (distance <= (layer.size - 1) // 2))
    filters = place.constant("share", share[..., None, None])
    s = place.add("Conv", place.add("Mul", x, x), filters, place.constant("k", np.full(len(channels), float(layer.k))))
    return place.add("Mul", x, place.add("Pow", s, place.constant("power", -float(layer.beta))))


@onnx_form(Pad2d)
def _pad_2d(layer: Pad2d, place: Place) -> str:
    (top, bottom), (left, right) = layer.sides
    return _padded(place, place.inputs[0], [top, left, bottom, right], layer.value)


@onnx_form(PadChannels)
def _pad_channels(layer: PadChannels, place: Place) -> str:
    more = layer.out_channels - place.input_shapes[0][0]
    return place.add("Pad", place.inputs[0], place.constant("pads", [0, 0, 0, 0, 0, more, 0, 0]))


@onnx_form(Add)
def _add(layer: Add, place: Place) -> str:
    return reduce(lambda total, x: place.add("Add", total, x), place.inputs)


@onnx_form(Concat)
def _concat(layer: Concat, place: Place) -> str:
    return place.add("Concat", *place.inputs, axis=1)


def _normalized(layer: BatchNorm | BatchNorm2d, place: Place, x: str) -> str:
    """Add a batch normalization over axis 1 of ``x``."""
    names = [
        place.constant(key, place.tensors[key].ravel()) for key in ("weight", "bias", "running_mean", "running_var")
    ]
    # ONNX's momentum weighs the old value; an average over all batches has no momentum, and ONNX no word for it.
    momentum = {"momentum": 1.0 - layer.momentum} if layer.running == "exponential" else {}
    return place.add("BatchNormalization", x, *names, epsilon=float(layer.eps), **momentum)


def _end(axis: Axis) -> int:
    """Return the padding after the input that every window fits in.

    In ceil mode it holds what hangs over. ONNX has a ceil mode too, but until opset 22 it did not say whether a window
    may start in the padding; sizes that divide leave no room for that question.
    """
    return axis.padded - axis.before - axis.length


def _window(rows: Axis, columns: Axis) -> dict[str, Any]:
    return {
        "kernel_shape": [rows.kernel, columns.kernel],
        "strides": [rows.stride, columns.stride],
        "pads": [rows.before, columns.before, _end(rows), _end(columns)],
    }


def _dilations(rows: Axis, columns: Axis) -> dict[str, Any]:
    return {"dilations": [rows.dilation, columns.dilation]}


def _dilated_window(place: Place, rows: Axis, columns: Axis, border: float) -> tuple[str, dict[str, Any]]:
    """Return what a pool reads and its attributes; the input itself, unless it needs more padding than pools take."""
    (x,) = place.inputs
    attributes = _window(rows, columns) | _dilations(rows, columns)
    limits = 2 * attributes["kernel_shape"]
    if all(pad < limit for pad, limit in zip(attributes["pads"], limits, strict=True)):
        return x, attributes
    # onnxruntime holds pads against the kernel without its dilation.
    return _padded(place, x, attributes["pads"], border), {**attributes, "pads": [0, 0, 0, 0]}


def _padded(place: Place, x: str, pads: list[int], border: float) -> str:
    """Add a border; ``pads`` are top, left, bottom, right."""
    top, left, bottom, right = pads
    widths = place.constant("pads", [0, 0, top, left, 0, 0, bottom, right])
    return place.add("Pad", x, widths, place.constant("border", border))
