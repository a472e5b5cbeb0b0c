"""Arrays on their way to the page: base64 of float32, with their shape and range."""

from __future__ import annotations

import base64
from math import isfinite
from typing import Any, cast

import numpy as np

from pellucid.arrays import Array


def pack(array: Array) -> dict[str, Any]:
    """Return an array as ``{"shape", "data", "min", "max"}``; the range is that of its finite numbers."""
    with np.errstate(over="ignore"):
        numbers = np.ascontiguousarray(array, "<f4")
    finite = numbers[np.isfinite(numbers)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (None, None)
    return {"shape": list(array.shape), "data": base64.b64encode(numbers.data).decode(), "min": low, "max": high}


def pack_roughly(array: Array) -> dict[str, Any]:
    """Return an array as :func:`pack` does, but in 8 bits a number: ``"data"`` is int8, to be multiplied by ``"step"``.

    What is off is at most half a step, 1/254 of the largest number: less than one tells apart of colours. An array
    with numbers that are not finite stays as it is, so that they show.
    """
    whole = pack(array)
    largest = float(np.abs(array).max(initial=0))
    step = largest / 127
    if not isfinite(largest) or step < np.finfo(np.float32).tiny:
        return whole
    data = np.rint(np.asarray(array, np.float64) / step).astype(np.int8)
    return {**whole, "data": pack_bytes(data), "step": step}


def pack_bytes(pixels: Array) -> str:
    """Return numbers of one byte as base64, in C order."""
    return base64.b64encode(np.ascontiguousarray(pixels).data).decode()


def strict(value: Any) -> Any:
    """Return plain JSON types: NumPy's numbers as Python's, tuples as lists, NaN and infinity as None."""
    if isinstance(value, dict):
        return {str(key): strict(entry) for key, entry in cast("dict[Any, Any]", value).items()}
    if isinstance(value, (list, tuple)):
        return [strict(entry) for entry in cast("list[Any]", value)]
    if isinstance(value, np.ndarray):
        return strict(cast("Any", value).tolist())
    plain: Any = cast("Any", value).item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and not isfinite(plain) else plain
