"""The C functions of the layers whose windows slide over maps: convolution and the poolings."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np

from pellucid.arrays import Array
from pellucid.interop.c_source.code import Code, index, number
from pellucid.interop.c_source.routines import Place, Routine, start
from pellucid.interop.geometry import counted, taps, window
from pellucid.layers import AvgPool2d, Conv2d, LPPool2d, MaxPool2d
from pellucid.layers.windows import Axis


def conv(place: Place) -> Routine:
    """Return a convolution; its innermost loop runs along rows of x and y, which compilers turn into vectors."""
    layer: Conv2d = place.layer
    rows, columns = window(layer, place.input_shapes[0])
    filters, *_ = place.shape
    arrays = dict(place.own)
    if layer.flip:
        arrays["weight"] = arrays["weight"][..., ::-1, ::-1]
    maps = arrays["weight"].shape[1]
    code = Code()
    with code.loop(("f", filters), ("l", rows.outputs)):
        code(f"float *const row = &y[({index(('f', filters), ('l', rows.outputs))}) * {columns.outputs}];")
        with code.loop(("m", columns.outputs)):
            code(f"row[m] = {start(place, 'bias' in arrays, 'f')};")
        with code.loop(("c", maps), ("j", rows.kernel)):
            code(f"const int32_t u = {_position(rows, 'l', 'j')};")
            with _within(code, "u", rows), code.loop(("k", columns.kernel)):
                code(f"const float w = {place.name}_weight[f][c][j][k];")
                first, end = _reach(columns)
                if first.any() or (end < columns.outputs).any():
                    arrays |= {"first": first, "end": end}
                    head = f"for (int32_t m = {place.name}_first[k]; m < {place.name}_end[k]; ++m)"
                else:
                    head = f"for (int32_t m = 0; m < {columns.outputs}; ++m)"
                with code.block(head):
                    v = _position(columns, "m", "k")
                    at = index((_source(layer, filters, maps), 0), ("u", rows.length), (v, columns.length))
                    code(f"row[m] += w * x[{at}];")
    formula = (
        f"y[f][l][m] = bias[f] + sum over c, j, k of weight[f][c][j][k] "
        f"x[{_source(layer, filters, maps)}][{_position(rows, 'l', 'j')}][{_position(columns, 'm', 'k')}]"
    )
    if "first" in arrays:
        formula += "; x is 0 outside, and tap k finds x inside for first[k] <= m < end[k]"
    return Routine(formula, code.lines, arrays)


def max_pool(place: Place) -> Routine:
    """Return the largest pixel of every window; padding never wins, NaN always does."""
    layer: MaxPool2d = place.layer
    axes = window(layer, place.input_shapes[0])
    code = Code()
    with _outputs(code, place):
        code("float largest = -INFINITY;")
        with _taps(code, *axes):
            code("largest = ((v > largest) || isnan(v)) ? v : largest;")
        code(f"y[{_output(place)}] = largest;")
    return Routine(f"y[c][l][m] = max over j, k of {_read(*axes)}", code.lines)


def avg_pool(place: Place) -> Routine:
    """Return the mean of every window over the pixels it counts."""
    layer: AvgPool2d = place.layer
    rows, columns = axes = window(layer, place.input_shapes[0])
    down, across = counted(layer, rows), counted(layer, columns)
    arrays: dict[str, Array] = {}
    if (down == down[0]).all() and (across == across[0]).all():
        count = number(float(down[0] * across[0]))
    else:
        arrays = {"rows": down.astype(np.float32), "columns": across.astype(np.float32)}
        count = f"({place.name}_rows[l] * {place.name}_columns[m])"
    code = Code()
    with _outputs(code, place):
        code("float sum = 0.0f;")
        with _taps(code, *axes):
            code("sum += v;")
        code(f"y[{_output(place)}] = sum / {count};")
    return Routine(f"y[c][l][m] = mean over j, k of {_read(*axes)}", code.lines, arrays)


def global_avg_pool(place: Place) -> Routine:
    """Return the mean of every map."""
    channels, height, width = place.input_shapes[0]
    pixels = height * width
    code = Code()
    with code.loop(("c", channels)):
        code("float sum = 0.0f;")
        with code.loop(("i", pixels)):
            code(f"sum += x[{index(('c', channels), ('i', pixels))}];")
        code(f"y[c] = sum / {number(pixels)};")
    return Routine("y[c] = mean of x[c]", code.lines)


def lp_pool(place: Place) -> Routine:
    """Return the p-norm of every window, its pixels divided by the largest first, so that no power overflows."""
    layer: LPPool2d = place.layer
    axes = window(layer, place.input_shapes[0])
    p = layer.norm_type
    power, root = {
        1.0: ("ratio", "sum"),
        2.0: ("ratio * ratio", "sqrtf(sum)"),
    }.get(p, (f"powf(ratio, {number(p)})", f"powf(sum, {number(1 / p)})"))
    code = Code()
    with _outputs(code, place):
        code("float largest = 0.0f;")
        with _taps(code, *axes):
            code("largest = ((fabsf(v) > largest) || isnan(v)) ? fabsf(v) : largest;")
        code("float sum = 0.0f;")
        with _taps(code, *axes):
            code("const float ratio = fabsf(v) / ((largest > 0.0f) ? largest : 1.0f);")
            code(f"sum += {power};")
        code(f"y[{_output(place)}] = largest * {root};")
    return Routine(f"y[c][l][m] = (sum over j, k of |{_read(*axes)}|^{p:g})^(1/{p:g})", code.lines)


def _position(axis: Axis, output: str, tap: str) -> str:
    """Return S·l + D·j − P, without what changes nothing."""
    step = output if axis.stride == 1 else f"{axis.stride} * {output}"
    gap = tap if axis.dilation == 1 else f"{axis.dilation} * {tap}"
    return f"{step} + {gap}" + (f" - {axis.before}" if axis.before else "")


def _read(rows: Axis, columns: Axis) -> str:
    return f"x[c][{_position(rows, 'l', 'j')}][{_position(columns, 'm', 'k')}]"


def _source(layer: Conv2d, filters: int, maps: int) -> str:
    """Return the input map of tap c: of the filter's own group, if there are groups."""
    return "c" if layer.groups == 1 else f"f / {filters // layer.groups} * {maps} + c"


def _reach(axis: Axis) -> tuple[Array, Array]:
    """Return for every tap the first output that reads a pixel through it, and the one behind the last."""
    read = taps(axis)
    first = (read < 0).sum(axis=0)
    return first, np.maximum((read < axis.length).sum(axis=0), first)


def _within(code: Code, name: str, axis: Axis) -> AbstractContextManager[None]:
    """Return a block for what happens inside the map; none if no window reaches out of it."""
    read = taps(axis)
    conditions = [f"({name} >= 0)"] * bool((read < 0).any())
    conditions += [f"({name} < {axis.length})"] * bool((read >= axis.length).any())
    if not conditions:
        return nullcontext()
    joined = " && ".join(conditions)
    return code.block(f"if ({joined})" if len(conditions) > 1 else f"if {joined}")


@contextmanager
def _outputs(code: Code, place: Place) -> Generator[None]:
    with code.loop(*zip("clm", place.shape, strict=True)):
        yield


def _output(place: Place) -> str:
    return index(*zip("clm", place.shape, strict=True))


@contextmanager
def _taps(code: Code, rows: Axis, columns: Axis) -> Generator[None]:
    """Repeat what is added meanwhile for every pixel ``v`` of window (l, m) that is no padding."""
    with code.loop(("j", rows.kernel)):
        code(f"const int32_t row = {_position(rows, 'l', 'j')};")
        with _within(code, "row", rows), code.loop(("k", columns.kernel)):
            code(f"const int32_t column = {_position(columns, 'm', 'k')};")
            with _within(code, "column", columns):
                code(f"const float v = x[{index(('c', 0), ('row', rows.length), ('column', columns.length))}];")
                yield
