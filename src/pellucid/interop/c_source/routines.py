"""The C function of every layer without windows: a loop nest under its formula."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from pellucid.arrays import Array, Shape, Tensors
from pellucid.interop.c_source.code import Code, index, number
from pellucid.layers import ELU, Dropout, Flatten, Layer, LeakyReLU, LocalResponseNorm, Pad2d, PadChannels


@dataclass(frozen=True)
class Place:
    """A layer where it stands.

    Attributes:
        name: C identifier.
        layer: its settings.
        own: parameters and running statistics.
        input_shapes, shape: without the batch.
    """

    name: str
    layer: Any
    own: Tensors
    input_shapes: Sequence[Shape]
    shape: Shape


@dataclass(frozen=True)
class Routine:
    """The body of a function that computes ``y`` from ``x``, or from ``x1``, ``x2`` and so on.

    Attributes:
        formula: what it computes, in ASCII.
        lines: the body.
        arrays: its constants, by the end of their name.
        in_place: whether y may be where x, or one of several, is.
    """

    formula: str
    lines: list[str]
    arrays: dict[str, Array] = field(default_factory=dict[str, Array])
    in_place: bool = False


def elementwise(formula: str, expression: str, size: int) -> Routine:
    """Return y[i] = ``expression`` of ``v``, which stands for x[i]."""
    code = Code()
    with code.loop(("i", size)):
        code("const float v = x[i];")
        code(f"y[i] = {expression};")
    return Routine(formula, code.lines, in_place=True)


def relu(place: Place) -> Routine:
    """Return max(x, 0); written so that NaN stays."""
    return elementwise("y = max(x, 0)", "(v < 0.0f) ? 0.0f : v", prod(place.shape))


def leaky_relu(place: Place) -> Routine:
    """Return a line with a kink."""
    layer: LeakyReLU = place.layer
    slope = number(layer.negative_slope)
    return elementwise(f"y = x if x > 0, else {slope} x", f"(v > 0.0f) ? v : ({slope} * v)", prod(place.shape))


def elu(place: Place) -> Routine:
    """Return the exponential linear unit."""
    layer: ELU = place.layer
    alpha = number(layer.alpha)
    return elementwise(
        f"y = x if x >= 0, else {alpha} (exp(x) - 1)", f"(v >= 0.0f) ? v : ({alpha} * expm1f(v))", prod(place.shape)
    )


def tanh(place: Place) -> Routine:
    """Return tanh."""
    return elementwise("y = tanh(x)", "tanhf(v)", prod(place.shape))


def sigmoid(place: Place) -> Routine:
    """Return 1/(1 + e^−x) from e^−|x|, which cannot overflow."""
    code = Code()
    with code.loop(("i", prod(place.shape))):
        code("const float v = x[i];")
        code("const float e = expf(-fabsf(v));")
        code("y[i] = ((v < 0.0f) ? e : 1.0f) / (1.0f + e);")
    return Routine("y = 1 / (1 + exp(-x))", code.lines, in_place=True)


def softmax(place: Place) -> Routine:
    """Return e^x/Σ e^x over the channels of every pixel."""
    channels, pixels = place.shape[0], prod(place.shape[1:])
    at = index(("c", channels), ("i", pixels))
    code = Code()
    with code.loop(("i", pixels)):
        code("float largest = x[i];")
        code("float total = 0.0f;")
        with code.loop(("c", channels)):
            code(f"const float v = x[{at}];")
            code("largest = (v > largest) ? v : largest;")
        with code.loop(("c", channels)):
            code(f"const float e = expf(x[{at}] - largest);")
            code(f"y[{at}] = e;")
            code("total += e;")
        with code.loop(("c", channels)):
            code(f"y[{at}] /= total;")
    return Routine("y[c] = exp(x[c]) / (sum over k of exp(x[k]))", code.lines, in_place=True)


def linear(place: Place) -> Routine:
    """Return y = bias + weight·x."""
    (inputs,), (outputs,) = place.input_shapes[0], place.shape
    code = Code()
    with code.loop(("i", outputs)):
        code(f"float sum = {start(place, 'bias' in place.own, 'i')};")
        with code.loop(("j", inputs)):
            code(f"sum += {place.name}_weight[i][j] * x[j];")
        code("y[i] = sum;")
    return Routine("y[i] = bias[i] + sum over j of weight[i][j] x[j]", code.lines, place.own)


def start(place: Place, has_bias: bool, position: str) -> str:
    """Return what a sum begins with: the bias, if there is one."""
    return f"{place.name}_bias[{position}]" if has_bias else "0.0f"


def batch_norm(place: Place) -> Routine:
    """Return scale·x + shift, from running statistics; see :func:`scale_and_shift`."""
    scale, shift = scale_and_shift(place.layer, place.own)
    channels, pixels = scale.size, prod(place.shape) // scale.size
    at = index(("c", channels), ("i", pixels)) if pixels > 1 else "c"
    code = Code()
    with code.loop(("c", channels), *([("i", pixels)] if pixels > 1 else [])):
        code(f"y[{at}] = ({place.name}_scale[c] * x[{at}]) + {place.name}_shift[c];")
    formula = "y = scale x + shift;  scale = gamma / sqrt(variance + eps), shift = beta - scale mean"
    return Routine(formula, code.lines, {"scale": scale.ravel(), "shift": shift.ravel()}, in_place=True)


def scale_and_shift(layer: Any, own: Tensors) -> tuple[Array, Array]:
    """Return γ/√(var + ε) and β − mean·γ/√(var + ε) in float64: batch norm with its running statistics is a line."""
    gamma, beta, mean, variance = (
        own[key].astype(np.float64) for key in ("weight", "bias", "running_mean", "running_var")
    )
    scale = gamma / np.sqrt(variance + layer.eps)
    return scale, beta - mean * scale


def response_norm(place: Place) -> Routine:
    """Return x·s^(−beta), s from the channels around."""
    layer: LocalResponseNorm = place.layer
    channels, pixels = place.shape[0], prod(place.shape[1:])
    below, above = layer.size // 2, (layer.size - 1) // 2
    at = index(("c", channels), ("i", pixels))
    share = number(layer.alpha / layer.size)
    code = Code()
    with code.loop(("c", channels)):
        code(f"const int32_t first = (c > {below}) ? (c - {below}) : 0;")
        code(f"const int32_t end = ((c + {above + 1}) < {channels}) ? (c + {above + 1}) : {channels};")
        with code.loop(("i", pixels)):
            code("float squares = 0.0f;")
            with code.block("for (int32_t n = first; n < end; ++n)"):
                code(f"const float v = x[{index(('n', channels), ('i', pixels))}];")
                code("squares += v * v;")
            code(f"y[{at}] = x[{at}] * powf({number(layer.k)} + ({share} * squares), {number(-layer.beta)});")
    formula = f"y[c] = x[c] s^{-layer.beta};  s = {layer.k} + {share} sum of x[n]^2, n = c - {below} ... c + {above}"
    return Routine(formula, code.lines)


def keeps_order(layer: Layer, input_shape: Shape) -> bool:
    """Tell whether a layer only gives its input another shape, or at inference nothing at all."""
    return type(layer) is Dropout or (type(layer) is Flatten and not (layer.column_major and len(input_shape) == 3))


def flatten_columns(place: Place) -> Routine:
    """Return maps written out column by column."""
    channels, height, width = place.input_shapes[0]
    code = Code()
    with code.loop(("c", channels), ("u", height), ("v", width)):
        columns = index(("c", channels), ("v", width), ("u", height))
        code(f"y[{columns}] = x[{index(('c', channels), ('u', height), ('v', width))}];")
    return Routine(f"y[{columns}] = x[c][u][v]", code.lines)


def add(place: Place) -> Routine:
    """Return the sum of the inputs."""
    terms = " + ".join(f"x{i}[i]" for i in range(1, len(place.input_shapes) + 1))
    code = Code()
    with code.loop(("i", prod(place.shape))):
        code(f"y[i] = {terms};")
    return Routine(f"y = {terms.replace('[i]', '')}", code.lines, in_place=True)


def concat(place: Place) -> Routine:
    """Return the inputs one behind the other."""
    code = Code()
    end = 0
    for position, shape in enumerate(place.input_shapes, start=1):
        with code.loop(("i", prod(shape))):
            code(f"y[{end} + i] = x{position}[i];")
        end += prod(shape)
    return Routine("y = the inputs, one behind the other", code.lines)


def pad_2d(place: Place) -> Routine:
    """Return the maps with a border around them."""
    layer: Pad2d = place.layer
    (top, _), (left, _) = layer.sides
    channels, height, width = place.input_shapes[0]
    _, rows, columns = place.shape
    code = Code()
    with code.loop(("c", channels), ("l", rows), ("m", columns)):
        code(f"const int32_t u = l - {top}, v = m - {left};")
        code(f"const int inside = (u >= 0) && (u < {height}) && (v >= 0) && (v < {width});")
        source = index(("c", channels), ("u", height), ("v", width))
        to = index(("c", channels), ("l", rows), ("m", columns))
        code(f"y[{to}] = inside ? x[{source}] : {number(layer.value)};")
    return Routine(f"y[c][l][m] = x[c][l - {top}][m - {left}] inside, else {layer.value:g}", code.lines)


def pad_channels(place: Place) -> Routine:
    """Return the input with zeros behind it."""
    layer: PadChannels = place.layer
    given, size = prod(place.input_shapes[0]), prod(place.shape)
    code = Code()
    with code.loop(("i", given)):
        code("y[i] = x[i];")
    if size > given:
        with code.block(f"for (int32_t i = {given}; i < {size}; ++i)"):
            code("y[i] = 0.0f;")
    return Routine(f"y = x, and zeros up to channel {layer.out_channels}", code.lines)


def copy(size: int) -> Routine:
    """Return y = x."""
    return elementwise("y = x", "v", size)
