"""The operators that can be imported, in plain NumPy: what folds constants, and the backend's second way.

Each function takes the operation and its inputs, None for one that is left out, and returns its outputs. Forms that
changed from opset to opset are told apart by ``operation.version``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from pellucid.arrays import Array
from pellucid.engine.room import require_room
from pellucid.errors import PellucidError
from pellucid.interop.onnx import numpy_windows
from pellucid.interop.onnx.importer_graph import Operation


def evaluate(operation: Operation, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """Return the outputs of an operation.

    Raises:
        ModelFileError: its inputs do not fit, it asks for what it does not have, or is none of :data:`OPERATORS`.
        TooLargeError: no memory could hold the result.
    """
    if operation.kind not in _FORMS:
        raise operation.error("is known right behind a network's input only")
    try:
        with np.errstate(all="ignore"):  # NaN and infinity show by themselves
            return _FORMS[operation.kind](operation, *inputs)
    except (ValueError, TypeError, IndexError, OverflowError, ArithmeticError) as error:
        if isinstance(error, PellucidError):
            raise
        raise operation.error(f"its inputs do not fit: {error}") from error


def axis_of(operation: Operation, ndim: int, *, end: bool = False) -> int:
    """Return the attribute ``axis``, counted from the front; ``end`` allows the place behind the last."""
    axis = operation.attributes["axis"]
    if not -ndim <= axis < ndim + end:
        raise operation.error(f"axis {axis} is not one of the {ndim} axes of its input")
    return axis + ndim if axis < 0 else axis


def reshaped(operation: Operation, shape: tuple[int, ...], wanted: Any) -> tuple[int, ...]:
    """Return the shape that ``Reshape`` gives to an array of another: 0 keeps a length, −1 takes what is left."""
    numbers = [int(n) for n in np.asarray(wanted).ravel()]
    if not operation.attributes.get("allowzero"):
        if any(n == 0 and i >= len(shape) for i, n in enumerate(numbers)):
            raise operation.error(f"cannot reshape {shape} to {numbers}: there is no length to keep")
        numbers = [shape[i] if n == 0 else n for i, n in enumerate(numbers)]
    if -1 in numbers:
        others = prod(n for n in numbers if n != -1)
        numbers[numbers.index(-1)] = prod(shape) // others if others else 0
    if prod(numbers) != prod(shape) or min(numbers, default=0) < 0:
        raise operation.error(f"cannot reshape {shape} to {numbers}")
    return tuple(numbers)


def pads_of(operation: Operation, ndim: int, inputs: Sequence[Any]) -> tuple[list[tuple[int, int]], float]:
    """Return ``Pad``'s widths before and after each axis, and the value of the border."""
    if operation.version == 2:
        given, value, axes = operation.attributes["pads"], operation.attributes["value"], None
    else:
        given, value, axes = (*inputs, None, None, None)[:3]
        given = np.asarray(given).ravel().tolist()
    named = list(range(ndim)) if axes is None else [int(a) % ndim for a in np.asarray(axes).ravel()]
    if len(given) != 2 * len(named):
        raise operation.error(f"has {len(given)} pads for {len(named)} axes; there should be two for each")
    widths = [(0, 0)] * ndim
    for i, axis in enumerate(named):
        widths[axis] = (int(given[i]), int(given[len(named) + i]))
    return widths, 0.0 if value is None else float(np.asarray(value).reshape(()))


def gemm_operands(operation: Operation, b: Array, c: Array | None) -> tuple[Array, Array | None]:
    """Return α·B, turned if it is to be, and β·C."""
    alpha, beta = operation.attributes["alpha"], operation.attributes["beta"]
    factor = b.T if operation.attributes["transB"] else b
    return (alpha * factor).astype(b.dtype), None if c is None else (beta * c).astype(b.dtype)


def aligned(operation: Operation, ndim: int, addend: Array) -> Array:
    """Return Add's second input as NumPy broadcasts it; before opset 7, ``axis`` says where it belongs."""
    axis = operation.attributes.get("axis")
    if axis is None or not operation.attributes["broadcast"]:
        return addend
    return addend.reshape(*addend.shape, *[1] * (ndim - axis_of(operation, ndim) - addend.ndim))


def trains(operation: Operation) -> bool:
    """Tell whether a batch norm or a dropout is set to train: before opset 7 unless ``is_test`` says otherwise."""
    return operation.attributes.get("is_test") == 0 or bool(operation.attributes.get("training_mode"))


def _add(operation: Operation, a: Array, b: Array) -> tuple[Array, ...]:
    b = aligned(operation, a.ndim, b)
    require_room(prod(np.broadcast_shapes(a.shape, b.shape)) * a.itemsize, operation.label, "make it smaller")
    return (a + b,)


def _batch_norm(
    operation: Operation, x: Array, scale: Array, bias: Array, mean: Array, variance: Array
) -> tuple[Array, ...]:
    attributes = operation.attributes
    pixels = scale.ndim == 1  # else each has a scale of its own: "spatial" = 0, before opset 9
    if operation.version < 14 and len(operation.outputs) > 1:
        raise operation.error("gives statistics, which before opset 14 only training does")
    shape = (-1, *[1] * (x.ndim - 2)) if pixels else scale.shape
    results: tuple[Array, ...] = ()
    if trains(operation):
        over = (0, *range(2, x.ndim))
        momentum = attributes["momentum"]
        news = x.mean(axis=over), x.var(axis=over)
        results = tuple(
            (old * momentum + new * (1 - momentum)).astype(old.dtype)
            for old, new in zip((mean, variance), news, strict=True)
        )
        mean, variance = news
    root = np.sqrt(variance.reshape(shape) + attributes["epsilon"])
    y = (x - mean.reshape(shape)) / root * scale.reshape(shape) + bias.reshape(shape)
    return y.astype(x.dtype), *results


def _concat(operation: Operation, *xs: Array) -> tuple[Array, ...]:
    return (np.concatenate(xs, axis=axis_of(operation, xs[0].ndim)),)


def _constant(operation: Operation) -> tuple[Any, ...]:
    given = {name: value for name, value in operation.attributes.items() if value is not None}
    if len(given) != 1:
        raise operation.error(f"should have one value, and has {len(given)}")
    ((name, value),) = given.items()
    dtypes = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}
    return (np.asarray(value, dtypes.get(name)),)


def _dropout(
    operation: Operation, x: Array, ratio: Array | None = None, training: Array | None = None
) -> tuple[Array, ...]:
    if trains(operation):
        raise operation.error("trains, and gives what chance will have it")
    mask_type = x.dtype if operation.version < 10 else np.bool_
    p = 0.5 if ratio is None else float(ratio)
    if training is None or not bool(training) or p == 0:
        return x, np.ones(x.shape, mask_type)
    # The draws are free; these are those of ONNX's own reference implementation.
    draws = np.random.RandomState(operation.attributes["seed"] or 0)
    mask = draws.uniform(0, 1, x.shape) >= p
    return (mask * x / (1 - p)).astype(x.dtype), mask


def _elu(operation: Operation, x: Array) -> tuple[Array, ...]:
    return (np.where(x > 0, x, operation.attributes["alpha"] * np.expm1(np.minimum(x, 0))).astype(x.dtype),)


def _flatten(operation: Operation, x: Array) -> tuple[Array, ...]:
    axis = axis_of(operation, x.ndim, end=True)
    return (x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:])),)


def _gemm(operation: Operation, a: Array, b: Array, c: Array | None = None) -> tuple[Array, ...]:
    factor, addend = gemm_operands(operation, b, c)
    a = a.T if operation.attributes["transA"] else a
    require_room(len(a) * factor.shape[1] * a.itemsize, operation.label, "make it smaller")
    y = a @ factor
    return (y if addend is None else y + addend,)


def _identity(operation: Operation, x: Any) -> tuple[Any, ...]:
    return (x,)


def _leaky_relu(operation: Operation, x: Array) -> tuple[Array, ...]:
    return (np.where(x < 0, operation.attributes["alpha"] * x, x).astype(x.dtype),)


def _lrn(operation: Operation, x: Array) -> tuple[Array, ...]:
    size, attributes = operation.attributes["size"], operation.attributes
    if not 1 <= size <= 2**31 - 1:
        raise operation.error(f"size should be at least 1, got {size}")
    total = np.zeros_like(x)
    for c in range(x.shape[1]):
        total[:, c] = (x[:, max(c - (size - 1) // 2, 0) : c + size // 2 + 1] ** 2).sum(axis=1)
    return ((x * (attributes["bias"] + attributes["alpha"] / size * total) ** -attributes["beta"]).astype(x.dtype),)


def _mat_mul(operation: Operation, a: Array, b: Array) -> tuple[Array, ...]:
    require_room(a.size * b.size // max(a.shape[-1], 1) ** 2 * a.itemsize, operation.label, "make it smaller")
    return (a @ b,)


def _pad(operation: Operation, x: Array, *inputs: Any) -> tuple[Array, ...]:
    widths, value = pads_of(operation, x.ndim, inputs)
    shape = [n + before + after for n, (before, after) in zip(x.shape, widths, strict=True)]
    if min(shape, default=0) < 0:
        raise operation.error(f"takes more from {x.shape} than there is: {widths}")
    require_room(prod(shape) * x.itemsize, operation.label, "make it smaller")
    # A negative width cuts off.
    kept = tuple(slice(max(-b, 0), n - max(-a, 0)) for n, (b, a) in zip(x.shape, widths, strict=True))
    wider = [(max(before, 0), max(after, 0)) for before, after in widths]
    mode = operation.attributes["mode"]
    options: dict[str, Any] = {"constant_values": value} if mode == "constant" else {}
    return (np.pad(x[kept], wider, mode, **options),)


def _relu(operation: Operation, x: Array) -> tuple[Array, ...]:
    return (np.maximum(x, 0),)


def _reshape(operation: Operation, x: Array, shape: Array) -> tuple[Array, ...]:
    return (x.reshape(reshaped(operation, x.shape, shape)),)


def _sigmoid(operation: Operation, x: Array) -> tuple[Array, ...]:
    return ((0.5 * (1 + np.tanh(0.5 * x))).astype(x.dtype),)  # e^−x would overflow


def _softmax(operation: Operation, x: Array) -> tuple[Array, ...]:
    axis = axis_of(operation, x.ndim)
    # Before opset 13 all axes from this one on count as one.
    over = tuple(range(axis, x.ndim)) if operation.version < 13 else axis
    e = np.exp(x - x.max(axis=over, keepdims=True))
    return (e / e.sum(axis=over, keepdims=True),)


def _tanh(operation: Operation, x: Array) -> tuple[Array, ...]:
    return (np.tanh(x),)


_FORMS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "Add": _add,
    "AveragePool": numpy_windows.average_pool,
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Constant": _constant,
    "Conv": numpy_windows.conv,
    "Dropout": _dropout,
    "Elu": _elu,
    "Flatten": _flatten,
    "Gemm": _gemm,
    "GlobalAveragePool": numpy_windows.global_average_pool,
    "GlobalMaxPool": numpy_windows.global_max_pool,
    "Identity": _identity,
    "LRN": _lrn,
    "LeakyRelu": _leaky_relu,
    "LpPool": numpy_windows.lp_pool,
    "MatMul": _mat_mul,
    "MaxPool": numpy_windows.max_pool,
    "Pad": _pad,
    "Relu": _relu,
    "Reshape": _reshape,
    "Sigmoid": _sigmoid,
    "Softmax": _softmax,
    "Tanh": _tanh,
}

#: the operators, all of ONNX's own domain, that can be imported wherever they stand
OPERATORS = tuple(_FORMS)
