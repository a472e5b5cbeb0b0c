"""ONNX's convolution and pools in plain NumPy, over any number of axes; (N, C, D₁, …, Dₙ) in and out."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from pellucid.arrays import Array
from pellucid.interop.onnx.importer_graph import Operation
from pellucid.interop.onnx.importer_windows import pool_windows, windows
from pellucid.layers.windows import Axis


def conv(operation: Operation, x: Array, weight: Array, bias: Array | None = None) -> tuple[Array, ...]:
    """Return Σ weight·x over each window, group by group."""
    groups = operation.attributes["group"]
    filters, channels = weight.shape[:2]
    kernel = operation.attributes["kernel_shape"] or weight.shape[2:]
    if tuple(kernel) != weight.shape[2:] or x.ndim != weight.ndim or x.ndim < 3:
        raise operation.error(f"its input has shape {x.shape}, its weights {weight.shape}, its kernel_shape {kernel}")
    if groups < 1 or filters % groups or x.shape[1] != channels * groups:
        raise operation.error(f"{groups} groups do not fit input {x.shape} and weights {weight.shape}")
    patches = _patches(x, windows(operation, x.shape[2:], kernel, filters), 0.0)
    inner = [1, *range(x.ndim, patches.ndim)]
    parts: list[Array] = []
    for own, part in zip(np.split(patches, groups, axis=1), np.split(weight, groups), strict=True):
        parts.append(np.moveaxis(np.tensordot(own, part, (inner, list(range(1, part.ndim)))), -1, 1))
    y = np.concatenate(parts, axis=1)
    return (y if bias is None else y + bias.reshape(-1, *[1] * (x.ndim - 2)),)


def max_pool(operation: Operation, x: Array) -> tuple[Array, ...]:
    """Return the largest of each window, and where it lies in x written out, if that is asked for."""
    found = pool_windows(operation, x.shape[2:], x.shape[1])
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    patches = _flat(_patches(x, found, lowest), x.ndim)
    y = patches.max(axis=-1)
    if len(operation.outputs) < 2:
        return (y,)
    pixels = x.shape[2:]
    order = "F" if operation.attributes.get("storage_order") else "C"
    places = np.arange(prod(pixels)).reshape(1, 1, *pixels, order=order)
    places = np.broadcast_to(_flat(_patches(places, found, 0), x.ndim), patches.shape)
    winner = np.take_along_axis(places, patches.argmax(axis=-1)[..., None], axis=-1)[..., 0]
    maps: Array = np.arange(prod(x.shape[:2])).reshape((*x.shape[:2], *[1] * len(pixels)))
    return y, winner + maps * prod(pixels)


def average_pool(operation: Operation, x: Array) -> tuple[Array, ...]:
    """Return the mean of each window, over the padding too if ``count_include_pad``."""
    found = pool_windows(operation, x.shape[2:], x.shape[1])
    counted = np.ones((1, 1, *x.shape[2:]), x.dtype)
    if operation.attributes.get("count_include_pad"):
        counted = np.pad(counted, [(0, 0), (0, 0), *((w.before, w.after) for w in found)], constant_values=1)
        spare = [(0, w.padded - w.before - w.length - w.after) for w in found]
        counted = _slide(np.pad(counted, [(0, 0), (0, 0), *spare]), found)
    else:
        counted = _patches(counted, found, 0.0)
    total = _flat(_patches(x, found, 0.0), x.ndim).sum(axis=-1)
    return ((total / _flat(counted, x.ndim).sum(axis=-1)).astype(x.dtype),)


def lp_pool(operation: Operation, x: Array) -> tuple[Array, ...]:
    """Return (Σ |x|^p)^(1/p) over each window."""
    p = operation.attributes["p"]
    patches = _flat(_patches(abs(x), pool_windows(operation, x.shape[2:], x.shape[1]), 0.0), x.ndim)
    return (((patches**p).sum(axis=-1) ** (1 / p)).astype(x.dtype),)


def global_average_pool(operation: Operation, x: Array) -> tuple[Array, ...]:
    """Return the mean of each map."""
    return (x.mean(axis=tuple(range(2, x.ndim)), keepdims=True),)


def global_max_pool(operation: Operation, x: Array) -> tuple[Array, ...]:
    """Return the largest of each map."""
    return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


def _patches(x: Array, found: tuple[Axis, ...], border: Any) -> Array:
    """Return every window of x, (N, C, outputs…, kernel…)."""
    pads = [(w.before, w.padded - w.before - w.length) for w in found]
    return _slide(np.pad(x, [(0, 0), (0, 0), *pads], constant_values=border), found)


def _slide(padded: Array, found: tuple[Axis, ...]) -> Array:
    view = sliding_window_view(padded, tuple(w.span for w in found), axis=tuple(range(2, padded.ndim)))
    outer = [slice(0, w.stride * w.outputs, w.stride) for w in found]
    inner = [slice(None, None, w.dilation) for w in found]
    return view[(slice(None), slice(None), *outer, *inner)]


def _flat(patches: Array, ndim: int) -> Array:
    """Return windows with their pixels along one axis, the last."""
    return patches.reshape(*patches.shape[:ndim], -1)
